// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::testing {

/// What is wrong with a text as XML, as far as pages and drawings use it: elements that do not nest, attributes that
/// are not quoted or come twice, unknown entities, more than one root. "" for a text that is well-formed.
class xml_checker {
 public:
  [[nodiscard]] static std::string problem_of(std::string_view text) {
    xml_checker checker{text};
    checker.check();
    return checker.problem_;
  }

 private:
  explicit xml_checker(std::string_view text) : rest_(text) {}

  void check() {
    constexpr std::string_view declaration = "<!DOCTYPE html>";
    if (rest_.starts_with(declaration)) rest_.remove_prefix(declaration.size());
    bool rooted = false;
    while (problem_.empty() && !rest_.empty()) {
      const std::size_t tag = std::min(rest_.find('<'), rest_.size());
      check_characters(rest_.substr(0, tag));
      if (open_.empty() &&
          !std::ranges::all_of(rest_.substr(0, tag), [](unsigned char c) { return std::isspace(c); }))
        return fail("text outside of the root");
      rest_.remove_prefix(tag);
      if (rest_.empty()) break;
      if (open_.empty() && rooted) return fail("a second root");
      rooted = true;
      check_tag();
    }
    if (problem_.empty() && (!open_.empty() || !rooted))
      fail(open_.empty() ? "no root" : "<" + open_.back() + "> is not closed");
  }

  void check_tag() {
    const std::size_t end = rest_.find('>');
    if (end == rest_.npos) return fail("a tag without an end");
    std::string_view tag = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    if (tag.starts_with('/')) {
      if (open_.empty() || open_.back() != tag.substr(1))
        return fail("</" + std::string(tag.substr(1)) + "> closes another element");
      return open_.pop_back();
    }
    const bool empty = tag.ends_with('/');
    if (empty) tag.remove_suffix(1);
    const std::string name(tag.substr(0, std::min(tag.find_first_of(" \n"), tag.size())));
    if (name.empty() || !std::isalpha(static_cast<unsigned char>(name[0]))) return fail("a tag without a name");
    check_attributes(tag.substr(name.size()));
    if (!empty) open_.push_back(name);
  }

  void check_attributes(std::string_view text) {
    std::set<std::string> names;
    while (problem_.empty()) {
      text.remove_prefix(std::min(text.find_first_not_of(" \n"), text.size()));
      if (text.empty()) return;
      const std::size_t equals = text.find("=\"");
      const std::size_t end = equals == text.npos ? text.npos : text.find('"', equals + 2);
      if (end == text.npos) return fail("an attribute without a quoted value: " + std::string(text));
      if (!names.emplace(text.substr(0, equals)).second) return fail("an attribute comes twice");
      check_characters(text.substr(equals + 2, end - equals - 2));
      text.remove_prefix(end + 1);
    }
  }

  void check_characters(std::string_view text) {
    constexpr std::array<std::string_view, 4> entities{"&amp;", "&lt;", "&gt;", "&quot;"};
    for (std::size_t at = 0; (at = text.find('&', at)) != text.npos; ++at)
      if (std::ranges::none_of(entities, [&](std::string_view e) { return text.substr(at).starts_with(e); }))
        return fail("an entity that nobody knows: " + std::string(text.substr(at, 8)));
    if (text.find('<') != text.npos) fail("'<' in a text");
  }

  void fail(std::string problem) {
    if (problem_.empty()) problem_ = std::move(problem);
  }

  std::string_view rest_;
  std::vector<std::string> open_;
  std::string problem_;
};

}  // namespace zoqat::testing
