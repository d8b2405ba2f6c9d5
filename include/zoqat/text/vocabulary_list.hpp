// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/io/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

/// Most tokens that a tokenizer may have: twice as many as the largest of today's. Memory follows the number.
inline constexpr std::size_t max_tokens = std::size_t{1} << 19;

/// The texts of tokens, put at their ids in any order.
class vocabulary_list {
 public:
  /// `source` names the file in messages.
  explicit vocabulary_list(std::string source) : source_(std::move(source)) {}

  /// Adds the token `text` with the number `id`. Throws io_error when the text is empty, it has another text already,
  /// and the id is `max_tokens` or more or so far above the number of tokens that it leaves more than 2^16 without a
  /// text: memory follows the tokens that there are.
  void add(std::string_view text, std::size_t id) {
    require<io_error>(!text.empty(), "{}: token {} is empty", source_, id);
    require<io_error>(id < max_tokens, "{}: '{}' is token {}, but ids are below {}", source_,
                      io::detail::excerpt(text), id, max_tokens);
    expected_ = std::max(expected_, ++added_);
    require<io_error>(id < expected_ + most_holes,
                      "{}: '{}' is token {}, which leaves too many ids without a text: there is room for {}", source_,
                      io::detail::excerpt(text), id, plural(expected_ + most_holes, "token"));
    if (id >= texts_.size()) texts_.resize(id + 1);
    require<io_error>(texts_[id].empty() || texts_[id] == text, "{}: '{}' and '{}' are both token {}", source_,
                      io::detail::excerpt(texts_[id]), io::detail::excerpt(text), id);
    texts_[id] = text;
  }

  /// Adds what an object like {"the": 5} lists. Throws io_error as above, and when it is no such object.
  void add_all(const io::json& object) {
    require<io_error>(object.is_object(), "{}: a vocabulary must be an object of ids, but is {}", source_,
                      object.type_name());
    expected_ = std::max(expected_, added_ + object.size());
    texts_.reserve(expected_);
    for (const auto& [text, id] : object.items()) add(text, io::as<std::uint32_t>(id, text, source_));
  }

  /// The text of each id. Throws io_error when there is none or one is missing.
  [[nodiscard]] const std::vector<std::string>& contiguous() const {
    require<io_error>(!texts_.empty(), "{}: the vocabulary is empty", source_);
    for (std::size_t id = 0; id != texts_.size(); ++id)
      require<io_error>(!texts_[id].empty(), "{}: no token has the id {}, but {} ('{}') is used", source_, id,
                        texts_.size() - 1, io::detail::excerpt(texts_.back()));
    return texts_;
  }

  [[nodiscard]] const std::vector<std::string>& texts() const noexcept { return texts_; }

 private:
  static constexpr std::size_t most_holes = std::size_t{1} << 16;

  std::string source_;
  std::vector<std::string> texts_;
  std::size_t added_ = 0, expected_ = 0;  ///< tokens so far, and with those that are being added
};

}  // namespace zoqat::text
