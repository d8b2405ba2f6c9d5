// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/io/file_kind.hpp>
#include <zoqat/io/mapped_file.hpp>
#include <zoqat/text/bpe_merger.hpp>
#include <zoqat/text/byte_junctions.hpp>
#include <zoqat/text/piece_table.hpp>
#include <zoqat/text/utf8_characters.hpp>
#include <zoqat/text/vocabulary_list.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

/// The tokenizer of llama2.c (github.com/karpathy/llama2.c, `tokenizer.bin`): byte-pair encoding by score, as
/// sentencepiece trains it. The file is an int32 with the length of the longest piece, then for each token a
/// float score, an int32 length and the piece's bytes.
///
/// Tokens 0, 1 and 2 are unknown, begin (BOS) and end (EOS); token 3 + b is the byte b, spelled like `<0x0A>`,
/// into which characters outside of the vocabulary fall apart.
class llama2c_tokenizer {
 public:
  using token = std::uint32_t;

  [[nodiscard]] static constexpr token unknown() noexcept { return 0; }
  [[nodiscard]] static constexpr token bos() noexcept { return 1; }
  [[nodiscard]] static constexpr token eos() noexcept { return 2; }
  /// The token of a raw byte.
  [[nodiscard]] static constexpr token byte(unsigned char value) noexcept { return first_byte + value; }

  /// Reads `path`. With `vocabulary` the file must hold that many tokens, otherwise it is read to its end.
  /// Throws io_error, with the token's number and the offending value.
  explicit llama2c_tokenizer(const std::filesystem::path& path, std::optional<std::size_t> vocabulary = {})
      : llama2c_tokenizer(io::require_file_kind(io::mapped_file(path), io::file_kind::llama2c_tokenizer).bytes(),
                          path.native(), vocabulary) {}

  /// Reads the contents of a file from memory; `source` names it in messages. The bytes are not needed afterwards.
  llama2c_tokenizer(std::span<const std::byte> bytes, std::string_view source,
                    std::optional<std::size_t> vocabulary = {}) {
    std::int32_t longest = 0;
    require<io_error>(bytes.size() >= sizeof(longest), "{}: too short for a tokenizer: {}", source,
                      plural(bytes.size(), "byte"));
    std::memcpy(&longest, bytes.data(), sizeof(longest));
    require<io_error>(longest > 0, "{}: not a llama2.c tokenizer: the longest piece has {}", source,
                      plural(longest, "byte"));
    longest_ = static_cast<std::size_t>(longest);

    reader in{bytes.subspan(sizeof(longest)), source};
    pieces_.reserve(0, bytes.size());
    while (vocabulary ? size() < *vocabulary : !in.rest.empty()) add_token(in);
    require<io_error>(in.rest.empty(), "{}: the last of {} is followed by {}", source, plural(size(), "token"),
                      plural(in.rest.size(), "byte"));
    finish(source);
  }

  /// A tokenizer of pieces with their scores, of the same number; `source` names them in messages. Throws io_error as
  /// above.
  llama2c_tokenizer(piece_table pieces, std::vector<float> scores, std::string_view source)
      : pieces_(std::move(pieces)), scores_(std::move(scores)) {
    for (token id = 0; id != size(); ++id) {
      require_score(scores_[id], id, source);
      require<io_error>(!piece(id).empty(), "{}: token {} is empty", source, id);
      longest_ = std::max(longest_, piece(id).size());
    }
    finish(source);
  }

  /// Number of tokens.
  [[nodiscard]] std::size_t size() const noexcept { return pieces_.size(); }
  /// The text of a token as it is stored; `id` below `size()`.
  [[nodiscard]] std::string_view piece(token id) const noexcept { return pieces_[id]; }
  /// Tokens of higher scores merge first; `id` below `size()`.
  [[nodiscard]] float score(token id) const noexcept { return scores_[id]; }
  /// The token of that piece (the first if several have it), or nothing.
  [[nodiscard]] std::optional<token> find(std::string_view piece) const noexcept { return pieces_.find(piece); }
  /// What two adjacent tokens merge into, or nothing: the token whose piece is the two pieces on end. As in
  /// llama2.c, scores of -1e10 and less never merge. `joined` is scratch memory.
  [[nodiscard]] std::optional<bpe_merge> merge_of(token left, token right, std::string& joined) const {
    if (pieces_[left].size() + pieces_[right].size() > longest_) return std::nullopt;
    joined.assign(pieces_[left]).append(pieces_[right]);
    const auto id = find(joined);
    if (!id || scores_[*id] <= -1e10f) return std::nullopt;
    return bpe_merge{*id, scores_[*id]};
  }

