// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>  // model_kind, model_shape
#include <zoqat/eval/corpus.hpp>       // chunks
#include <zoqat/io/safetensors.hpp>    // safetensors_file

#include <common/model_files.hpp>     // open_base_model
#include <common/tokenizer_file.hpp>  // tokenizer_file
#include <zeroqat/settings.hpp>

#include <cstddef>
#include <filesystem>
#include <string>

/// The files that a run reads. What reads them is compiled once for all schemes.
namespace zoqat::programs {

[[nodiscard]] io::safetensors_file open_trained_model(const std::filesystem::path& path);
/// The scheme of the trained model in a file; nothing for a base model.
[[nodiscard]] std::string trained_scheme_of(const std::filesystem::path& path);
/// What a base model or a trained one computes.
[[nodiscard]] model_kind kind_of(const std::filesystem::path& path, bool ignore_unused);
/// Throws value_error for a teacher that knows another number of tokens than the model.
void require_teacher_of(const model_shape& teacher, const model_shape& model, const settings& s);
/// Opens it, and says what texts lose in it.
[[nodiscard]] tokenizer_file open_tokenizer(const settings& s, std::size_t vocabulary);

/// Whether a text is read as records, by its name.
[[nodiscard]] bool holds_records(const std::filesystem::path& text);
/// A file of text as chunks of `length` tokens; the tokens that begin and end a text stand around each document. A
/// plain text falls into documents, a `.json` or `.jsonl` file holds one in each record. Says what is left out.
[[nodiscard]] eval::chunks read_corpus(const std::string& path, const settings& s, const tokenizer_file& tokenizer,
                                       std::size_t length);

}  // namespace zoqat::programs
