// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

/// What a program says of a training that was of no use, so that nobody takes its result for an improvement.
namespace zoqat::programs {

/// A line for a training that ended worse than it began, with `advice`; nothing for another. Of `measure`, such as
/// the perplexity, less is better, and what is no number is worse than any.
[[nodiscard]] inline std::string note_if_worse(std::string_view measure, double start, double end,
                                               std::string_view advice) {
  if (end <= start) return {};
  return fmt::format(
      "The training ended worse than it began: {} was {:.6g} at the start and is {:.6g} at the end. {}\n", measure,
      start, end, advice);
}

/// Whether a training ended worse than it began, by more than the part `chance` of what was.
[[nodiscard]] constexpr bool is_worse(double start, double end, double chance) noexcept {
  return !(end <= start * (1 + chance));
}

/// A line for a start that is worse than rounding to nearest, which costs nothing; nothing for another.
[[nodiscard]] inline std::string note_if_useless_start(std::string_view measure, double rounded, double start,
                                                       std::string_view advice) {
  if (start <= rounded) return {};
  return fmt::format("The start is worse than rounding to nearest: {} is {:.6g}, where rounding gives {:.6g}. {}\n",
                     measure, start, rounded, advice);
}

/// A line for a training whose best step by a score on validation data is its start, with what `measure` was at the
/// start and at the end; nothing where a step was better.
[[nodiscard]] inline std::string note_if_kept(unsigned best_step, std::string_view measure, double start, double end,
                                              std::string_view advice) {
  if (best_step != 0) return {};
  return fmt::format(
      "No step scored better than the start, which is kept: {} was {:.6g} at the start and {:.6g} at the end. {}\n",
      measure, start, end, advice);
}

}  // namespace zoqat::programs
