// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/decode.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/gguf_blocks.hpp>

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
      append_values(type, reinterpret_cast<const std::uint8_t*>(t.tensor.data.data()) + b * info.bytes, wanted);
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
