// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <array>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// Where `prepare` goes. The first four continue from one another; the others are the starts that they are measured
/// against, each from rounding to nearest.
enum class stage {
  rtn,                  ///< grids from the ranges of the weights, round-to-nearest
  smoothquant,          ///< smoothing from the ranges of inputs and weights, where the scheme smooths its inputs
  ranges,               ///< clipping ranges by reconstruction; the weights stay
  codes,                ///< ranges, codes and step sizes by reconstruction
  clip,                 ///< round-to-nearest on clipped ranges of the least error (ptq/clip_search.hpp)
  gptq,                 ///< codes by GPTQ (ptq/gptq.hpp)
  outlier_suppression,  ///< shift and scale of inputs by Outlier Suppression+ (ptq/outlier_suppression.hpp)
  rptq,                 ///< channels of inputs by their ranges (ptq/reorder.hpp), round-to-nearest
};
/// The names of the stages, in their order.
inline constexpr std::array<std::string_view, 8> stage_names{"rtn",  "smoothquant", "ranges", "codes",
                                                             "clip", "gptq",        "os+",    "rptq"};
/// Whether a stage chooses grids one by one, for which a scheme must hold them.
[[nodiscard]] constexpr bool chooses_grids(stage s) noexcept {
  return s == stage::ranges || s == stage::codes || s == stage::clip || s == stage::gptq;
}

}  // namespace zoqat::ptq
