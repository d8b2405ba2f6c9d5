// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/decode.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
namespace gguf = zoqat::io::gguf;
using gguf::tensor_type;

namespace {

// Decoders of the test's own, byte by byte as the formats are described, in the order in which the elements of a
// super-block are made: none of the library's layouts or accessors.
using bytes = const std::uint8_t*;

float half(bytes p) {  // by its definition
  const unsigned bits = p[0] | p[1] << 8, exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == 0) return static_cast<float>(sign * std::ldexp(mantissa, -24));
  return static_cast<float>(sign * std::ldexp(1024 + mantissa, static_cast<int>(exponent) - 25));
}

void own_q8_0(bytes p, std::vector<float>& y) {
  for (int j = 0; j < 32; ++j) y.push_back(static_cast<float>(static_cast<std::int8_t>(p[2 + j])) * half(p));
}
void own_q4(bytes p, bool minimum, std::vector<float>& y) {
  const float d = half(p), m = minimum ? half(p + 2) : 0;
  p += minimum ? 4 : 2;
  for (int upper = 0; upper < 2; ++upper)
    for (int j = 0; j < 16; ++j) {
      const int q = upper ? p[j] / 16 : p[j] % 16;
      y.push_back(minimum ? static_cast<float>(q) * d + m : static_cast<float>(q - 8) * d);
    }
}
void own_q5(bytes p, bool minimum, std::vector<float>& y) {
  const float d = half(p), m = minimum ? half(p + 2) : 0;
  p += minimum ? 4 : 2;
  const std::uint32_t high = p[0] | p[1] << 8 | p[2] << 16 | static_cast<std::uint32_t>(p[3]) << 24;
  for (int i = 0; i < 32; ++i) {
    const int low = i < 16 ? p[4 + i] % 16 : p[4 + i - 16] / 16;
    const int q = low + (high >> i & 1 ? 16 : 0);
    y.push_back(minimum ? static_cast<float>(q) * d + m : static_cast<float>(q - 16) * d);
  }
}
void own_q2_0(bytes p, std::vector<float>& y) {
  for (int byte = 0; byte < 16; ++byte)
    for (int shift = 0; shift < 8; shift += 2)
      y.push_back(static_cast<float>((p[2 + byte] >> shift & 3) - 1) * half(p));
}
void own_q2_k(bytes p, std::vector<float>& y) {
  const float d = half(p + 80), dmin = half(p + 82);
  int sub = 0;
  for (bytes q = p + 16; q != p + 80; q += 32)
    for (int shift = 0; shift < 8; shift += 2)
      for (int part = 0; part < 32; part += 16, ++sub)
        for (int l = part; l < part + 16; ++l)
          y.push_back(d * static_cast<float>(p[sub] % 16) * static_cast<float>(q[l] >> shift & 3) -
                      dmin * static_cast<float>(p[sub] / 16));
}
void own_q3_k(bytes p, std::vector<float>& y) {
  int scale[16];
  for (int i = 0; i < 4; ++i) {  // four at a time, as the words of the 12 bytes hold them
    const int a = p[96 + i], b = p[100 + i], c = p[104 + i];
    scale[i] = (a & 15) | (c & 3) << 4;
    scale[4 + i] = (b & 15) | (c >> 2 & 3) << 4;
    scale[8 + i] = a >> 4 | (c >> 4 & 3) << 4;
    scale[12 + i] = b >> 4 | (c >> 6 & 3) << 4;
  }
  const float d = half(p + 108);
  int sub = 0, mask = 1;
  for (bytes q = p + 32; q != p + 96; q += 32)
    for (int shift = 0; shift < 8; shift += 2, mask *= 2)
      for (int part = 0; part < 32; part += 16, ++sub)
        for (int l = part; l < part + 16; ++l) {
          const int code = (q[l] >> shift & 3) - (p[l] & mask ? 0 : 4);
          y.push_back(d * static_cast<float>(scale[sub] - 32) * static_cast<float>(code));
        }
}
void scale_and_minimum(int j, bytes q, int& scale, int& minimum) {
  if (j < 4) {
    scale = q[j] & 63, minimum = q[j + 4] & 63;
  } else {
    scale = (q[j + 4] & 15) | q[j - 4] >> 6 << 4;
    minimum = q[j + 4] >> 4 | q[j] >> 6 << 4;
  }
}
void own_q45_k(bytes p, bool five, std::vector<float>& y) {
  const float d = half(p), dmin = half(p + 2);
  bytes high = p + 16, q = five ? p + 48 : p + 16;
  int mask = 1;
  for (int sub = 0; sub < 8; ++sub, mask *= 2) {
    int scale = 0, minimum = 0;
    scale_and_minimum(sub, p + 4, scale, minimum);
    for (int l = 0; l < 32; ++l) {
      int code = sub % 2 ? q[l] >> 4 : q[l] & 15;
      if (five && (high[l] & mask)) code += 16;
      y.push_back(d * static_cast<float>(scale) * static_cast<float>(code) - dmin * static_cast<float>(minimum));
    }
    if (sub % 2) q += 32;
  }
}
void own_q6_k(bytes p, std::vector<float>& y) {
  const float d = half(p + 208);
  for (int n = 0; n < 2; ++n) {
    bytes low = p + 64 * n, high = p + 128 + 32 * n;
    float part[128];
    for (int l = 0; l < 32; ++l) {
      const int q[4] = {(low[l] & 15) | (high[l] & 3) << 4, (low[l + 32] & 15) | (high[l] >> 2 & 3) << 4,
                        low[l] >> 4 | (high[l] >> 4 & 3) << 4, low[l + 32] >> 4 | high[l] >> 6 << 4};
      for (int k = 0; k < 4; ++k) {
        const auto scale = static_cast<std::int8_t>(p[192 + 8 * n + l / 16 + 2 * k]);
        part[l + 32 * k] = d * static_cast<float>(scale) * static_cast<float>(q[k] - 32);
      }
    }
    y.insert(y.end(), part, part + 128);
  }
}
void own(tensor_type type, bytes p, std::vector<float>& y) {
  switch (type) {
    case tensor_type::q8_0:
      return own_q8_0(p, y);
    case tensor_type::q4_0:
      return own_q4(p, false, y);
    case tensor_type::q4_1:
      return own_q4(p, true, y);
    case tensor_type::q5_0:
      return own_q5(p, false, y);
    case tensor_type::q5_1:
      return own_q5(p, true, y);
    case tensor_type::q2_0:
      return own_q2_0(p, y);
    case tensor_type::q2_k:
      return own_q2_k(p, y);
    case tensor_type::q3_k:
      return own_q3_k(p, y);
    case tensor_type::q4_k:
      return own_q45_k(p, false, y);
    case tensor_type::q5_k:
      return own_q45_k(p, true, y);
    default:
      return own_q6_k(p, y);
  }
}

