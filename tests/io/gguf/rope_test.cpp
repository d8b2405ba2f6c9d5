// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/rope.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <numbers>
#include <vector>

using namespace zoqat;
namespace gguf = zoqat::io::gguf;

namespace {

model_shape shape_of(std::size_t head_size, float theta, rope_scaling scaling) {
  model_shape shape;
  shape.head_size = head_size;
  shape.rope_theta = theta;
  shape.rope_scaling = scaling;
  return shape;
}
rope_scaling llama3(float factor, std::size_t original, float high = 4) {
  return {.how = rope_scaling::kind::llama3,
          .factor = factor,
          .low_frequency_factor = 1,
          .high_frequency_factor = high,
          .original_positions = original};
}

}  // namespace

TEST_CASE("factors are those that converters write") {
  // As Hugging Face's files are converted: by wavelengths.
  const model_shape shape = shape_of(128, 5e5f, llama3(8, 8192));
  const std::vector<float> found = gguf::rope_factors(shape);
  REQUIRE(found.size() == 64);
  for (std::size_t i = 0; i != 64; ++i) {
    const double frequency = 1 / std::pow(5e5, static_cast<double>(2 * i) / 128);
    const double wavelength = 2 * std::numbers::pi / frequency;
    double wanted = 8;
    if (wavelength < 8192.0 / 4)
      wanted = 1;
    else if (wavelength <= 8192.0) {
      const double smooth = (8192 / wavelength - 1) / (4 - 1);
      wanted = 1 / ((1 - smooth) / 8 + smooth);
    }
    CHECK(static_cast<double>(found[i]) == doctest::Approx(wanted).epsilon(1e-6));
  }
}

TEST_CASE("a scaling is known again by its factors") {
  const std::vector<rope_scaling> scalings{
      {}, {.how = rope_scaling::kind::linear, .factor = 2.5f}, llama3(8, 8192), llama3(32, 8192), llama3(4, 3000, 5)};
  for (const rope_scaling& scaling : scalings)
    for (const std::size_t head_size : {std::size_t{64}, std::size_t{128}}) {
      CAPTURE(static_cast<double>(scaling.factor));
      const model_shape shape = shape_of(head_size, 5e5f, scaling);
      const auto found = gguf::scaling_of(gguf::rope_factors(shape), shape);
      REQUIRE(found.has_value());
      CHECK(*found == scaling);
    }
  // Heads so small that other scalings have the same factors: one of these.
  for (const std::size_t head_size : {std::size_t{2}, std::size_t{6}, std::size_t{12}, std::size_t{16}})
    for (const std::size_t original : {std::size_t{32}, std::size_t{500}, std::size_t{8192}}) {
      CAPTURE(head_size);
      CAPTURE(original);
      model_shape shape = shape_of(head_size, 5e5f, llama3(8, original));
      const std::vector<float> factors = gguf::rope_factors(shape);
      const auto found = gguf::scaling_of(factors, shape);
      REQUIRE(found.has_value());
      shape.rope_scaling = *found;
      const std::vector<float> again = gguf::rope_factors(shape);
      for (std::size_t i = 0; i != factors.size(); ++i) CHECK(again[i] == doctest::Approx(factors[i]).epsilon(1e-5));
    }
}

TEST_CASE("factors of no such scaling are not taken for one") {
  const model_shape shape = shape_of(128, 5e5f, llama3(8, 8192));
  std::vector<float> factors = gguf::rope_factors(shape);
  CHECK_FALSE(gguf::scaling_of(std::vector<float>(63, 1.0f), shape).has_value());
  CHECK_FALSE(gguf::scaling_of(std::vector<float>(64, 0.0f), shape).has_value());
  for (const std::size_t i : {std::size_t{0}, std::size_t{30}, std::size_t{63}}) {
    std::vector<float> other = factors;
    other[i] *= 1.01f;
    CHECK_FALSE(gguf::scaling_of(other, shape).has_value());
  }
  std::vector<float> growing(64);
  for (std::size_t i = 0; i != 64; ++i) growing[i] = 1 + 0.1f * static_cast<float>(i);
  CHECK_FALSE(gguf::scaling_of(growing, shape).has_value());
}
