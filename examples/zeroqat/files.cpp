// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/quantized_model.hpp>   // is_quantized_model, scheme_of
#include <zoqat/io/text_file.hpp>         // read_text
#include <zoqat/text/gguf_tokenizer.hpp>  // read_gguf_tokenizer

#include <zeroqat/files.hpp>

#include <utility>
#include <variant>

namespace zoqat::programs {

io::safetensors_file open_trained_model(const std::filesystem::path& path) { return io::safetensors_file(path); }

std::string trained_scheme_of(const std::filesystem::path& path) {
  if (path.extension() != ".safetensors") return {};
  const io::safetensors_file file(path);
  return io::is_quantized_model(file) ? io::scheme_of(file) : std::string();
}

text::llama2c_tokenizer open_tokenizer(const settings& s, std::size_t vocabulary) {
  const std::filesystem::path path = s.tokenizer_path();
  if (path.extension() != ".gguf") return text::llama2c_tokenizer(path, vocabulary);
  auto tokenizer = text::read_gguf_tokenizer(io::gguf::file(path));
  auto* const by_score = std::get_if<text::llama2c_tokenizer>(&tokenizer);
  require<io_error>(by_score != nullptr,
                    "{}: holds a byte-level tokenizer, but this program reads those of llama2.c's "
                    "kind",
                    path.native());
  return std::move(*by_score);
}

eval::chunks read_corpus(const std::string& path, const text::llama2c_tokenizer& tokenizer, std::size_t length) {
  const std::string text = io::read_text(path);
  return eval::chunk_documents(eval::split_documents(text), length,
                               [&](auto document) { return tokenizer.encode(document, true); });
}

}  // namespace zoqat::programs
