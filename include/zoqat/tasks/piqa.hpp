// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/io/json_place.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/label.hpp>
#include <zoqat/tasks/labeled_choices.hpp>
#include <zoqat/tasks/lines.hpp>
#include <zoqat/tasks/records.hpp>
#include <zoqat/tasks/text_template.hpp>
#include <zoqat/tasks/white_space.hpp>

#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// What becomes of a goal of PIQA (arXiv 1911.11641); by default as in piqa 1.0 of lm-evaluation-harness.
struct piqa_format {
  std::string prompt = "Question: {goal}\nAnswer:";
  std::string choice = " {solution}";
};

namespace detail {

inline constexpr std::array<std::string_view, 2> piqa_labels{"0", "1"};

/// The file of labels beside one of goals: `valid-labels.lst` beside `valid.jsonl`.
[[nodiscard]] inline std::filesystem::path piqa_labels_beside(const std::filesystem::path& path) {
  return path.parent_path() / (path.stem().native() + "-labels.lst");
}
[[nodiscard]] inline std::vector<std::size_t> read_piqa_labels(const std::filesystem::path& path) {
  std::vector<std::size_t> labels;
  for_each_line(path, [&](std::string_view line, const std::string& place) {
    labels.push_back(index_of_label(trimmed(line), piqa_labels, place));
  });
  return labels;
}

}  // namespace detail

/// Reads a file of PIQA, JSON lines (`.jsonl`) or an array of objects with `goal`, `sol1`, `sol2`, and perhaps
/// `label`, 0 or 1. Where the first has no label, they are the lines of the official file beside it,
/// `NAME-labels.lst`. Throws io_error with the line, the member and the value for what is no such file, and where
/// there are not as many labels as goals, and value_error for templates with other placeholders than {goal} and
/// {solution}.
[[nodiscard]] inline std::vector<choice_item> read_piqa(const std::filesystem::path& path,
                                                        const piqa_format& format = {}) {
  const text_template prompt(format.prompt, {"goal"}), solution(format.choice, {"solution"});
  const std::filesystem::path beside = detail::piqa_labels_beside(path);
  std::vector<std::size_t> labels;
  bool labels_beside = false;
  item_list<choice_item> items(path);
  for_each_record(path, [&](const io::json_place& record) {
    if (items.size() == 0 && !record.find("label")) {
      labels = detail::read_piqa_labels(beside);
      labels_beside = true;
    }
    const std::size_t number = items.size();
    require<io_error>(!labels_beside || number < labels.size(), "{}: has no line for {}", beside.native(),
                      record.path());
    items.push_back(
        {.prompt = prompt({record["goal"].text()}),
         .choices = detail::candidates_of({record["sol1"].text(), record["sol2"].text()}, solution, record.path()),
         .correct = labels_beside ? labels[number]
                                  : index_of_label(label_text(record["label"]), detail::piqa_labels, record.path())});
  });
  require<io_error>(!labels_beside || labels.size() == items.size(), "{}: {} for the {} of {}", beside.native(),
                    plural(labels.size(), "label"), plural(items.size(), "goal"), path.native());
  return std::move(items).take();
}

}  // namespace zoqat::tasks
