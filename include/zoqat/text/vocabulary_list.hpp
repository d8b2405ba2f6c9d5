// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/text/piece_table.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::text {

/// Most tokens that a tokenizer may have: twice as many as the largest of today's. Memory follows the number.
inline constexpr std::size_t max_tokens = std::size_t{1} << 19;
/// Most merges: the largest of today's tokenizers have twice as many as tokens.
inline constexpr std::size_t max_merges = 2 * max_tokens;

/// Memory that the JSON of a vocabulary takes beside its texts, for which there is room for as many bytes as it has.
inline constexpr io::json_limits limits_beside_tokens{.memory_per_byte = 1, .memory = std::size_t{16} << 20};

/// The texts of tokens, put at their ids in any order.
class vocabulary_list {
 public:
  /// `source` names the file in messages; `bytes`, if given, is at least what all texts have.
  explicit vocabulary_list(std::string source, std::size_t bytes = 0) : source_(std::move(source)) {
    texts_.reserve(0, bytes);
  }
  /// Begins with these.
  vocabulary_list(std::string source, piece_table texts) : source_(std::move(source)), texts_(std::move(texts)) {}

  /// Adds the token `text` with the number `id`. Throws io_error when the text is empty, it has another text already,
  /// and the id is `max_tokens` or more.
  void add(std::string_view text, std::size_t id) {
    require<io_error>(!text.empty(), "{}: token {} is empty", source_, id);
    require<io_error>(id < max_tokens, "{}: '{}' is token {}, but ids are below {}", source_,
                      io::detail::excerpt(text), id, max_tokens);
    if (id < texts_.size() && !texts_[id].empty()) {
      require<io_error>(texts_[id] == text, "{}: '{}' and '{}' are both token {}", source_,
                        io::detail::excerpt(texts_[id]), io::detail::excerpt(text), id);
      return;
    }
    texts_.put(id, text);
  }

  /// Adds what an object like {"the": 5} lists. Throws io_error as above, and when it is no such object.
  void add_all(const io::json& object) {
    require_object(object);
    for (const auto& [text, id] : object.items()) add(text, io::as<std::uint32_t>(id, text, source_));
  }
  /// Adds a member of such an object. Throws io_error as above, and where a member of that name was added.
  void add(const io::json_part& part) {
    const auto id = io::as<std::uint32_t>(part.value, part.name, source_);
    require<io_error>(id >= texts_.size() || texts_[id] != part.name, "{}: JSON key \"{}\" comes twice", source_,
                      io::detail::excerpt(part.name));
    add(part.name, id);
  }
  /// Throws io_error where the members that were added were none of an object.
  void require_object(const io::json& object) const {
    require<io_error>(object.is_object(), "{}: a vocabulary must be an object of ids, but is {}", source_,
                      object.type_name());
  }

  /// Throws io_error when there is no token, or one without a text below another.
  void require_contiguous() const {
    require<io_error>(texts_.size() != 0, "{}: the vocabulary is empty", source_);
    for (std::size_t id = 0; id != texts_.size(); ++id)
      require<io_error>(!texts_[id].empty(), "{}: no token has the id {}, but {} ('{}') is used", source_, id,
                        texts_.size() - 1, io::detail::excerpt(texts_[texts_.size() - 1]));
  }

  /// The text of each id.
  [[nodiscard]] const piece_table& texts() const noexcept { return texts_; }
  /// The same, which this has no more.
  [[nodiscard]] piece_table take() && { return std::move(texts_); }

 private:
  std::string source_;
  piece_table texts_;
};

}  // namespace zoqat::text
