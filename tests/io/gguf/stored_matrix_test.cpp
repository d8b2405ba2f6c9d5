// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/stored_matrix.hpp>

#include <doctest/doctest.h>
#include <support/gguf_blocks.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/linear/stored_weight.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
namespace gguf = zoqat::io::gguf;
using gguf::tensor_type;

static_assert(nn::stored_matrix<gguf::stored_matrix>);

namespace {

constexpr std::size_t rows = 3, cols = 512;

const std::vector<tensor_type> block_types{tensor_type::q8_0, tensor_type::q6_k, tensor_type::q5_k, tensor_type::q5_1,
                                           tensor_type::q5_0, tensor_type::q4_k, tensor_type::q4_1, tensor_type::q4_0,
                                           tensor_type::q3_k, tensor_type::q2_k, tensor_type::q2_0};
const std::vector<tensor_type> float_types{tensor_type::f32, tensor_type::f16, tensor_type::bf16};

std::vector<tensor_type> all_types() {
  std::vector<tensor_type> all = block_types;
  all.insert(all.end(), float_types.begin(), float_types.end());
  return all;
}

// A matrix of random values, rounded to a type.
struct stored_values {
  std::vector<std::byte> bytes;
  gguf::stored_matrix matrix;

  explicit stored_values(tensor_type type) {
    const gguf::tensor_info info{"w", type, {rows, cols}};
    bytes.resize(*gguf::checked_bytes(info));
    const std::size_t row = bytes.size() / rows;
    for (std::uint32_t r = 0; r != rows; ++r)
      gguf::round_row(type, random_floats(cols, r, 0.1f), std::span(bytes).subspan(r * row, row));
    gguf::tensor t;
    static_cast<gguf::tensor_info&>(t) = info;
    t.data = bytes;
    matrix = gguf::stored_matrix(t);
  }
};

std::vector<float> read(const gguf::stored_matrix& m, std::size_t r, const float* values = nullptr,
                        std::span<const float> factors = {}) {
  std::vector<float> out(cols);
  m.read_row(r, values, factors, out.data());
  return out;
}
std::vector<std::byte> write(const gguf::stored_matrix& m, std::size_t r, const float* values = nullptr,
                             std::span<const float> factors = {}) {
  std::vector<std::byte> out(m.row_bytes());
  m.write_row(r, values, factors, out);
  return out;
}
// What a row in a file stands for, by the tests' own decoders.
std::vector<float> own_values(tensor_type type, const std::vector<std::byte>& row) {
  std::vector<float> y;
  for (std::size_t at = 0; at != row.size(); at += gguf::info_of(type).bytes)
    append_values(type, reinterpret_cast<const std::uint8_t*>(row.data()) + at, y);
  return y;
}

}  // namespace

TEST_CASE("a row that nothing changes is written with the bytes it had") {
  for (const tensor_type type : all_types()) {
    CAPTURE(gguf::info_of(type).name);
    const stored_values stored(type);
    const std::size_t row = stored.matrix.row_bytes();
    for (std::size_t r = 0; r != rows; ++r) {
      const auto wanted = std::span(stored.bytes).subspan(r * row, row);
      CHECK(std::ranges::equal(write(stored.matrix, r), wanted));
      const std::vector<float> ones(stored.matrix.steps(), 1.0f);
      CHECK(std::ranges::equal(write(stored.matrix, r, nullptr, ones), wanted));
      const std::vector<float> same = read(stored.matrix, r);  // its own values are the nearest to themselves
      CHECK(std::ranges::equal(write(stored.matrix, r, same.data(), ones), wanted));
    }
  }
}

TEST_CASE("what is written of a row is read as the numbers that were computed with") {
  for (const tensor_type type : block_types) {
    CAPTURE(gguf::info_of(type).name);
    const stored_values stored(type);
    REQUIRE(stored.matrix.steps() == cols / gguf::info_of(type).elements);
    const std::vector<float> values = random_floats(cols, 20, 0.1f);
    for (const float* of : {static_cast<const float*>(nullptr), values.data()}) {
      std::vector<float> factors = random_floats(stored.matrix.steps(), 21, 0.3f);
      for (float& f : factors) f += 1;
      CHECK(read(stored.matrix, 1, of, factors) == own_values(type, write(stored.matrix, 1, of, factors)));
    }
  }
}

