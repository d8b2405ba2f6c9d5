// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json_place.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/records.hpp>
#include <zoqat/tasks/text_template.hpp>

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// What becomes of a problem of GSM8K (arXiv 2110.14168); by default as in gsm8k 3.0 of lm-evaluation-harness, which
/// puts five drawn examples of the training file before it.
struct gsm8k_format {
  std::string prompt = "Question: {question}\nAnswer:";
  std::string completion = " {answer}";
};

/// Reads a file of GSM8K: JSON lines (`.jsonl`) or an array of objects with `question` and `answer`, which ends with
/// "#### " and the number, which is the answer. Ids are numbers from 0. Throws io_error with the line, the member and
/// the value for what is no such file, and value_error for templates with other placeholders than {question}, and
/// {answer}.
[[nodiscard]] inline std::vector<answer_item> read_gsm8k(const std::filesystem::path& path,
                                                         const gsm8k_format& format = {}) {
  const text_template prompt(format.prompt, {"question"}), completion(format.completion, {"answer"});
  item_list<answer_item> items(path);
  for_each_record(path, [&](const io::json_place& record) {
    const io::json_place answer = record["answer"];
    const std::string solution = answer.text();
    const std::size_t mark = solution.rfind("#### ");
    require<io_error>(mark != solution.npos, "{}: \"{}\" does not end with #### and a number", answer.path(),
                      io::detail::excerpt(solution));
    items.push_back({.prompt = prompt({record["question"].text()}),
                     .completion = completion({solution}),
                     .answers = {solution.substr(mark + 5)},
                     .id = std::to_string(items.size())});
  });
  return std::move(items).take();
}

}  // namespace zoqat::tasks
