// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/eval/corpus.hpp>             // chunks
#include <zoqat/io/safetensors.hpp>          // safetensors_file
#include <zoqat/text/llama2c_tokenizer.hpp>  // llama2c_tokenizer

#include <common/model_files.hpp>  // open_base_model
#include <zeroqat/settings.hpp>

#include <cstddef>
#include <filesystem>
#include <string>

/// The files that a run reads. What reads them is compiled once for all schemes.
namespace zoqat::programs {

[[nodiscard]] io::safetensors_file open_trained_model(const std::filesystem::path& path);
/// The scheme of the trained model in a file; nothing for a base model.
[[nodiscard]] std::string trained_scheme_of(const std::filesystem::path& path);
[[nodiscard]] text::llama2c_tokenizer open_tokenizer(const settings& s, std::size_t vocabulary);

/// A file of text as chunks of `length` tokens; a token that begins a text stands before each document.
[[nodiscard]] eval::chunks read_corpus(const std::string& path, const text::llama2c_tokenizer& tokenizer,
                                       std::size_t length);

}  // namespace zoqat::programs