TEST_CASE("factors scale what blocks stand for, as far as half precision goes, and leave the codes") {
  for (const tensor_type type : block_types) {
    CAPTURE(gguf::info_of(type).name);
    const stored_values stored(type);
    const std::size_t of_block = gguf::info_of(type).elements;
    std::vector<float> factors = random_floats(stored.matrix.steps(), 22, 0.3f);
    for (float& f : factors) f += 1;
    const std::vector<float> before = read(stored.matrix, 0), after = read(stored.matrix, 0, nullptr, factors);
    float greatest = 0;
    for (const float x : before) greatest = std::max(greatest, std::abs(x));
    for (std::size_t i = 0; i != cols; ++i) {
      CAPTURE(i);
      // Scale and minimum are rounded apart, and each reaches over the range.
      CHECK(std::abs(after[i] - before[i] * factors[i / of_block]) <= 4 * greatest * 0x1p-11f);
    }
    CHECK(after != before);
    std::vector<float> beyond(stored.matrix.steps(), 1e9f);
    for (const float x : read(stored.matrix, 0, nullptr, beyond)) CHECK(std::isfinite(x));
    gguf::with_block(type, [&]<gguf::block B>() {
      const std::vector<std::byte> was = write(stored.matrix, 0), is = write(stored.matrix, 0, nullptr, factors);
      for (std::size_t b = 0; b != cols / B::elements; ++b) {
        B x, y;
        std::memcpy(&x, was.data() + b * sizeof(B), sizeof(B));
        std::memcpy(&y, is.data() + b * sizeof(B), sizeof(B));
        for (std::size_t i = 0; i != B::elements; ++i) CHECK(x.code(i) == y.code(i));
      }
    });
  }
}

TEST_CASE("values become the nearest that a block can stand for with the grids it has") {
  for (const tensor_type type : block_types) {
    CAPTURE(gguf::info_of(type).name);
    const stored_values stored(type);
    const std::vector<float> values = random_floats(cols, 23, 0.13f);  // some beyond the ends of the grids
    const std::vector<float> found = read(stored.matrix, 2, values.data());
    gguf::with_block(type, [&]<gguf::block B>() {
      const std::vector<std::byte> was = write(stored.matrix, 2);
      for (std::size_t b = 0; b != cols / B::elements; ++b) {
        B x;
        std::memcpy(&x, was.data() + b * sizeof(B), sizeof(B));
        std::vector<float> nearest(B::elements, std::numeric_limits<float>::infinity()), of_code(B::elements);
        for (unsigned code = 0; code != 1u << B::bits; ++code) {
          for (std::size_t i = 0; i != B::elements; ++i) x.set_code(i, code);
          gguf::decode(x, of_code.data());
          for (std::size_t i = 0; i != B::elements; ++i)
            nearest[i] = std::min(nearest[i], std::abs(of_code[i] - values[b * B::elements + i]));
        }
        for (std::size_t i = 0; i != B::elements; ++i) {
          const float error = std::abs(found[b * B::elements + i] - values[b * B::elements + i]);
          CHECK(error <= nearest[i] + 1e-6f);
        }
      }
    });
  }
  for (const tensor_type type : float_types) {
    CAPTURE(gguf::info_of(type).name);
    const stored_values stored(type);
    const std::vector<float> values = random_floats(cols, 24);
    std::vector<float> wanted = values;
    for (float& x : wanted) {
      if (type == tensor_type::f16) x = static_cast<float>(fp16(x));
      if (type == tensor_type::bf16) x = static_cast<float>(bf16(x));
    }
    CHECK(stored.matrix.steps() == 0);
    CHECK(read(stored.matrix, 2, values.data()) == wanted);
    std::vector<float> in_place = values;
    stored.matrix.read_row(2, in_place.data(), {}, in_place.data());
    CHECK(in_place == wanted);
  }
}

TEST_CASE("the unit of a row is the distance of its numbers") {
  const auto unit = [](tensor_type type) { return stored_values(type).matrix.unit(0); };
  // The values span 0.2, and the types have so many steps for that.
  CHECK(unit(tensor_type::q8_0) == doctest::Approx(0.2 / 254).epsilon(0.1));
  CHECK(unit(tensor_type::q4_1) == doctest::Approx(0.2 / 15).epsilon(0.1));
  CHECK(unit(tensor_type::q4_k) == doctest::Approx(0.2 / 15).epsilon(0.1));
  CHECK(unit(tensor_type::q6_k) == doctest::Approx(0.2 / 63).epsilon(0.15));
  CHECK(unit(tensor_type::f16) == doctest::Approx(0.1 / 128).epsilon(0.02));
  std::vector<std::byte> zeros(cols * 4);
  gguf::tensor t;
  static_cast<gguf::tensor_info&>(t) = {"w", tensor_type::f32, {1, cols}};
  t.data = zeros;
  CHECK(gguf::stored_matrix(t).unit(0) > 0);
}
