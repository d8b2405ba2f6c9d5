// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace zoqat::programs {

/// Adds an option with its help and its default for each setting that makes a run (see common/settings_text.hpp).
template <class Settings>
void add_options(CLI::App& app, Settings& s) {
  Settings::for_each(s, [&](const std::string& name, auto& value, const std::string& help) {
    app.add_option("--" + name, value, help)->capture_default_str();
  });
}

}  // namespace zoqat::programs
