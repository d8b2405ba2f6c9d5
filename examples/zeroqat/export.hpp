// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace zoqat::programs {

/// What `zeroqat export` is asked for.
struct export_settings {
  std::string model, tokenizer;
  std::string gguf, hf, pack_quantized;  ///< where to: one of them
  std::string type, embeddings = "f32";  ///< of GGUF files
  std::string mix;                       ///< of linear layers that have another type: PATTERN=TYPE, by commas
  std::string values, config;            ///< of folders
  std::string eval;                      ///< text on which to measure what the export costs
  std::size_t length = 256;              ///< tokens in a chunk of it
  bool fill_stream = false;

  [[nodiscard]] const std::string& destination() const noexcept {
    return !gguf.empty() ? gguf : !hf.empty() ? hf : pack_quantized;
  }
};

/// Adds the command's options.
void add_export_options(CLI::App& command, export_settings& s);

/// Throws for a model whose scheme quantizes inputs too, which its `readers` do not.
[[noreturn]] void fail_for_quantized_inputs(const std::string& model, const std::string& scheme,
                                            std::string_view readers);

/// Throws where what is asked for would destroy what is read, or cannot be written.
void require_exportable(const export_settings& s);

/// Writes a base model, or a trained one, as a GGUF file or a folder, with its tokenizer, and says what is in it.
void export_model(const export_settings& s);

}  // namespace zoqat::programs
