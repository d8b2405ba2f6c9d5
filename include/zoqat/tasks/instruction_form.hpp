// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/json_place.hpp>
#include <zoqat/tasks/white_space.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// A question that someone has written as an instruction, taken apart again.
struct instructed_question {
  std::string question;
  std::vector<std::string> answers;  ///< those offered; none for "true or false"
  std::string answer;                ///< "answer1", "true", …: the name of the right one
};

namespace detail {

/// The text between two others, the first of each; nothing where they are not there.
[[nodiscard]] inline std::optional<std::string_view> text_between(std::string_view text, std::string_view before,
                                                                  std::string_view after) {
  const std::size_t begin = text.find(before);
  if (begin == text.npos) return std::nullopt;
  text.remove_prefix(begin + before.size());
  const std::size_t end = text.find(after);
  if (end == text.npos) return std::nullopt;
  return text.substr(0, end);
}

/// "Answer1: a tree Answer2: a fox" as {"a tree", "a fox"}.
[[nodiscard]] inline std::vector<std::string> numbered_answers(std::string_view text) {
  std::vector<std::string> answers;
  for (std::size_t i = 1;; ++i) {
    const std::size_t mark = fmt::formatted_size("Answer{}:", i);
    if (!text.starts_with(fmt::format("Answer{}:", i))) return answers;
    const std::size_t end = std::min(text.find(fmt::format(" Answer{}:", i + 1)), text.size());
    answers.emplace_back(trimmed(text.substr(mark, end - mark)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace detail

/// Takes a record of LLM-Adapters' files (arXiv 2304.01933) apart: its `instruction` is "Please … question:
/// QUESTION", then, where there are any, "Answer1: … Answer2: …" in a paragraph of their own, then "Answer format:
/// …"; `answer` names the right one. Nothing for a record without an instruction. Throws io_error for another kind of
/// instruction.
[[nodiscard]] inline std::optional<instructed_question> read_instructed_question(const io::json_place& record) {
  const auto instruction = record.find("instruction");
  if (!instruction) return std::nullopt;
  const std::string text = instruction->text();
  const auto question = detail::text_between(text, "question: ", "\n\n");
  require<io_error>(question.has_value() && text.find("\n\nAnswer format: ") != text.npos,
                    "{}: \"{}\" is no instruction that is known: \"… question: …\", a paragraph \"Answer1: … "
                    "Answer2: …\" unless it is one of true and false, and \"Answer format: …\" are wanted",
                    instruction->path(), io::detail::excerpt(text));
  const auto answers = detail::text_between(text, "\n\n", "\n\nAnswer format: ");
  return instructed_question{std::string(trimmed(*question)),
                             answers ? detail::numbered_answers(*answers) : std::vector<std::string>{},
                             record["answer"].text()};
}

}  // namespace zoqat::tasks
