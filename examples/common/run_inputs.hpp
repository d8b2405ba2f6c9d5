// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/zo/log/run_log.hpp>  // run_log

#include <common/plan.hpp>  // named_file

#include <filesystem>
#include <map>
#include <span>
#include <string>

/// What a run's losses depend on beside its options, as its log keeps it.
namespace zoqat::programs {

using run_inputs = std::map<std::string, std::string>;

/// Hashes of the model, the tokenizer and the texts under their options' names, the version of the library, and the
/// instruction set. Reads the files whole. Throws io_error.
[[nodiscard]] run_inputs inputs_of_run(const std::filesystem::path& model, const std::filesystem::path& tokenizer,
                                       std::span<const named_file> texts);

/// Throws value_error, which names it, where one of these is not what it was when the log was begun. Another
/// instruction set is only said on stderr: its losses may differ in their last bits, and nothing else.
void require_same_inputs(const zo::run_log& log, run_inputs here);

}  // namespace zoqat::programs
