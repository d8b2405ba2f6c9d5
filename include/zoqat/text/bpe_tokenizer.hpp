// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/text/added_tokens.hpp>
#include <zoqat/text/bpe_merger.hpp>
#include <zoqat/text/bpe_model.hpp>
#include <zoqat/text/pre_tokenizer.hpp>
#include <zoqat/text/string_map.hpp>
#include <zoqat/text/text_normalizer.hpp>
#include <zoqat/text/text_pieces.hpp>
#include <zoqat/text/token_decoder.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

namespace detail {

// Encodes words with one model and remembers them: texts repeat their words, and merging is what costs.
class word_encoder {
 public:
  explicit word_encoder(const bpe_model& model) : model_(&model) {}

  void encode_into(std::string_view word, std::vector<std::uint32_t>& tokens) {
    if (word.size() > longest) return model_->encode_into(word, merger_, tokens);
    if (const auto known = known_.find(word); known != known_.end()) {
      tokens.insert(tokens.end(), known->second.begin(), known->second.end());
      return;
    }
    const auto begin = static_cast<std::ptrdiff_t>(tokens.size());
    model_->encode_into(word, merger_, tokens);
    known_.emplace(word, std::vector<std::uint32_t>(tokens.begin() + begin, tokens.end()));
  }

 private:
  static constexpr std::size_t longest = 64;  // longer ones hardly come twice

  const bpe_model* model_;
  bpe_merger merger_;
  string_map<std::vector<std::uint32_t>> known_;
};

// What `add` asks for: the token, nothing, or `usual` where it does not say.
inline std::vector<std::uint32_t> suffix_of_texts(const std::vector<std::uint32_t>& usual,
                                                  std::optional<std::uint32_t> token, std::optional<bool> add,
                                                  std::string_view file) {
  if (!add) return usual;
  require<io_error>(!*add || token, "{}: a text is to get a token that the tokenizer does not name", file);
  return *add ? std::vector{*token} : std::vector<std::uint32_t>();
}
// The same in front of a text, where BOS is usual if there is one.
inline std::optional<std::vector<std::uint32_t>> prefix_of_texts(const std::vector<std::uint32_t>& usual,
                                                                 std::optional<std::uint32_t> token,
                                                                 std::optional<bool> add, std::string_view file) {
  if (!add && usual.empty()) return std::nullopt;
  return suffix_of_texts(usual, token, add, file);
}

}  // namespace detail

/// What a `bpe_tokenizer` is put together from. What is left out does nothing.
struct bpe_tokenizer_parts {
  bpe_model model;
  /// Tokens found in the text as it is, and those found after normalization.
  std::vector<added_token> added, added_after_normalization;
  text_normalizer normalizer;
  pre_tokenizer words;
  token_decoder decoder;
  /// What `encode(text, true)` puts in front; `bos` where it is not given.
  std::optional<std::vector<std::uint32_t>> prefix = std::nullopt;
  /// What follows a whole text.
  std::vector<std::uint32_t> suffix = {};
  std::optional<std::uint32_t> bos = std::nullopt, eos = std::nullopt;
  /// Bytes that texts lose, since they have no token.
  std::vector<std::uint8_t> dropped_bytes = {};
};

/// A tokenizer by byte-pair encoding, as GPT-2, OPT, LLaMA 3 and others have it: text is searched for added tokens,
/// the rest is normalized, cut into words, and each word merged by rank. `read_byte_level_bpe` and
/// `read_tokenizer_json` make one from files. Its functions may be called by several threads.
class bpe_tokenizer {
 public:
  using token = std::uint32_t;

  /// The ids in `parts` are below `parts.model.size()`.
  explicit bpe_tokenizer(bpe_tokenizer_parts parts) : parts_(std::move(parts)) {
    if (!parts_.prefix) parts_.prefix.emplace(parts_.bos ? 1 : 0, parts_.bos.value_or(0));
    const auto add = [&](const std::vector<added_token>& tokens, added_tokens& finder) {
      for (const added_token& t : tokens) {
        finder.add(t);
        added_.insert_or_assign(t.id, t);
      }
    };
    add(parts_.added, before_);
    add(parts_.added_after_normalization, after_);
  }

