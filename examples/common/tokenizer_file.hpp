// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::programs {

/// The tokenizer in a file or folder, of any format that text::open_tokenizer reads, and sentencepiece models where
/// the build found that library. What reads and runs it is compiled once for all schemes.
class tokenizer_file {
 public:
  using token = std::uint32_t;

  /// Throws as text::open_tokenizer does.
  explicit tokenizer_file(const std::filesystem::path& path);

  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::optional<token> bos() const;
  [[nodiscard]] std::optional<token> eos() const;
  [[nodiscard]] std::vector<token> encode(std::string_view text, bool begin) const;
  /// The tokens of a text to train or to evaluate on: those that begin it, its own, and those that end it.
  [[nodiscard]] std::vector<token> encode_document(std::string_view text) const;
  [[nodiscard]] std::string decode(std::span<const token> tokens) const;
  /// What texts lose in it, as a line for people; "" where they lose nothing.
  [[nodiscard]] std::string losses() const;

 private:
  struct format;
  std::shared_ptr<const format> format_;
};

/// Throws io_error where the tokenizer at `path` has more tokens than the vocabulary of the model at `model`. It may
/// have fewer: the rest fills the vocabulary up.
void require_within_vocabulary(const tokenizer_file& tokenizer, const std::filesystem::path& path,
                               const std::filesystem::path& model, std::size_t vocabulary);

}  // namespace zoqat::programs