  /// Tokens of `text`, after BOS if wanted. As in llama2.c: a text that is not empty gets a space in front; each
  /// UTF-8 character, or its bytes, is a token; then the adjacent pair whose concatenation has the best score
  /// merges, the leftmost of equals, until no pair is in the vocabulary. Bytes that are not UTF-8 and zero bytes
  /// are encoded too, as byte tokens.
  ///
  /// O(n log m) time and O(m) scratch memory, m being the longest stretch of text within which pieces of the
  /// vocabulary can overlap: a word, with vocabularies that keep words apart.
  [[nodiscard]] std::vector<token> encode(std::string_view text, bool bos) const {
    std::vector<token> tokens;
    if (bos) tokens.push_back(llama2c_tokenizer::bos());
    if (text.empty()) return tokens;

    std::string joined;
    const auto rule = [&](token left, token right) { return merge_of(left, right, joined); };
    bpe_merger stretch;
    const auto feed = [&](token id) {
      if (!stretch.empty() && !joins_.allow(pieces_[stretch.back()], pieces_[id])) stretch.merge_into(tokens, rule);
      stretch.add(id);
    };
    split(" ", feed);
    split(text, feed);
    stretch.merge_into(tokens, rule);
    return tokens;
  }

  /// The text of one token, given the one before it: that of a byte token is its byte, BOS and EOS have none, and
  /// a token right after BOS loses the space that `encode` puts in front of a text. Valid as long as the object.
  /// Throws value_error on a token that is not in the vocabulary.
  [[nodiscard]] std::string_view decode(token previous, token id) const {
    require(id < size(), "token {} is not in the vocabulary of {}", id, size());
    if (id == bos() || id == eos()) return {};
    if (id >= first_byte && id - first_byte < byte_text.size()) return {&byte_text[id - first_byte], 1};
    std::string_view text = pieces_[id];
    if (previous == bos() && text.starts_with(' ')) text.remove_prefix(1);
    return text;
  }

  /// The text of a sequence of tokens; gives back what `encode(text, true)` got. Without BOS in front the text
  /// keeps the leading space. Throws as above.
  [[nodiscard]] std::string decode(std::span<const token> tokens) const {
    std::string text;
    token previous = unknown();
    for (const token id : tokens) text += decode(std::exchange(previous, id), id);
    return text;
  }

 private:
  static constexpr token first_byte = 3;
  static constexpr std::array<char, 256> byte_text = [] {
    std::array<char, 256> all{};
    for (std::size_t b = 0; b != all.size(); ++b) all[b] = static_cast<char>(b);
    return all;
  }();

  // Reads the fields of token number `token_number`, front to back.
  struct reader {
    std::span<const std::byte> rest;
    std::string_view source;
    std::size_t token_number = 0;

    std::span<const std::byte> bytes(std::size_t count, std::string_view what) {
      require<io_error>(count <= rest.size(), "{}: token {}: the file ends within its {}", source, token_number,
                        what);
      const auto taken = rest.first(count);
      rest = rest.subspan(count);
      return taken;
    }
    template <class T>
    T take(std::string_view what) {
      T value;
      std::memcpy(&value, bytes(sizeof(T), what).data(), sizeof(T));
      return value;
    }
  };

  void add_token(reader& in) {
    require<io_error>(size() < max_tokens, "{}: more than {} tokens", in.source, max_tokens);
    in.token_number = size();
    const auto score = in.take<float>("score");
    require_score(score, size(), in.source);
    const auto length = in.take<std::int32_t>("length");
    require<io_error>(length > 0 && static_cast<std::size_t>(length) <= longest_,
                      "{}: token {}: length {} is not in [1, {}]", in.source, size(), length, longest_);
    const auto bytes = in.bytes(static_cast<std::size_t>(length), "piece");
    pieces_.put(size(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    scores_.push_back(score);
  }
  static void require_score(float score, std::size_t id, std::string_view source) {
    require<io_error>(std::isfinite(score), "{}: token {}: score {}", source, id, score);
  }
  void finish(std::string_view source) {
    pieces_.shrink_to_fit();
    pieces_.index([](std::size_t, token) {});
    for (token id = 0; id != size(); ++id) joins_.allow_within(piece(id));
    require_bytes(source);
  }

  void require_bytes(std::string_view source) const {
    require<io_error>(size() >= first_byte + byte_text.size(),
                      "{}: {} tokens, but the special ones and the bytes are {}", source, size(),
                      first_byte + byte_text.size());
    for (std::size_t b = 0; b != byte_text.size(); ++b) {
      const std::string_view piece = pieces_[first_byte + b];
      const auto wanted = fmt::format("<0x{:02X}>", b);
      require<io_error>(piece == wanted, "{}: token {}: '{}', but '{}' is wanted", source, first_byte + b, piece,
                        wanted);
    }
  }

  // Feeds the characters of `text` as tokens.
  template <class Feed>
  void split(std::string_view text, const Feed& feed) const {
    for_each_character(text, [&](std::string_view character) {
      if (const auto id = find(character)) {
        feed(*id);
      } else {
        for (const char c : character) feed(byte(static_cast<unsigned char>(c)));
      }
    });
  }

  std::size_t longest_ = 0;
  piece_table pieces_;
  std::vector<float> scores_;
  byte_junctions joins_;
};

}  // namespace zoqat::text
