// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <cmath>
#include <concepts>
#include <cstdint>
#include <numbers>

namespace zoqat::inline ZOQAT_ABI::zo {

/// A factor on the learning rate (or on ε) at each step.
template <class S>
concept schedule = requires(const S& s, std::uint32_t step) {
  { s(step) } -> std::convertible_to<double>;
};

/// The same rate throughout: fine-tuning in Table C.1.
struct constant {
  double operator()(std::uint32_t) const noexcept { return 1; }
};

/// From 1 at step 0 to `final` at `steps`: pre-training in Table C.1 (final = 0).
struct linear_decay {
  std::uint32_t steps = 1;
  double final = 0;
  double operator()(std::uint32_t step) const noexcept {
    return step >= steps ? final : 1 + (final - 1) * step / steps;
  }
};

/// From 1 to `final` by equal ratios: for quantities that should shrink by orders of magnitude, such as ε.
struct geometric_decay {
  std::uint32_t steps = 1;
  double final = 0.1;
  double operator()(std::uint32_t step) const noexcept {
    return step >= steps ? final : std::pow(final, static_cast<double>(step) / steps);
  }
};

/// From 1 to `final` along half a cosine.
struct cosine_decay {
  std::uint32_t steps = 1;
  double final = 0;
  double operator()(std::uint32_t step) const noexcept {
    if (step >= steps) return final;
    return final + (1 - final) * (1 + std::cos(std::numbers::pi * step / steps)) / 2;
  }
};

}  // namespace zoqat::zo
