// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// A question with a few candidates for what follows it, one of which is right. A candidate begins with the white
/// space that parts it from the prompt.
struct choice_item {
  std::string prompt;
  std::vector<std::string> choices;
  std::size_t correct = 0;  ///< index into `choices`

  friend bool operator==(const choice_item&, const choice_item&) = default;
};

/// A question whose candidates are how a sentence begins, while what follows is the same: the one after which that is
/// most likely is chosen (partial scoring of Trinh and Le, arXiv 1806.02847).
struct cloze_item {
  std::vector<std::string> prompts;
  std::string completion;   ///< begins with the white space that parts it from a prompt
  std::size_t correct = 0;  ///< index into `prompts`

  friend bool operator==(const cloze_item&, const cloze_item&) = default;
};

/// A question that is answered freely.
struct answer_item {
  std::string prompt;
  std::string completion;            ///< what training makes follow the prompt: the first answer and how it ends
  std::vector<std::string> answers;  ///< all that count as right, at least one
  std::string id;                    ///< of the question in its file

  friend bool operator==(const answer_item&, const answer_item&) = default;
};

}  // namespace zoqat::tasks
