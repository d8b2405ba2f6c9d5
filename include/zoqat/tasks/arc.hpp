// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/labeled_choices.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// What becomes of a question of ARC (arXiv 1803.05457), easy or challenge; by default as in arc_easy and
/// arc_challenge 1.0 of lm-evaluation-harness.
struct arc_format {
  std::string prompt = "Question: {question}\nAnswer:";
  std::string choice = " {choice}";
};

/// Reads a file of ARC: the official JSON lines (`.jsonl`), Hugging Face's records, or LLM-Adapters' instructions.
/// Throws io_error and value_error as `read_labeled_choices` does.
[[nodiscard]] inline std::vector<choice_item> read_arc(const std::filesystem::path& path,
                                                       const arc_format& format = {}) {
  return read_labeled_choices(path, format.prompt, format.choice);
}

}  // namespace zoqat::tasks
