// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/params/parameter.hpp>

#include <cmath>

namespace zoqat::inline ZOQAT_ABI::zo {

/// The ε of each group that make the estimate of all groups together as good as it can be, for directions whose
/// groups are measured at once. With d_k elements and a gradient g_k in group k, the error in the group is
/// d_k Σ_j ε_j²‖g_j‖² / ε_k² + O(‖g_k‖²): a strong group is noise for all the others. The sum is least where
/// ε_k² ∝ √d_k / ‖g_k‖, and is then (Σ √d_k ‖g_k‖)², instead of (Σ d_k)(Σ ‖g_k‖²) for one ε.
///
/// `elements` are the d_k and `gradient` the ‖g_k‖, in units of the parameters; a group with neither gets 0, and does
/// not move. `slope` is the root mean square of the slopes, (L⁺ − L⁻) / 2, that the ε are to lead to: only it decides
/// how large they are. Throws value_error for a group with elements whose gradient is not positive, or a `slope` that
/// is not.
[[nodiscard]] inline per_group<float> best_scales(const per_group<double>& elements,
                                                  const per_group<double>& gradient, double slope) {
  require(slope > 0 && std::isfinite(slope), "best_scales: a slope of {}; it must be positive", slope);
  double sum = 0;
  for (const parameter_group group : all_parameter_groups) {
    if (elements[group] == 0) continue;
    require(elements[group] > 0 && gradient[group] > 0 && std::isfinite(gradient[group]),
            "best_scales: {} elements with a gradient of {}; both must be positive", elements[group],
            gradient[group]);
    sum += std::sqrt(elements[group]) * gradient[group];
  }
  per_group<float> epsilon;
  for (const parameter_group group : all_parameter_groups)
    if (elements[group] > 0)
      epsilon[group] = static_cast<float>(slope * std::sqrt(std::sqrt(elements[group]) / (gradient[group] * sum)));
  return epsilon;
}

}  // namespace zoqat::zo
