// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/zo/difference.hpp>
#include <zoqat/zo/directions/element_words.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace zoqat::inline ZOQAT_ABI::zo {

/// Central differences less their bias, by randomized truncation (cf. arXiv 2510.19953). With D(h) the central
/// difference at h, D(ε / 2^levels) = D(ε) + Σ_n (D(ε / 2^(n+1)) − D(ε / 2^n)); one term n < `levels` of the sum is
/// drawn, with probability p_n in proportion to 4⁻ⁿ, and divided by p_n. So the estimate is unbiased for the gradient
/// smoothed over ε / 2^levels, and the bias of a smooth loss, (ε²/2) ∇Δf + …, is 4^levels times smaller.
///
/// For losses that are smooth and all but free of noise. A quantized one has the derivative zero almost everywhere,
/// and to smooth it over ε is what makes it trainable: there the correction drives the estimate to zero and its
/// variance up. Noise of variance σ² in an evaluation is the price of the rare terms: term n divides by a scale 2ⁿ
/// times smaller and by p_n, so that it adds 1 + (4/9)(1 − 4^(−levels))(16^levels − 1) times the dσ²/2ε² of
/// `central`, 6 times at one level and 29,014 times at four.
///
/// Cost: six lanes per direction. The error on a linear loss is that of `central`.
struct telescoping {
  static constexpr std::size_t lanes_of_direction = 6;

  std::uint32_t levels = 4;  ///< at most 20

  static constexpr std::size_t lanes(std::size_t directions) noexcept { return lanes_of_direction * directions; }
  /// Throws value_error for a number of levels that is not possible.
  void place(std::span<const perturbation> along, std::span<perturbation> lanes) const {
    require(levels > 0 && levels <= 20, "telescoping: {} levels; 1 to 20 are possible", levels);
    for (std::size_t i = 0; i != along.size(); ++i) {
      const std::uint32_t n = drawn(along[i].along);
      const auto pair = lanes.subspan(lanes_of_direction * i, lanes_of_direction);
      put(along[i], 1, pair);
      put(along[i], std::ldexp(1.0f, -static_cast<int>(n)), pair.subspan(2));
      put(along[i], std::ldexp(1.0f, -static_cast<int>(n) - 1), pair.subspan(4));
    }
  }
  void half_differences(std::span<const perturbation> along, std::span<const double> losses,
                        std::span<double> out) const {
    for (std::size_t i = 0; i != out.size(); ++i) {
      const std::uint32_t n = drawn(along[i].along);
      const auto of = [&](std::size_t pair) {
        const double* const at = losses.data() + lanes_of_direction * i + 2 * pair;
        return (at[0] - at[1]) / 2;
      };
      out[i] = of(0) + std::ldexp(2 * of(2) - of(1), static_cast<int>(n)) / probability(n);
    }
  }

 private:
  static void put(const perturbation& along, float factor, std::span<perturbation> pair) {
    pair[0] = along;
    for (const parameter_group group : all_parameter_groups) pair[0].scale[group] *= factor;
    pair[1] = -pair[0];
  }
  /// 3 · 4⁻ⁿ⁻¹ / (1 − 4^(−levels)).
  [[nodiscard]] double probability(std::uint32_t n) const noexcept {
    return std::ldexp(3.0, -2 * static_cast<int>(n) - 2) / (1 - std::ldexp(1.0, -2 * static_cast<int>(levels)));
  }
  /// The term of a direction: the n into whose part of [0, 1) its random number falls.
  [[nodiscard]] std::uint32_t drawn(const direction& along) const noexcept {
    double rest = std::ldexp(detail::choices_of(along.of_tensor(detail::no_tensor)).bits(0)[3], -32);
    std::uint32_t n = 0;
    while (n + 1 < levels && rest >= probability(n)) rest -= probability(n++);
    return n;
  }
};

static_assert(separable_difference<telescoping>);

}  // namespace zoqat::zo
