// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/text/bpe_merger.hpp>
#include <zoqat/text/byte_alphabet.hpp>
#include <zoqat/text/byte_junctions.hpp>
#include <zoqat/text/piece_table.hpp>
#include <zoqat/text/utf8_characters.hpp>
#include <zoqat/text/vocabulary_list.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

/// Byte-pair encoding by rank, as GPT-2 and Hugging Face's `BPE` define it: a vocabulary, a list of merges, and what
/// becomes of characters that the vocabulary lacks. (GPT-2 merges the best pair everywhere at once, Hugging Face only
/// where it is leftmost, as this does; where no two merges make the same token, it is all one.)
class bpe_model {
 public:
  using token = std::uint32_t;

  /// What else a model does; all of it is off in GPT-2.
  struct options {
    /// The token of characters that the vocabulary lacks; without one they are an error.
    std::optional<token> unknown = std::nullopt;
    /// Or they are left out, as Hugging Face does.
    bool drop_unknown = false;
    /// Such characters on end become one unknown token.
    bool fuse_unknown = false;
    /// Such characters become tokens of their bytes, spelled like `<0x0A>`, where the vocabulary has all of them.
    bool byte_fallback = false;
    /// A word that is in the vocabulary is its token, whatever the merges would make of it.
    bool whole_words = false;
  };

  /// `pieces[i]` is the text of token i, or empty when the model has no use for it; `source` names the vocabulary in
  /// messages. Throws io_error for more than `max_tokens`, for two of one text, and for an unknown token without a
  /// text.
  bpe_model(piece_table pieces, std::string_view source, options o) : options_(o), pieces_(std::move(pieces)) {
    require<io_error>(size() <= max_tokens, "{}: {} tokens, more than {}", source, size(), max_tokens);
    pieces_.index([&](std::size_t id, token known) {
      fail<io_error>("{}: token {}: '{}' is token {} already", source, id, io::detail::excerpt(pieces_[id]), known);
    });
    if (options_.byte_fallback)
      for (std::size_t b = 0; b != byte_tokens_.size(); ++b) byte_tokens_[b] = find(fmt::format("<0x{:02X}>", b));
    if (const auto unknown = options_.unknown)
      require<io_error>(*unknown < size() && !pieces_[*unknown].empty(), "{}: the unknown token, {}, has no text",
                        source, *unknown);
  }

  /// Number of tokens, used or not.
  [[nodiscard]] std::size_t size() const noexcept { return pieces_.size(); }
  /// Whether characters that the vocabulary lacks have a token.
  [[nodiscard]] bool has_unknown() const noexcept { return options_.unknown.has_value(); }
  [[nodiscard]] std::size_t merges() const noexcept { return merges_.size(); }
  /// The text of a token as it is stored; `id` below `size()`.
  [[nodiscard]] std::string_view piece(token id) const noexcept { return pieces_[id]; }
  [[nodiscard]] std::optional<token> find(std::string_view piece) const noexcept { return pieces_.find(piece); }

  /// The bytes that valid UTF-8 can hold and that have no token, spelled as byte-level BPE does.
  [[nodiscard]] std::vector<std::uint8_t> bytes_without_token() const {
    std::vector<std::uint8_t> lacking;
    for (unsigned b = 0; b != 256; ++b) {
      if (b == 0xC0 || b == 0xC1 || b >= 0xF5) continue;
      std::string spelled;
      append_byte_character(spelled, static_cast<unsigned char>(b));
      if (!find(spelled)) lacking.push_back(static_cast<std::uint8_t>(b));
    }
    return lacking;
  }
  /// Throws io_error where there is such a byte.
  void require_byte_alphabet(std::string_view source) const {
    const auto lacking = bytes_without_token();
    require<io_error>(lacking.empty(), "{}: bytes without a token: {:#04x}", source, fmt::join(lacking, ", "));
  }

