// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/text_file.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

namespace detail {

/// Takes the records of a CSV text one after the other.
class csv_reader {
 public:
  csv_reader(std::string_view text, std::string file) : text_(text), file_(std::move(file)) {}

  [[nodiscard]] bool at_end() const noexcept { return at_ >= text_.size(); }
  /// Where the record that `next` took last begins.
  [[nodiscard]] const std::string& place() const noexcept { return place_; }

  [[nodiscard]] std::vector<std::string> next() {
    constexpr std::size_t most = 64;
    place_ = fmt::format("{}:{}", file_, line_);
    std::vector<std::string> fields;
    do {
      require<io_error>(fields.size() < most, "{}: more than the {} fields that a record has at most", place_, most);
      fields.push_back(text_.substr(at_, 1) == "\"" ? quoted() : plain());
    } while (at_ < text_.size() && text_[at_++] == ',');  // or the end of the line
    return fields;
  }

 private:
  /// A field up to the comma or the line end; its quotes are only text.
  [[nodiscard]] std::string plain() {
    const std::size_t end = std::min(text_.find_first_of(",\n", at_), text_.size());
    line_ += end < text_.size() && text_[end] == '\n';
    std::string field(text_.substr(at_, end - at_));
    at_ = end;
    return field;
  }
  /// A field in quotes: two of them are one, and line ends are text.
  [[nodiscard]] std::string quoted() {
    std::string field;
    for (std::size_t first = ++at_;; first = ++at_) {
      at_ = text_.find('"', at_);
      require<io_error>(at_ != text_.npos, "{}: the quotation mark of a field has no partner: \"{}\"", place_,
                        io::detail::excerpt(text_.substr(first)));
      field += text_.substr(first, at_ - first);
      if (text_.substr(++at_, 1) != "\"") break;
      field += '"';
    }
    line_ += static_cast<std::size_t>(std::ranges::count(field, '\n'));
    return field += plain();
  }

  std::string_view text_;
  std::string file_, place_;
  std::size_t at_ = 0, line_ = 1;
};

}  // namespace detail

/// Calls f(fields, place) for the records of a CSV file (RFC 4180) that are not empty; `place` is "file:line" of
/// where the record begins, for messages. A field in quotes may hold commas, line ends and doubled quotes. Throws
/// io_error for a file that cannot be read or is empty, and with the place for a quotation mark without its partner.
template <class F>
void for_each_csv_record(const std::filesystem::path& path, F&& f) {
  const std::string text = io::read_text(path);
  detail::csv_reader records(text, path.native());
  while (!records.at_end()) {
    const std::vector<std::string> fields = records.next();
    if (fields.size() > 1 || !fields.front().empty()) f(fields, records.place());
  }
}

}  // namespace zoqat::tasks
