// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/tasks/csv.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/label.hpp>
#include <zoqat/tasks/text_template.hpp>
#include <zoqat/tasks/white_space.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// What becomes of a question of MMLU (arXiv 2009.03300); by default as in mmlu 1.0 of lm-evaluation-harness, where
/// the letter of the answer is scored and the five examples are the first of the dev file.
struct mmlu_format {
  std::string prompt = "{question}\nA. {a}\nB. {b}\nC. {c}\nD. {d}\nAnswer:";
  std::array<std::string, 4> choices{" A", " B", " C", " D"};
};

/// What begins the prompts of a subject there: its name is that of its files, such as high_school_us_history.
[[nodiscard]] inline std::string mmlu_description(std::string subject) {
  std::ranges::replace(subject, '_', ' ');
  return "The following are multiple choice questions (with answers) about " + subject + ".\n\n";
}

/// Reads a CSV file of one subject of MMLU: question, four answers, and the right one as a letter, as in the official
/// files, or as a number from 0. A header line, which the official files do not have, ends with the word "answer".
/// Throws io_error with the line and the value for what is no such file, and value_error for a template with other
/// placeholders than {question}, {a}, {b}, {c} and {d}.
[[nodiscard]] inline std::vector<choice_item> read_mmlu(const std::filesystem::path& path,
                                                        const mmlu_format& format = {}) {
  constexpr std::array<std::string_view, 8> answers{"A", "B", "C", "D", "0", "1", "2", "3"};
  const text_template prompt(format.prompt, {"question", "a", "b", "c", "d"});
  item_list<choice_item> items(path);
  bool first = true;
  for_each_csv_record(path, [&](const std::vector<std::string>& fields, const std::string& place) {
    if (std::exchange(first, false) && fields.back() == "answer") return;
    require<io_error>(fields.size() == 6,
                      "{}: {} between commas, but a question, four answers and the right one are "
                      "wanted: \"{}\"",
                      place, plural(fields.size(), "field"), io::detail::excerpt(fields.front()));
    items.push_back({.prompt = prompt({trimmed(fields[0]), fields[1], fields[2], fields[3], fields[4]}),
                     .choices = {format.choices.begin(), format.choices.end()},
                     .correct = index_of_label(trimmed(fields[5]), answers, place) % 4});
  });
  return std::move(items).take();
}

}  // namespace zoqat::tasks