// Where the upper bytes of a block's fp16 numbers are.
std::vector<std::size_t> upper_bytes(tensor_type type) {
  switch (type) {
    case tensor_type::q2_k:
      return {81, 83};
    case tensor_type::q3_k:
      return {109};
    case tensor_type::q6_k:
      return {209};
    case tensor_type::q4_1:
    case tensor_type::q5_1:
    case tensor_type::q4_k:
    case tensor_type::q5_k:
      return {1, 3};
    default:
      return {1};
  }
}

// Random bytes whose fp16 numbers are finite, at an odd address.
struct random_tensor {
  std::vector<std::byte> storage;
  gguf::tensor tensor;

  random_tensor(tensor_type type, std::size_t blocks) {
    const auto& info = gguf::info_of(type);
    std::mt19937 random(static_cast<unsigned>(type));
    storage.resize(blocks * info.bytes + 1);
    for (std::byte& b : storage) b = static_cast<std::byte>(random());
    for (std::size_t b = 0; b != blocks; ++b)
      for (const std::size_t at : upper_bytes(type)) storage[1 + b * info.bytes + at] &= std::byte{0xbf};
    tensor = {{"t", type, {blocks * info.elements}}, std::span(storage).subspan(1)};
  }
};

const std::vector<tensor_type> block_types{tensor_type::q8_0, tensor_type::q4_0, tensor_type::q4_1, tensor_type::q5_0,
                                           tensor_type::q5_1, tensor_type::q2_0, tensor_type::q2_k, tensor_type::q3_k,
                                           tensor_type::q4_k, tensor_type::q5_k, tensor_type::q6_k};

}  // namespace

