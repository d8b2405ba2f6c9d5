// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <optional>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// The tensor of numbers, one for each pair of a head, that the frequencies of rotary embeddings are divided by.
inline constexpr const char* rope_factors_name = "rope_freqs.weight";

/// These numbers for the scaling of a model.
[[nodiscard]] inline std::vector<float> rope_factors(const model_shape& shape) {
  std::vector<float> factors(shape.head_size / 2);
  for (std::size_t i = 0; i != factors.size(); ++i) {
    const double frequency = rope_frequency(i, shape.head_size, shape.rope_theta);
    factors[i] = static_cast<float>(frequency / scaled_frequency(frequency, shape.rope_scaling));
  }
  return factors;
}

namespace detail {

/// A pair whose frequency is scaled by less than the greatest factor: how often it turns for each original position,
/// and which part of the way from all to nothing it goes.
struct rope_point {
  double turns, part;
};

[[nodiscard]] inline double turns_of(std::size_t i, const model_shape& shape) noexcept {
  return rope_frequency(i, shape.head_size, shape.rope_theta) / (2 * std::numbers::pi);
}

/// The number of positions from which the pairs between `low` and `high` are scaled as the factors say, where those
/// alone leave it open: LLaMA 3's frequency factors, 1 and 4, are taken.
[[nodiscard]] inline double original_positions(std::span<const float> factors, const model_shape& shape,
                                               std::span<const rope_point> between, float greatest) noexcept {
  if (!between.empty()) return (between[0].part * 3 + 1) / between[0].turns;
  double above = 0, below = 0;  // turns of the slowest pair that stays, and of the fastest that is scaled wholly
  for (std::size_t i = 0; i != factors.size(); ++i)
    if (factors[i] == greatest)
      below = std::max(below, turns_of(i, shape));
    else
      above = turns_of(i, shape);
  return std::sqrt(4 / above * (1 / below));
}

/// LLaMA 3's scaling whose factors these are, as far as they tell.
[[nodiscard]] inline rope_scaling llama3_scaling(std::span<const float> factors, const model_shape& shape,
                                                 float greatest) noexcept {
  constexpr double close = 1e-6;
  std::vector<rope_point> between;
  const double all = 1 / static_cast<double>(greatest);
  for (std::size_t i = 0; i != factors.size(); ++i) {
    const double part = (1 / static_cast<double>(factors[i]) - all) / (1 - all);
    if (part > close && part < 1 - close) between.push_back({turns_of(i, shape), part});
  }
  rope_scaling scaling{.how = rope_scaling::kind::llama3, .factor = greatest};
  double original = 0;
  if (between.size() < 2) {
    original = original_positions(factors, shape, between, greatest);
  } else {  // part = (original · turns − low) / (high − low), where low = 1
    const rope_point first = between.front(), last = between.back();
    const double slope = (first.part - last.part) / (first.turns - last.turns);
    const double offset = slope * first.turns - first.part, high = 1 + 1 / offset;
    const double whole = std::round(high);
    scaling.high_frequency_factor = static_cast<float>(std::abs(high - whole) < 1e-3 ? whole : high);
    original = slope / offset;
  }
  if (original >= 1 && original < 1e9) scaling.original_positions = static_cast<std::size_t>(std::llround(original));
  return scaling;
}

}  // namespace detail

/// The scaling of a model of that shape whose frequencies are divided by these factors, one for each pair of a head:
/// none, of all alike, or LLaMA 3's. Nothing where it is another, which model_shape does not say.
[[nodiscard]] inline std::optional<rope_scaling> scaling_of(std::span<const float> factors, model_shape shape) {
  if (factors.size() != shape.head_size / 2 || factors.empty()) return std::nullopt;
  const auto [least, greatest] = std::ranges::minmax(factors);
  if (!(least > 0 && std::isfinite(greatest))) return std::nullopt;
  shape.rope_scaling = {};
  if (greatest != 1 && least == greatest)
    shape.rope_scaling = {.how = rope_scaling::kind::linear, .factor = greatest};
  else if (greatest != 1)
    shape.rope_scaling = detail::llama3_scaling(factors, shape, greatest);
  constexpr float tolerance = 1e-5f;
  const std::vector<float> same = rope_factors(shape);
  for (std::size_t i = 0; i != factors.size(); ++i)
    if (!(std::abs(same[i] - factors[i]) <= tolerance * factors[i])) return std::nullopt;
  return shape.rope_scaling;
}

}  // namespace zoqat::io::gguf
