// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/text/bpe_model.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::text {

/// Adds the merge of a line like "a b", as merges.txt and tokenizer.json have it; `where` names it in messages.
/// Throws io_error unless it is two tokens with a space between, and as `bpe_model::add_merge` does.
inline void add_merge_line(bpe_model& model, std::string_view line, std::string_view where) {
  const std::size_t space = line.find(' ');
  require<io_error>(space != std::string_view::npos && space != 0 && space + 1 != line.size() &&
                        line.find(' ', space + 1) == std::string_view::npos,
                    "{}: '{}' is not two tokens with a space between", where, io::detail::excerpt(line));
  model.add_merge(line.substr(0, space), line.substr(space + 1), where);
}

/// Calls f(line, number) for the lines of a merges.txt that list merges, the first being number 1.
template <class F>
void for_each_merge_line(std::string_view text, F&& f) {
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    // '#' is a piece too: only the first line is a heading, and only when it says so.
    if (line.empty() || (number == 1 && line.starts_with("#version"))) continue;
    f(line, number);
  }
}

/// Adds the merges that the lines of a merges.txt list, which `source` names in messages. Throws io_error as above,
/// with the line.
inline void add_merge_lines(bpe_model& model, std::string_view text, std::string_view source) {
  for_each_merge_line(text, [&](std::string_view line, std::size_t number) {
    add_merge_line(model, line, fmt::format("{}: line {}", source, number));
  });
}

}  // namespace zoqat::text
