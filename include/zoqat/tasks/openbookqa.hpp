// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/labeled_choices.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// What becomes of a question of OpenBookQA (arXiv 1809.02789), without its fact; by default as in openbookqa 1.0 of
/// lm-evaluation-harness.
struct openbookqa_format {
  std::string prompt = "{question}";
  std::string choice = " {choice}";
};

/// Reads a file of OpenBookQA: the official JSON lines (`.jsonl`), Hugging Face's records, or LLM-Adapters'
/// instructions, which hold the same. Throws io_error and value_error as `read_labeled_choices` does.
[[nodiscard]] inline std::vector<choice_item> read_openbookqa(const std::filesystem::path& path,
                                                              const openbookqa_format& format = {}) {
  return read_labeled_choices(path, format.prompt, format.choice);
}

}  // namespace zoqat::tasks
