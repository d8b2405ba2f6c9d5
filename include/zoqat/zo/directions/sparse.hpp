// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/zo/direction.hpp>
#include <zoqat/zo/directions/element_words.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::zo {

/// The elements of another distribution, each kept with probability p and divided by √p, without which the estimate
/// would be p times the gradient. Kurtosis κ/p: for one direction on a linear loss E‖ĝ‖² = (d − 1 + κ/p)‖g‖², that is
/// d − 1 + 3/p for Gaussian and d − 1 + 1/p for Rademacher elements. It costs variance, never saves any; what it buys
/// is that a step moves few weights, each of them far enough to change its code.
template <elementwise_distribution Base>
class sparse {
  static constexpr std::string_view prefix = "sparse ";

 public:
  /// Keeps elements with `probability`, in steps of 2⁻³². Throws value_error where it is not in (0, 1].
  explicit sparse(double probability = 0.1, Base base = {}) : base_(base) {
    require(probability > 0 && probability <= 1, "sparse: a probability of {} is not in (0, 1]", probability);
    const double kept = std::max(1.0, std::round(std::ldexp(probability, 32)));
    last_kept_ = static_cast<std::uint32_t>(kept - 1);
    scale_ = static_cast<float>(1 / std::sqrt(std::ldexp(kept, -32)));
  }

  static constexpr const char* name() noexcept { return detail::prefixed_name<prefix, Base>.data(); }
  /// The probability that an element is kept.
  [[nodiscard]] double probability() const noexcept { return std::ldexp(static_cast<double>(last_kept_) + 1, -32); }

  template <class Kernels>
  void fill(rng::stream s, std::uint64_t first, float* out, std::size_t n) const noexcept {
    base_.template fill<Kernels>(s, first, out, n);
    detail::for_each_element_words<Kernels>(
        detail::choices_of(s), first, n,
        [out, last = last_kept_, scale = scale_](std::size_t at, std::size_t count, const std::uint32_t* words) {
          for (std::size_t i = 0; i != count; ++i) {
            const float kept = out[at + i] * scale;
            out[at + i] = words[i] <= last ? kept : 0.0f;
          }
        });
  }
  friend bool operator==(const sparse& a, const sparse& b) noexcept {
    return a.last_kept_ == b.last_kept_ && detail::same_settings(a.base_, b.base_);
  }

 private:
  [[no_unique_address]] Base base_;
  std::uint32_t last_kept_;
  float scale_;
};

using sparse_gaussian = sparse<gaussian>;
using sparse_rademacher = sparse<rademacher>;

static_assert(elementwise_distribution<sparse_gaussian> && elementwise_distribution<sparse_rademacher>);

}  // namespace zoqat::zo
