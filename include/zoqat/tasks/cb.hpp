// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/json_place.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/label.hpp>
#include <zoqat/tasks/records.hpp>
#include <zoqat/tasks/text_template.hpp>

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// The labels of CommitmentBank, in the order of a format's choices.
inline constexpr std::array<std::string_view, 3> cb_labels{"entailment", "contradiction", "neutral"};

/// What becomes of an item of CommitmentBank; by default as in MeZO (arXiv 2305.17333, its templates.py).
struct cb_format {
  std::string prompt = "Suppose {premise} Can we infer that \"{hypothesis}\"? Yes, No, or Maybe?\n";
  std::array<std::string, 3> choices{"Yes", "No", "Maybe"};  ///< of `cb_labels`
};

/// Reads a file of SuperGLUE's CB: JSON lines (`.jsonl`) or an array of objects with `premise`, `hypothesis` and
/// `label`. Throws io_error with the line, the member and the value for what is no such file (SuperGLUE's own test
/// file has no labels), and value_error for a template with other placeholders than {premise} and {hypothesis}.
[[nodiscard]] inline std::vector<choice_item> read_cb(const std::filesystem::path& path,
                                                      const cb_format& format = {}) {
  const text_template prompt(format.prompt, {"premise", "hypothesis"});
  item_list<choice_item> items(path);
  for_each_record(path, [&](const io::json_place& record) {
    const io::json_place label = record["label"];
    items.push_back({.prompt = prompt({record["premise"].text(), record["hypothesis"].text()}),
                     .choices = {format.choices.begin(), format.choices.end()},
                     .correct = index_of_label(label.text(), cb_labels, label.path())});
  });
  return std::move(items).take();
}

}  // namespace zoqat::tasks
