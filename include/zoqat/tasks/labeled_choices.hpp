// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/io/json_place.hpp>
#include <zoqat/tasks/instruction_form.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/label.hpp>
#include <zoqat/tasks/records.hpp>
#include <zoqat/tasks/text_template.hpp>
#include <zoqat/tasks/white_space.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

namespace detail {

/// A question with choices that have labels of their own, such as A to D or 1 to 4.
struct labeled_question {
  std::string stem;
  std::vector<std::string> choices, labels;
  std::string answer;
};

/// Reads {"question": {"stem", "choices": [{"text", "label"}, …]}, "answerKey"} of the Allen Institute's own files;
/// the form of Hugging Face, {"question" or "question_stem", "choices": {"text": […], "label": […]}, "answerKey"}; or
/// that of `read_instructed_question`.
[[nodiscard]] inline labeled_question read_labeled_question(const io::json_place& record) {
  if (auto instructed = read_instructed_question(record)) {
    labeled_question result{std::move(instructed->question), std::move(instructed->answers), {}, instructed->answer};
    for (std::size_t i = 1; i <= result.choices.size(); ++i) result.labels.push_back(fmt::format("answer{}", i));
    return result;
  }
  labeled_question result{{}, {}, {}, std::string(trimmed(record["answerKey"].text()))};
  const auto stem = record.find("question_stem");
  const io::json_place question = stem ? *stem : record["question"];
  if (question.value().is_object()) {
    result.stem = question["stem"].text();
    question["choices"].for_each([&](const io::json_place& choice) {
      result.choices.push_back(choice["text"].text());
      result.labels.push_back(choice["label"].text());
    });
  } else {
    result.stem = question.text();
    const io::json_place choices = record["choices"];
    choices["text"].for_each([&](const io::json_place& text) { result.choices.push_back(text.text()); });
    choices["label"].for_each([&](const io::json_place& label) { result.labels.push_back(label.text()); });
    require<io_error>(result.choices.size() == result.labels.size(), "{}: {} but {}", choices.path(),
                      plural(result.choices.size(), "text"), plural(result.labels.size(), "label"));
  }
  return result;
}

/// The choices of an item as candidates. Throws io_error where there are fewer than two or one is empty.
[[nodiscard]] inline std::vector<std::string> candidates_of(const std::vector<std::string>& choices,
                                                            const text_template& candidate, std::string_view place) {
  require<io_error>(choices.size() > 1, "{}: {} to choose from, but at least two are wanted", place,
                    plural(choices.size(), "answer"));
  std::vector<std::string> candidates;
  for (const std::string& choice : choices) {
    require<io_error>(!choice.empty(), "{}: answer {} of {} is empty; it has no token to be scored by", place,
                      candidates.size() + 1, choices.size());
    candidates.push_back(candidate({choice}));
  }
  return candidates;
}

}  // namespace detail

/// Reads questions with labeled choices, as ARC and OpenBookQA have them: `prompt` has {question}, `choice` has
/// {choice}. Throws io_error with the line or element, the member and the value for what is no such file.
[[nodiscard]] inline std::vector<choice_item> read_labeled_choices(const std::filesystem::path& path,
                                                                   std::string_view prompt, std::string_view choice) {
  const text_template question(prompt, {"question"}), candidate(choice, {"choice"});
  item_list<choice_item> items(path);
  for_each_record(path, [&](const io::json_place& record) {
    const detail::labeled_question found = detail::read_labeled_question(record);
    const std::vector<std::string_view> labels(found.labels.begin(), found.labels.end());
    items.push_back({.prompt = question({found.stem}),
                     .choices = detail::candidates_of(found.choices, candidate, record.path()),
                     .correct = index_of_label(found.answer, labels, record.path())});
  });
  return std::move(items).take();
}

}  // namespace zoqat::tasks
