// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>  // require, io_error

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <filesystem>
#include <ranges>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

/// The settings of a program as text: what its run log keeps of them. A type of settings lists what makes a run by
/// `static void for_each(Settings& s, F&& f)`, which calls f(name, member, help) for each of it.
namespace zoqat::programs {

/// The parts of a text between commas.
[[nodiscard]] inline std::vector<std::string> parts_of(std::string_view list) {
  std::vector<std::string> parts;
  for (const auto part : std::views::split(list, ',')) parts.emplace_back(part.begin(), part.end());
  return parts;
}

/// The folder in which the files beside a model lie: its own, or the one that its file is in.
[[nodiscard]] inline std::filesystem::path folder_of_model(const std::filesystem::path& model) {
  if (std::filesystem::is_directory(model)) return model;
  return model.has_parent_path() ? model.parent_path() : std::filesystem::path(".");
}

/// The file beside a run log in which the start of its run is kept.
[[nodiscard]] inline std::string start_path_of(const std::string& log) { return log + ".start"; }

/// A line "name=value" for each setting.
template <class Settings>
[[nodiscard]] std::string text_of(const Settings& s) {
  std::string lines;
  Settings::for_each(
      s, [&](const char* name, const auto& value, const auto&) { lines += fmt::format("{}={}\n", name, value); });
  return lines;
}

/// False if `text` is no such value as a whole.
inline bool parse(std::string_view text, std::string& value) {
  value = text;
  return true;
}
template <class Number>
bool parse(std::string_view text, Number& value) {
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stopped == end;
}

/// Throws value_error, with both, for the first setting that is not what it was when the log `source` was begun.
inline void require_same_settings(const std::string& then, const std::string& now, const std::string& source) {
  const auto lines_of = [](std::string_view text) {
    std::vector<std::string> lines;
    for (const auto line : std::views::split(text, '\n')) lines.emplace_back(line.begin(), line.end());
    return lines;
  };
  const auto before = lines_of(then), here = lines_of(now);
  const auto [was, is] = std::ranges::mismatch(before, here);
  require(was == before.end() && is == here.end(),
          "{}: the run was begun with {}, but goes on with {}; give it the same", source,
          was == before.end() ? "less" : *was, is == here.end() ? "less" : *is);
}

/// Takes over the settings in `lines`, which come from the file `source`. Throws io_error, with the file and the
/// setting, for one that is missing or makes no sense.
template <class Settings>
void read_text(Settings& s, const std::string& lines, const std::string& source) {
  Settings::for_each(s, [&](const std::string& name, auto& value, const auto&) {
    const std::size_t at = ("\n" + lines).find("\n" + name + "=");
    require<io_error>(at != lines.npos, "{}: the log's settings lack '{}'", source, name);
    const std::size_t from = at + name.size() + 1;
    const std::string found = lines.substr(from, lines.find('\n', from) - from);
    require<io_error>(parse(found, value), "{}: setting '{}': '{}' makes no sense", source, name, found);
  });
}

}  // namespace zoqat::programs