  /// Number of tokens: ids are below it.
  [[nodiscard]] std::size_t size() const noexcept { return parts_.model.size(); }
  /// The token that begins a text, and the one that ends it, for models that have them.
  [[nodiscard]] std::optional<token> bos() const noexcept { return parts_.bos; }
  [[nodiscard]] std::optional<token> eos() const noexcept { return parts_.eos; }
  /// The tokens that follow a whole text, as for training; a prompt goes on without them.
  [[nodiscard]] std::span<const token> suffix() const noexcept { return parts_.suffix; }
  /// The bytes that texts lose, since the vocabulary has no tokens for them and Hugging Face leaves them out.
  [[nodiscard]] std::span<const std::uint8_t> dropped_bytes() const noexcept { return parts_.dropped_bytes; }
  /// Vocabulary and merges.
  [[nodiscard]] const bpe_model& model() const noexcept { return parts_.model; }

  /// Tokens of `text`, after those that begin a text if `bos` (none where the tokenizer knows of none, or is not to
  /// put them there). Special tokens that the text spells out are those tokens, as with Hugging Face, unless
  /// `special` says that they are plain text, which texts of strangers should be. Throws value_error for a character
  /// that has no token, unless the tokenizer drops it, and for a text of 2^31 bytes and more.
  ///
  /// Bytes that are no UTF-8 count as U+FFFD where the text is cut into words (a mark, neither letter nor space) and
  /// are encoded as the bytes they are. O(n log m), m being the longest word.
  [[nodiscard]] std::vector<token> encode(std::string_view text, bool bos,
                                          special_spelling special = special_spelling::on) const {
    std::vector<token> tokens;
    if (bos) tokens = *parts_.prefix;
    detail::word_encoder words(parts_.model);
    const auto feed = [&](std::string_view stretch, const added_token* found) {
      encode_stretch(stretch, stretch.data() == text.data(), special, words, tokens);
      if (found) tokens.push_back(found->id);
    };
    before_.split(text, special, feed);
    return tokens;
  }

  /// The text of a sequence of tokens: the bytes that were encoded, whether or not they are UTF-8. Special tokens
  /// have none unless `special` says otherwise. A text that a normalizer changed comes back changed. Throws
  /// value_error on a token that is not in the vocabulary.
  [[nodiscard]] std::string decode(std::span<const token> tokens,
                                   special_spelling special = special_spelling::off) const {
    std::vector<std::string> texts;
    texts.reserve(tokens.size());
    for (const token id : tokens) {
      require(id < size(), "token {} is not in the vocabulary of {}", id, size());
      const auto added = added_.find(id);
      if (added == added_.end())
        texts.emplace_back(parts_.model.piece(id));
      else if (!added->second.special || special == special_spelling::on)
        texts.push_back(added->second.stored);
    }
    if (parts_.decoder) parts_.decoder(texts);
    fuse_tokens(texts);
    return texts.empty() ? std::string() : std::move(texts.front());
  }

 private:
  void encode_stretch(std::string_view stretch, bool at_start, special_spelling special, detail::word_encoder& words,
                      std::vector<token>& tokens) const {
    if (stretch.empty()) return;
    const std::string normal = parts_.normalizer ? parts_.normalizer(std::string(stretch)) : std::string(stretch);
    after_.split(normal, special, [&](std::string_view rest, const added_token* found) {
      text_pieces pieces(std::string(rest), at_start && rest.data() == normal.data());
      if (parts_.words) parts_.words(pieces);
      pieces.for_each([&](std::string_view word) { words.encode_into(word, tokens); });
      if (found) tokens.push_back(found->id);
    });
  }

  bpe_tokenizer_parts parts_;
  added_tokens before_, after_;
  std::unordered_map<token, added_token> added_;
};

}  // namespace zoqat::text
