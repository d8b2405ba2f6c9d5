// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// A text with {placeholders}, as the formats of tasks hold them for users to replace. `{{` and `}}` stand for single
/// braces, and braces in what is filled in are only text.
class text_template {
 public:
  /// `fields` are the placeholders that there are; not all need occur. Throws value_error, naming the template, for
  /// any other placeholder and for a brace without its partner.
  text_template(std::string_view text, std::initializer_list<std::string_view> fields) {
    parts_.emplace_back();
    for (std::size_t i = 0; i != text.size(); ++i) {
      const char c = text[i];
      if (c != '{' && c != '}') {
        parts_.back().text += c;
      } else if (i + 1 != text.size() && text[i + 1] == c) {
        parts_.back().text += text[i++];
      } else {
        const std::size_t end = c == '{' ? text.find_first_of("{}", i + 1) : text.npos;
        require(end != text.npos && text[end] == '}', "template \"{}\": the '{}' at character {} has no partner",
                text, c, i + 1);
        parts_.back().field = index_of(text.substr(i + 1, end - i - 1), fields, text);
        parts_.emplace_back();
        i = end;
      }
    }
  }

  /// The text with the values of the fields, given in the order of the constructor's.
  [[nodiscard]] std::string operator()(std::initializer_list<std::string_view> values) const {
    std::size_t size = 0;
    for (const part& p : parts_) {
      assert(p.field == no_field || p.field < values.size());
      size += p.text.size() + (p.field != no_field ? values.begin()[p.field].size() : 0);
    }
    std::string result;
    result.reserve(size);  // items are kept, and there may be many
    for (const part& p : parts_) {
      result += p.text;
      if (p.field != no_field) result += values.begin()[p.field];
    }
    return result;
  }

 private:
  static constexpr std::size_t no_field = static_cast<std::size_t>(-1);
  struct part {
    std::string text{};
    std::size_t field = no_field;  // that follows the text
  };

  static std::size_t index_of(std::string_view name, std::initializer_list<std::string_view> fields,
                              std::string_view text) {
    const auto found = std::ranges::find(fields, name);
    require(found != fields.end(), "template \"{}\": there is no field {{{}}}; there are {{{}}}", text, name,
            fmt::join(fields, "}, {"));
    return static_cast<std::size_t>(found - fields.begin());
  }

  std::vector<part> parts_;
};

}  // namespace zoqat::tasks
