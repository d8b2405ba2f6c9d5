// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json_place.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/label.hpp>
#include <zoqat/tasks/records.hpp>
#include <zoqat/tasks/white_space.hpp>

#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// Reads a file of WinoGrande (arXiv 1907.10641), JSON lines (`.jsonl`) or an array of objects with `sentence`, in
/// which `_` is the blank, `option1`, `option2` and `answer`, 1 or 2. As in winogrande 1.0 of lm-evaluation-harness
/// an option in the blank ends a prompt, and what follows the blank, after a space, is scored. There is no other way
/// to split such a sentence, so there is no template. Throws io_error with the line, the member and the value for
/// what is no such file (the official test file has no answers).
[[nodiscard]] inline std::vector<cloze_item> read_winogrande(const std::filesystem::path& path) {
  constexpr std::array<std::string_view, 2> answers{"1", "2"};
  item_list<cloze_item> items(path);
  for_each_record(path, [&](const io::json_place& record) {
    const io::json_place sentence = record["sentence"];
    const std::string text = sentence.text();
    const std::size_t blank = text.find('_');
    require<io_error>(blank != text.npos, "{}: \"{}\" has no blank, which is written _", sentence.path(),
                      io::detail::excerpt(text));
    const std::string_view rest = trimmed(std::string_view(text).substr(blank + 1));
    require<io_error>(!rest.empty(), "{}: \"{}\" ends with its blank; nothing follows that could be scored",
                      sentence.path(), io::detail::excerpt(text));
    items.push_back({.prompts = {text.substr(0, blank) + record["option1"].text(),
                                 text.substr(0, blank) + record["option2"].text()},
                     .completion = " " + std::string(rest),
                     .correct = index_of_label(label_text(record["answer"]), answers, record["answer"].path())});
  });
  return std::move(items).take();
}

}  // namespace zoqat::tasks
