// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/file_kind.hpp>
#include <zoqat/io/mapped_file.hpp>

#include <sentencepiece_processor.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ext {

/// A tokenizer of the sentencepiece library (`tokenizer.model` of LLaMA 2 and others) with the interface of those in
/// `io/`. Whoever includes it links the library: `-lsentencepiece`. Its functions may be called by several threads.
class sentencepiece_tokenizer {
 public:
  using token = std::uint32_t;

  /// Throws io_error when `path` cannot be read or holds no model.
  explicit sentencepiece_tokenizer(const std::filesystem::path& path)
      : processor_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {
    const io::mapped_file file(path);
    const auto status =
        processor_->LoadFromSerializedProto(io::require_file_kind(file, io::file_kind::sentencepiece).text());
    require<io_error>(status.ok(), "{}: not a sentencepiece model: {}", path.native(), status.ToString());
  }

  /// Number of tokens: ids are below it.
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(processor_->GetPieceSize()); }
  /// The token that begins a text, and the one that ends it, for models that have them.
  [[nodiscard]] std::optional<token> bos() const { return known(processor_->bos_id()); }
  [[nodiscard]] std::optional<token> eos() const { return known(processor_->eos_id()); }

  /// Tokens of `text`, after BOS if `bos` and there is one. The text is normalized as the model says; bytes that are
  /// no UTF-8 are replaced by U+FFFD. Throws value_error when the library fails.
  [[nodiscard]] std::vector<token> encode(std::string_view text, bool bos) const {
    std::vector<int> ids;
    require_ok(processor_->Encode(text, &ids));
    std::vector<token> tokens;
    tokens.reserve(ids.size() + 1);
    if (const auto begin = this->bos(); bos && begin) tokens.push_back(*begin);
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    return tokens;
  }

  /// The text of a sequence of tokens, without the space that stands before a text; BOS and EOS have none. Throws
  /// value_error on a token that is not in the vocabulary.
  [[nodiscard]] std::string decode(std::span<const token> tokens) const {
    std::vector<int> ids;
    ids.reserve(tokens.size());
    for (const token id : tokens) {
      require(id < size(), "token {} is not in the vocabulary of {}", id, size());
      ids.push_back(static_cast<int>(id));
    }
    std::string text;
    require_ok(processor_->Decode(ids, &text));
    return text;
  }

 private:
  static std::optional<token> known(int id) { return id < 0 ? std::nullopt : std::optional(static_cast<token>(id)); }
  static void require_ok(const sentencepiece::util::Status& status) {
    require(status.ok(), "sentencepiece: {}", status.ToString());
  }

  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
};

}  // namespace zoqat::ext
