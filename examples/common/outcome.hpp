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

/// A line for a training whose best step by the validation score is its start, with what it scored at the end;
/// nothing where a step was better. Of scores, more is better.
[[nodiscard]] inline std::string note_if_kept(unsigned best_step, double start, double end, std::string_view advice) {
  if (best_step != 0) return {};
  return fmt::format(
      "No step scored better than the start, which is kept: validation was {:.4g} at the start and {:.4g} at the "
      "end. "
      "{}\n",
      start, end, advice);
}

}  // namespace zoqat::programs
