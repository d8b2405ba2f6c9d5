// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/json_place.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/label.hpp>
#include <zoqat/tasks/records.hpp>
#include <zoqat/tasks/text_template.hpp>
#include <zoqat/tasks/tsv.hpp>

#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// What becomes of a pair of RTE; by default as in rte 1.0 of lm-evaluation-harness.
struct rte_format {
  std::string prompt = "{premise}\nQuestion: {hypothesis} True or False?\nAnswer:";
  std::array<std::string, 2> choices{" True", " False"};  ///< of entailment and not_entailment
};

/// Reads a file of RTE: GLUE's TSV with the columns sentence1, sentence2 and label, or JSON lines (`.jsonl`) or an
/// array of objects with `premise`, `hypothesis` (SuperGLUE) or `sentence1`, `sentence2` (GLUE) and `label`, a word
/// or its number, 0 for entailment. Throws io_error with the line, the member and the value for what is no such file,
/// and value_error for a template with other placeholders than {premise} and {hypothesis}.
[[nodiscard]] inline std::vector<choice_item> read_rte(const std::filesystem::path& path,
                                                       const rte_format& format = {}) {
  constexpr std::array<std::string_view, 4> labels{"entailment", "not_entailment", "0", "1"};
  const text_template prompt(format.prompt, {"premise", "hypothesis"});
  item_list<choice_item> items(path);
  const auto add = [&](std::string_view premise, std::string_view hypothesis, std::string_view label,
                       std::string_view place) {
    items.push_back({.prompt = prompt({premise, hypothesis}),
                     .choices = {format.choices.begin(), format.choices.end()},
                     .correct = index_of_label(label, labels, place) % 2});
  };
  if (path.extension() == ".tsv") {
    for_each_tsv_row<3>(path, {"sentence1", "sentence2", "label"}, {{0, 1, 2}, 3},
                        [&](const auto& row, const std::string& place) { add(row[0], row[1], row[2], place); });
  } else {
    for_each_record(path, [&](const io::json_place& record) {
      const bool glue = record.find("sentence1").has_value();
      add(record[glue ? "sentence1" : "premise"].text(), record[glue ? "sentence2" : "hypothesis"].text(),
          label_text(record["label"]), record["label"].path());
    });
  }
  return std::move(items).take();
}

}  // namespace zoqat::tasks
