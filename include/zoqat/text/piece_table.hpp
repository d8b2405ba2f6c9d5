// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

/// The texts of tokens by id, one behind the other in one piece of memory, and ids by text. A token costs its text
/// and some 24 bytes. Ids are below 2^32 - 1; a token without a text is empty.
class piece_table {
 public:
  using token = std::uint32_t;

  piece_table() = default;
  piece_table(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) put(size(), text);
  }
  piece_table(std::initializer_list<std::string_view> texts) {
    for (const std::string_view text : texts) put(size(), text);
  }

  /// Makes room for texts of so many bytes in all, so that memory does not grow by doubling.
  void reserve(std::size_t tokens, std::size_t bytes) {
    places_.reserve(tokens);
    bytes_.reserve(bytes);
  }
  /// Gives back what `reserve` asked for in vain.
  void shrink_to_fit() {
    places_.shrink_to_fit();
    bytes_.shrink_to_fit();
  }
  [[nodiscard]] std::size_t size() const noexcept { return places_.size(); }
  /// The text of a token; `id` below `size()`. Valid until the next change.
  [[nodiscard]] std::string_view operator[](std::size_t id) const noexcept {
    return std::string_view(bytes_).substr(places_[id].first, places_[id].size);
  }
  /// Gives token `id` a text, and those below it that there were not yet none.
  void put(std::size_t id, std::string_view text) {
    resize(std::max(size(), id + 1));
    places_[id] = {bytes_.size(), text.size()};
    bytes_ += text;
  }
  /// Tokens beyond those that there are have no text.
  void resize(std::size_t tokens) { places_.resize(tokens); }
  /// Leaves token `id` without a text.
  void clear(std::size_t id) noexcept { places_[id] = {}; }

  /// Makes texts known to `find`; of equal ones the first is found, and twice(id, first) is called for each other.
  template <class F>
  void index(F&& twice) {
    slots_.assign(std::bit_ceil(2 * size() + 1), none);
    for (std::size_t id = 0; id != size(); ++id) {
      if ((*this)[id].empty()) continue;
      token& slot = slots_[slot_of((*this)[id])];
      if (slot == none)
        slot = static_cast<token>(id);
      else
        twice(id, slot);
    }
  }
  /// The token of that text, if `index` was called since; none for an empty text.
  [[nodiscard]] std::optional<token> find(std::string_view text) const noexcept {
    if (slots_.empty() || text.empty()) return std::nullopt;
    const token found = slots_[slot_of(text)];
    return found == none ? std::nullopt : std::optional(found);
  }

 private:
  static constexpr token none = static_cast<token>(-1);
  struct place {
    std::size_t first = 0, size = 0;
  };

  /// Where a text is, or would be. Half of the slots are free.
  [[nodiscard]] std::size_t slot_of(std::string_view text) const noexcept {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = std::hash<std::string_view>()(text) & mask;
    while (slots_[at] != none && (*this)[slots_[at]] != text) at = (at + 1) & mask;
    return at;
  }

  std::string bytes_;
  std::vector<place> places_;
  std::vector<token> slots_;
};

}  // namespace zoqat::text
