// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/json_place.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/records.hpp>
#include <zoqat/tasks/text_template.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// What becomes of an instruction; by default the two prompts of Stanford Alpaca. The output ends with whatever token
/// ends a text of the model's: see eval::encoding::end.
struct alpaca_format {
  std::string prompt =
      "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
      "### Instruction:\n{instruction}\n\n### Response:";
  /// For instructions with an input.
  std::string prompt_with_input =
      "Below is an instruction that describes a task, paired with an input that provides further context. "
      "Write a response that appropriately completes the request.\n\n"
      "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:";
  std::string completion = "{output}";
};

/// Reads instructions in Alpaca's form: an array, or JSON lines (`.jsonl`), of objects with `instruction`, `output`
/// and perhaps `input`. Their ids are their numbers from 0. Throws io_error with the way to the value and the value
/// for what is no such file, and value_error for templates with other placeholders than {instruction}, {input} and
/// {output}, each in its own.
[[nodiscard]] inline std::vector<answer_item> read_alpaca(const std::filesystem::path& path,
                                                          const alpaca_format& format = {}) {
  const text_template alone(format.prompt, {"instruction"});
  const text_template with_input(format.prompt_with_input, {"instruction", "input"});
  const text_template completion(format.completion, {"output"});
  item_list<answer_item> items(path);
  for_each_record(path, [&](const io::json_place& record) {
    const std::string instruction = record["instruction"].text(), output = record["output"].text();
    const auto given = record.find("input");
    const std::string input = given ? given->text() : std::string();
    items.push_back({.prompt = input.empty() ? alone({instruction}) : with_input({instruction, input}),
                     .completion = completion({output}),
                     .answers = {output},
                     .id = std::to_string(items.size())});
  });
  return std::move(items).take();
}

}  // namespace zoqat::tasks
