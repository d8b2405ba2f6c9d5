// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace CLI {
class App;
}

namespace zoqat::programs {

/// What `zeroqat export` is asked for.
struct export_settings {
  std::string model, tokenizer, gguf, type, embeddings = "f32";
  bool fill_stream = false;
};

/// Adds the command's options.
void add_export_options(CLI::App& command, export_settings& s);

/// Writes a base model, or a trained one, as a GGUF file, with its tokenizer, and says what is in it.
void export_model(const export_settings& s);

}  // namespace zoqat::programs
