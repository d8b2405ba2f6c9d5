// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

namespace zoqat::bench {

/// Writes PREFIX.gp, which draws PREFIX.png with `commands` ('{}' stands for PREFIX), and runs gnuplot if there is
/// one.
inline void plot(const std::string& prefix, std::string_view commands) {
  const std::string path = prefix + ".gp";
  std::ofstream script(path);
  script << fmt::format("set terminal pngcairo size 1100,700\nset output '{}.png'\nset datafile separator ','\n",
                        prefix)
         << fmt::format(fmt::runtime(commands), prefix);
  script.close();
  require<io_error>(script.good(), "{}: cannot be written", path);
  const char* const run = "command -v gnuplot >/dev/null && gnuplot ";
  if (std::system((run + ("'" + path + "'")).c_str()) != 0) fmt::print("# no gnuplot; gnuplot {} draws it\n", path);
}

}  // namespace zoqat::bench
