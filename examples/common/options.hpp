// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>  // require

#include <CLI/CLI.hpp>

#include <span>
#include <string>
#include <string_view>

namespace zoqat::programs {

/// Adds an option with its help and its default for each setting that makes a run (see common/settings_text.hpp).
template <class Settings>
void add_options(CLI::App& app, Settings& s) {
  Settings::for_each(s, [&](const std::string& name, auto& value, const std::string& help) {
    app.add_option("--" + name, value, help)->capture_default_str();
  });
}

/// An option, and why it would change nothing beside the others, if it would.
struct option_use {
  std::string_view name;
  bool useful;
  std::string_view otherwise;
};

/// Throws value_error for an option that was given and changes nothing.
inline void require_useful(const CLI::App& app, std::span<const option_use> options) {
  for (const auto& [name, useful, otherwise] : options)
    require(useful || app.count(fmt::format("--{}", name)) == 0, "--{}: {}; leave it out", name, otherwise);
}

}  // namespace zoqat::programs