  /// Adds the merge of two pieces, which ranks after those added before. `where` names its place in messages. Throws
  /// io_error when the vocabulary lacks one of the pieces or what they merge into, when the pair merges already, and
  /// at `max_merges`.
  void add_merge(std::string_view left, std::string_view right, std::string_view where) {
    static_assert(max_merges <= std::size_t{1} << 24, "ranks are scores of type float");
    require<io_error>(merges_.size() < max_merges, "{}: more than {} merges", where, max_merges);
    const auto wanted = [&](std::string_view piece) {
      const auto id = find(piece);
      require<io_error>(id.has_value(), "{}: the merge of '{}' and '{}': there is no token '{}'", where, left, right,
                        piece);
      return *id;
    };
    const token left_id = wanted(left), right_id = wanted(right);
    const token merged = wanted(std::string(left).append(right));
    const bpe_merge merge{merged, -static_cast<float>(merges_.size())};
    const bool is_new = merges_.try_emplace(pair_of(left_id, right_id), merge).second;
    require<io_error>(is_new, "{}: '{}' and '{}' merge already", where, left, right);
    joins_.allow_within(pieces_[merged]);
  }

  /// Appends the tokens of a word: those of its characters, of which the adjacent pair of the lowest rank merges, the
  /// leftmost of equals, until no pair can. `merger` is scratch memory. Throws value_error for a character without a
  /// token. O(n log m), m being the longest stretch within which merged tokens can overlap.
  void encode_into(std::string_view word, bpe_merger& merger, std::vector<token>& tokens) const {
    if (options_.whole_words) {
      if (const auto id = find(word)) {
        tokens.push_back(*id);
        return;
      }
    }
    const auto rule = [&](token left, token right) -> std::optional<bpe_merge> {
      const auto found = merges_.find(pair_of(left, right));
      return found == merges_.end() ? std::nullopt : std::optional(found->second);
    };
    for_each_symbol(word, [&](token id) {
      if (!merger.empty() && !joins_.allow(pieces_[merger.back()], pieces_[id])) merger.merge_into(tokens, rule);
      merger.add(id);
    });
    merger.merge_into(tokens, rule);
  }

 private:
  // The ids are below 2^19, and the multiplier is odd: pairs are spread over all bits and stay apart.
  struct pair_hash {
    std::size_t operator()(std::uint64_t pair) const noexcept {
      const std::uint64_t mixed = pair * 0x9E3779B97F4A7C15u;
      return static_cast<std::size_t>(mixed ^ mixed >> 32);
    }
  };
  static std::uint64_t pair_of(token left, token right) noexcept { return std::uint64_t{left} << 32 | right; }

  // Calls `f` with what a word consists of before anything merges. As with Hugging Face, an unknown token waits for
  // the next character that is known, so tokens of bytes overtake it.
  template <class F>
  void for_each_symbol(std::string_view word, F&& f) const {
    bool unknown_waits = false;
    const auto end_unknown = [&] {
      if (unknown_waits) f(*options_.unknown);
      unknown_waits = false;
    };
    for_each_character(word, [&](std::string_view character) {
      if (const auto id = find(character)) {
        end_unknown();
        f(*id);
      } else if (options_.byte_fallback && has_byte_tokens(character)) {
        for (const char c : character) f(*byte_tokens_[static_cast<unsigned char>(c)]);
      } else if (options_.unknown) {
        if (!options_.fuse_unknown) end_unknown();
        unknown_waits = true;
      } else {
        require(options_.drop_unknown, "'{}' is not in the vocabulary, which has no token for what is unknown",
                character);
      }
    });
    end_unknown();
  }
  [[nodiscard]] bool has_byte_tokens(std::string_view character) const {
    return std::ranges::all_of(character,
                               [&](char c) { return byte_tokens_[static_cast<unsigned char>(c)].has_value(); });
  }

  options options_;
  piece_table pieces_;
  std::unordered_map<std::uint64_t, bpe_merge, pair_hash> merges_;
  std::array<std::optional<token>, 256> byte_tokens_{};
  byte_junctions joins_;
};

}  // namespace zoqat::text
