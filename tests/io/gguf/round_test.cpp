// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/round.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/gguf_blocks.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
namespace gguf = zoqat::io::gguf;
using gguf::tensor_type;

namespace {

std::vector<float> rounded(tensor_type type, const std::vector<float>& x) {
  const auto& info = gguf::info_of(type);
  std::vector<std::byte> bytes(x.size() / info.elements * info.bytes);
  gguf::round_row(type, x, bytes);
  std::vector<float> y;
  for (std::size_t b = 0; b != x.size() / info.elements; ++b)
    append_values(type, reinterpret_cast<const std::uint8_t*>(bytes.data()) + b * info.bytes, y);
  return y;
}

std::vector<float> normal(std::size_t n, float scale, float mean = 0) {
  std::mt19937 random(3);
  std::normal_distribution<float> draw(mean, scale);
  std::vector<float> x(n);
  for (float& v : x) v = draw(random);
  return x;
}

// Root of the mean squared error, in the standard deviation of the values.
double relative_error(const std::vector<float>& x, const std::vector<float>& y) {
  double error = 0, power = 0;
  for (std::size_t i = 0; i != x.size(); ++i) {
    error += std::pow(double{x[i]} - double{y[i]}, 2);
    power += std::pow(double{x[i]}, 2);
  }
  return std::sqrt(error / power);
}

struct expectation {
  tensor_type type;
  double error;  // of normal weights, rounded to a grid over their range: steps of that size over √12
};
// Twice to 1.2 times below are wrong grids or codes: each is what it should be to some per cent.
const std::vector<expectation> expectations{
    {tensor_type::q8_0, 0.0050}, {tensor_type::q6_k, 0.0178}, {tensor_type::q5_1, 0.039}, {tensor_type::q5_k, 0.039},
    {tensor_type::q5_0, 0.042},  {tensor_type::q4_1, 0.081},  {tensor_type::q4_k, 0.081}, {tensor_type::q4_0, 0.085},
    {tensor_type::q3_k, 0.160},  {tensor_type::q2_k, 0.345},  {tensor_type::q2_0, 0.69}};

}  // namespace

TEST_CASE("values are rounded with the error that their bits allow, whatever their size") {
  for (const auto& [type, error] : expectations)
    for (const float scale : {1.0f, 0.01f}) {
      CAPTURE(gguf::info_of(type).name);
      const std::vector<float> x = normal(64 * 256, scale);
      const double found = relative_error(x, rounded(type, x));
      CHECK(found < 1.1 * error);
      CHECK(found > 0.8 * error);
    }
}

TEST_CASE("values to one side of zero take the whole grid where a type has minima, or a scale of either sign") {
  const std::vector<float> up = normal(4096, 0.1f, 1);
  std::vector<float> down = up;
  for (float& v : down) v = -v;
  for (const tensor_type type : {tensor_type::q4_0, tensor_type::q5_0, tensor_type::q2_0, tensor_type::q6_k}) {
    CAPTURE(gguf::info_of(type).name);
    CHECK(relative_error(up, rounded(type, up)) == doctest::Approx(relative_error(down, rounded(type, down))));
  }
}

TEST_CASE("zeros stay zeros, and what half precision cannot hold is cut off") {
  for (const auto& [type, error] : expectations) {
    CAPTURE(gguf::info_of(type).name);
    for (const float y : rounded(type, std::vector<float>(256, 0.0f))) CHECK(y == 0);
    std::vector<float> x(256, 1e9f);
    for (const float y : rounded(type, x)) CHECK(std::isfinite(y));
    x.assign(256, 1e-30f);
    for (const float y : rounded(type, x)) CHECK(std::abs(y) < 1e-6f);
  }
}

TEST_CASE("floats of 32 and 16 bits are written as they are") {
  const std::vector<float> x{1.5f, -0.1f, 3e-6f};
  std::vector<std::byte> bytes(12);
  gguf::round_row(tensor_type::f32, x, bytes);
  CHECK(std::memcmp(bytes.data(), x.data(), 12) == 0);
  for (std::size_t i = 0; i != 3; ++i) {
    std::uint16_t bits[3];
    gguf::round_row(tensor_type::f16, x, std::span(bytes).first(6));
    std::memcpy(bits, bytes.data(), 6);
    CHECK(bits[i] == fp16(x[i]).bits);
    gguf::round_row(tensor_type::bf16, x, std::span(bytes).first(6));
    std::memcpy(bits, bytes.data(), 6);
    CHECK(bits[i] == bf16(x[i]).bits);
  }
  check_mentions(message_of<value_error>([&] { gguf::round_row(tensor_type::iq2_xs, x, bytes); }), "IQ2_XS");
}
