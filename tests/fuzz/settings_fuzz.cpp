// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer: a program's options from a file, or the settings in a run log, are read or refused by the errors that
// the program reports. An input is a byte that says which, and the text.
#include <common/options.hpp>
#include <common/settings_text.hpp>
#include <zeroqat/settings.hpp>
#include <zoqat/core/error.hpp>

#include <CLI/CLI.hpp>

#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>

namespace {

using namespace zoqat;

void read_options(const std::string& text) {
  programs::settings s;
  CLI::App app;
  CLI::App* const train = app.add_subcommand("train");
  programs::add_options(*train, s);
  app.set_config("--config");
  app.allow_config_extras(CLI::config_extras_mode::error);
  std::istringstream in(text);
  try {
    app.parse_from_stream(in);
  } catch (const CLI::Error&) {
  }
}

void read_log(const std::string& text) {
  programs::settings s;
  try {
    programs::read_text(s, text, "input");
  } catch (const error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  data[0] % 2 == 0 ? read_options(text) : read_log(text);
  return 0;
}
