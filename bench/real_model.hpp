// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/eval/corpus.hpp>
#include <zoqat/io/io.hpp>
#include <zoqat/io/text_file.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/text/open_tokenizer.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace zoqat::bench {

/// A LLaMA checkpoint, its tokenizer, and the texts that a report calibrates on and evaluates on.
struct real_model {
  std::string checkpoint, tokenizer, text, evaluation;
  std::size_t length = 256, calibration = 64, threads = 0;

  void add_options(CLI::App& app, bool evaluates) {
    app.add_option("--model", checkpoint, "LLaMA checkpoint")->required();
    app.add_option("--tokenizer", tokenizer, "its tokenizer")->required();
    app.add_option("--text", text, "text to calibrate on")->required();
    if (evaluates) app.add_option("--eval", evaluation, "text to evaluate on")->required();
    app.add_option("--length", length, "tokens in a chunk")->capture_default_str();
    app.add_option("--calibration", calibration, "chunks to calibrate on, from the beginning of the text")
        ->capture_default_str();
    app.add_option("--threads", threads, "0: one per core")->capture_default_str();
  }
  template <class Model>
  [[nodiscard]] Model load() const {
    return io::load<Model>(io::open_model(checkpoint));
  }
  /// At most `most` chunks of a text, each document begun as the tokenizer begins texts.
  [[nodiscard]] eval::chunks chunks_of(const std::string& path, std::size_t most) const {
    const text::any_tokenizer tokens = text::open_tokenizer(tokenizer);
    const std::string all = io::read_text(path);
    const std::string_view beginning = std::string_view(all).substr(0, std::min(all.size(), most * length * 8));
    eval::chunks chunks = eval::chunk_documents(eval::split_documents(beginning), length,
                                                [&](auto document) { return tokens.encode(document, true); });
    chunks.resize(std::min(chunks.size(), most));
    return chunks;
  }
};

}  // namespace zoqat::bench
