// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/json_place.hpp>
#include <zoqat/tasks/instruction_form.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/label.hpp>
#include <zoqat/tasks/records.hpp>
#include <zoqat/tasks/text_template.hpp>

#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// What becomes of a question of BoolQ (arXiv 1905.10044); by default as in boolq 2.0 of lm-evaluation-harness.
struct boolq_format {
  std::string prompt = "{passage}\nQuestion: {question}?\nAnswer:";
  std::string prompt_without_passage = "Question: {question}?\nAnswer:";  ///< of instructions, which hold none
  std::array<std::string, 2> choices{" no", " yes"};                      ///< of false and true
};

namespace detail {

/// Whether the answer is yes: `answer` of the official files, `label` of SuperGLUE's, where it may be a number.
[[nodiscard]] inline std::size_t boolq_answer(const io::json_place& record) {
  constexpr std::array<std::string_view, 4> labels{"false", "true", "0", "1"};
  const auto answer = record.find("answer");
  const io::json_place label = answer ? *answer : record["label"];
  if (label.value().is_boolean()) return label.as<bool>() ? 1 : 0;
  return index_of_label(label_text(label), labels, label.path()) % 2;
}

}  // namespace detail

/// Reads a file of BoolQ: the official JSON lines (`.jsonl`) with `question`, `passage` and `answer`, SuperGLUE's,
/// with `label`, or LLM-Adapters' instructions, which have no passage: a model then answers from what it knows, and
/// its accuracy is not comparable with others. Throws io_error with the line, the member and the value for what is no
/// such file, and value_error for templates with other placeholders than {passage} and {question}.
[[nodiscard]] inline std::vector<choice_item> read_boolq(const std::filesystem::path& path,
                                                         const boolq_format& format = {}) {
  const text_template prompt(format.prompt, {"passage", "question"});
  const text_template alone(format.prompt_without_passage, {"question"});
  item_list<choice_item> items(path);
  for_each_record(path, [&](const io::json_place& record) {
    std::string text;
    if (auto instructed = read_instructed_question(record)) {
      if (instructed->question.ends_with('?')) instructed->question.pop_back();  // the prompt has one
      text = alone({instructed->question});
    } else {
      text = prompt({record["passage"].text(), record["question"].text()});
    }
    items.push_back({.prompt = std::move(text),
                     .choices = {format.choices.begin(), format.choices.end()},
                     .correct = detail::boolq_answer(record)});
  });
  return std::move(items).take();
}

}  // namespace zoqat::tasks
