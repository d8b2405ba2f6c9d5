// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>            // require, io_error
#include <zoqat/train/start_snapshot.hpp>  // save_start, restore_start
#include <zoqat/zo/log/run_log.hpp>        // run_log, fingerprint

#include <common/settings_text.hpp>  // start_path_of

#include <fmt/format.h>

#include <filesystem>
#include <string>

/// The start of a run in a file beside its log.
namespace zoqat::programs {

/// Keeps the start of a run whose log is about to begin, or removes that of the run which it replaces. Throws
/// io_error for the start of another run that is not to be replaced.
template <class Model>
void begin_start(Model& model, const std::string& log, bool snapshot, bool replace) {
  const std::string path = start_path_of(log);
  if (!snapshot) {
    std::filesystem::remove(path);
  } else if (replace || !std::filesystem::exists(path)) {
    train::save_start(path, model);
  } else {
    require<io_error>(train::fingerprint_of_start(path) == zo::fingerprint(model),
                      "{}: is there already, the start of another run; give --overwrite to replace it with this one, "
                      "or the log another name",
                      path);
  }
}

/// A prepared model becomes the one that the run of a log started from, where that is kept: elsewhere the same
/// preparation ends in other last bits.
template <class Model>
void restore_kept_start(Model& model, const zo::run_log& log) {
  const std::string path = start_path_of(log.path().native());
  if (!std::filesystem::exists(path)) return;
  require<io_error>(train::fingerprint_of_start(path) == log.header().start,
                    "{}: is the start of another run than that of {}; move it away", path, log.path().native());
  train::restore_start(path, model);
  fmt::print("{}: the start is the one that is kept there\n", path);
}

}  // namespace zoqat::programs
