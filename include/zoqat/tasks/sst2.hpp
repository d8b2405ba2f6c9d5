// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/text_template.hpp>
#include <zoqat/tasks/tsv.hpp>
#include <zoqat/tasks/white_space.hpp>

#include <array>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// What becomes of a sentence of SST-2; by default as in MeZO (arXiv 2305.17333, its templates.py).
struct sst2_format {
  std::string prompt = "{sentence} It was";
  std::array<std::string, 2> choices{" terrible", " great"};  ///< of the labels 0 (negative) and 1 (positive)
};

/// Reads a TSV file of GLUE's SST-2: the columns `sentence` and `label`, in the order of its header line, or sentence
/// and label where it has none. Throws io_error with the line and the value for what is no such file, and value_error
/// for a template with other placeholders than {sentence}.
[[nodiscard]] inline std::vector<choice_item> read_sst2(const std::filesystem::path& path,
                                                        const sst2_format& format = {}) {
  const text_template prompt(format.prompt, {"sentence"});
  item_list<choice_item> items(path);
  for_each_tsv_row<2>(path, {"sentence", "label"}, {{0, 1}, 2}, [&](const auto& row, const std::string& place) {
    const auto [sentence, label] = row;
    require<io_error>(label == "0" || label == "1", "{}: label \"{}\" is not 0 or 1", place,
                      io::detail::excerpt(label));
    items.push_back({.prompt = prompt({trimmed(sentence)}),
                     .choices = {format.choices.begin(), format.choices.end()},
                     .correct = label == "1"});
  });
  return std::move(items).take();
}

}  // namespace zoqat::tasks