TEST_CASE("blocks decode bit for bit as their definitions say") {
  for (const tensor_type type : block_types) {
    const auto& info = gguf::info_of(type);
    CAPTURE(info.name);
    const random_tensor t(type, 50);
    std::vector<float> wanted, values(50 * info.elements);
    for (std::size_t b = 0; b != 50; ++b)
      own(type, reinterpret_cast<bytes>(t.tensor.data.data()) + b * info.bytes, wanted);
    gguf::decode(t.tensor, 0, values, "the/file");
    REQUIRE(wanted.size() == values.size());
    CHECK(std::memcmp(values.data(), wanted.data(), 4 * values.size()) == 0);
    // A part of it.
    std::vector<float> part(2 * info.elements);
    gguf::decode(t.tensor, 7 * info.elements, part, "the/file");
    CHECK(std::memcmp(part.data(), wanted.data() + 7 * info.elements, 4 * part.size()) == 0);
  }
}

TEST_CASE("codes and factors that are set come back and disturb no others") {
  for (const tensor_type type : block_types)
    gguf::with_block(type, [&]<gguf::block B>() {
      CAPTURE(gguf::info_of(type).name);
      std::mt19937 random(7);
      std::array<std::uint8_t, sizeof(B)> full;
      full.fill(0xa5);
      auto b = std::bit_cast<B>(full);
      std::vector<unsigned> codes(B::elements);
      for (std::size_t i = 0; i != codes.size(); ++i) b.set_code(i, codes[i] = random() % (1u << B::bits));
      if constexpr (requires { b.set_factor(0, 0); })
        for (std::size_t g = 0; g != B::elements / B::group; ++g) b.set_factor(g, static_cast<int>(g) * 3 - 30);
      if constexpr (requires { b.scales.set(0, 0, 0); })
        for (std::size_t g = 0; g != 8; ++g)
          b.scales.set(g, static_cast<unsigned>(63 - 7 * g), 5 + 8 * static_cast<unsigned>(g));
      for (std::size_t i = 0; i != codes.size(); ++i) REQUIRE(b.code(i) == codes[i]);
      if constexpr (requires { b.set_factor(0, 0); })
        for (std::size_t g = 0; g != B::elements / B::group; ++g) CHECK(b.factor(g) == static_cast<int>(g) * 3 - 30);
      if constexpr (requires { b.scales.set(0, 0, 0); })
        for (std::size_t g = 0; g != 8; ++g) {
          CHECK(b.scales.scale(g) == 63 - 7 * g);
          CHECK(b.scales.minimum(g) == 5 + 8 * g);
        }
    });
}

TEST_CASE("floats of 32 and 16 bits are read, and other types refused by name") {
  const std::uint32_t one = std::bit_cast<std::uint32_t>(1.5f);
  const std::uint16_t f16 = 0x3e00, b16 = 0x3fc0;  // 1.5
  const auto value = [](tensor_type type, const auto& stored) {
    float x = 0;
    gguf::decode({{"t", type, {1}}, std::as_bytes(std::span(&stored, 1))}, 0, std::span(&x, 1), "the/file");
    return x;
  };
  CHECK(value(tensor_type::f32, one) == 1.5f);
  CHECK(value(tensor_type::f16, f16) == 1.5f);
  CHECK(value(tensor_type::bf16, b16) == 1.5f);
  CHECK(gguf::is_decodable(tensor_type::q6_k));
  CHECK_FALSE(gguf::is_decodable(tensor_type::iq2_xs));
  const random_tensor t(tensor_type::iq4_nl, 1);
  std::vector<float> out(32);
  check_mentions(message_of<io_error>([&] { gguf::decode(t.tensor, 0, out, "the/file"); }), "the/file", "tensor 't'",
                 "IQ4_NL");
  check_mentions(message_of<value_error>([&] { gguf::decode(t.tensor, 16, out, "the/file"); }), "[16, 48)",
                 "blocks of 32");
}
