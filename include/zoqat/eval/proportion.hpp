// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>

#include <cmath>
#include <cstddef>
#include <span>

namespace zoqat::inline ZOQAT_ABI::eval {

/// The part of items that are right, in [0, 1], and by how much chance moves it.
struct proportion {
  double value = 0, standard_error = 0;
  std::size_t items = 0;

  friend bool operator==(const proportion&, const proportion&) = default;
};

/// That of a sample: its standard error is √(p (1 − p) / (n − 1)), as in lm-evaluation-harness, and 0 for one item.
/// Throws value_error for no items.
[[nodiscard]] inline proportion proportion_of(std::size_t right, std::size_t items) {
  require(items > 0, "proportion_of: there are no items");
  const double p = static_cast<double>(right) / static_cast<double>(items);
  return {p, items > 1 ? std::sqrt(p * (1 - p) / static_cast<double>(items - 1)) : 0, items};
}

/// That of all items of several parts, as the harness takes it for a group whose parts weigh as much as they have
/// items; the standard error is that of the pooled variance of the parts. Throws value_error for no parts at all.
[[nodiscard]] inline proportion pooled(std::span<const proportion> parts) {
  require(!parts.empty(), "pooled: there are no parts");
  double right = 0, variance = 0, freedom = 0;
  std::size_t items = 0;
  for (const proportion& part : parts) {
    const auto n = static_cast<double>(part.items);
    right += part.value * n;
    variance += (n - 1) * part.standard_error * part.standard_error * n;
    freedom += n - 1;
    items += part.items;
  }
  const auto n = static_cast<double>(items);
  return {right / n, freedom > 0 ? std::sqrt(variance / freedom / n) : 0, items};
}

}  // namespace zoqat::eval
