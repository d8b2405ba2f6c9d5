// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/tasks/item.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// Bytes of an item beside itself.
[[nodiscard]] inline std::size_t text_bytes(const std::string& text) noexcept { return text.size(); }
[[nodiscard]] inline std::size_t text_bytes(const std::vector<std::string>& texts) noexcept {
  std::size_t bytes = sizeof(std::string) * texts.size();
  for (const std::string& text : texts) bytes += text.size();
  return bytes;
}
[[nodiscard]] inline std::size_t text_bytes(const choice_item& item) noexcept {
  return text_bytes(item.prompt) + text_bytes(item.choices);
}
[[nodiscard]] inline std::size_t text_bytes(const cloze_item& item) noexcept {
  return text_bytes(item.prompts) + text_bytes(item.completion);
}
[[nodiscard]] inline std::size_t text_bytes(const answer_item& item) noexcept {
  return text_bytes(item.prompt) + text_bytes(item.completion) + text_bytes(item.answers) + text_bytes(item.id);
}

/// Items that a file becomes, and how much they may be. Questions on one passage repeat it in their prompts, so that
/// a small file could become items without end: they may take eight bytes for each byte of the file, and
/// `io::json_memory` beside that. (Those of SQuAD take three, those of DROP one.)
template <class Item>
class item_list {
 public:
  explicit item_list(const std::filesystem::path& path) : path_(path) {
    std::error_code ignored;  // whoever reads the file says what is wrong with it
    const std::uintmax_t size = std::filesystem::file_size(path, ignored);
    if (!ignored) most_ += 8 * static_cast<std::size_t>(size);
  }

  /// Throws io_error, with the file and the limit, where this and those before are too much.
  void push_back(Item item) {
    bytes_ += 3 * sizeof(Item) + text_bytes(item);  // in a vector that doubles as it grows
    require<io_error>(bytes_ <= most_,
                      "{}: its items would take more than {} bytes of memory, too much for a file of that size: long "
                      "passages with very many questions; cut it into several",
                      path_.native(), most_);
    items_.push_back(std::move(item));
  }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
  /// The items, which this has no more.
  [[nodiscard]] std::vector<Item> take() && { return std::move(items_); }

 private:
  const std::filesystem::path& path_;
  std::vector<Item> items_;
  std::size_t bytes_ = 0, most_ = io::json_memory;
};

}  // namespace zoqat::tasks
