// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/plural.hpp>           // plural
#include <zoqat/io/checksums.hpp>          // require_checksums
#include <zoqat/io/quantized_model.hpp>    // scheme_of
#include <zoqat/train/start_snapshot.hpp>  // fingerprint_of_start
#include <zoqat/zo/log/run_log.hpp>        // run_log

#include <zeroqat/verify.hpp>

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <filesystem>

namespace zoqat::programs {

namespace {

/// What a log is; throws unless it is whole.
std::string log_verdict(const std::string& path) {
  const auto log = zo::run_log::read(path);
  log.require_finished();
  return fmt::format("a run log of {}, whole; chain {:016x}", plural(log.steps(), "step"), log.chain());
}

/// What the start of a run is; throws unless it is whole.
std::string start_verdict(const std::string& path) {
  return fmt::format("the start of a run, whole; fingerprint {:016x}", train::fingerprint_of_start(path));
}

/// What a quantized model is; throws unless it is whole.
std::string model_verdict(const std::string& path) {
  const io::safetensors_file file(path);
  const std::string scheme = io::scheme_of(file);
  static_cast<void>(io::shape_of_quantized(file));
  io::require_checksums(file);
  const auto origin = file.metadata().find("run_log"), chain = file.metadata().find("run_log_chain");
  const bool said = origin != file.metadata().end() && chain != file.metadata().end();
  return fmt::format("a quantized model of scheme {}, whole{}", scheme,
                     said ? fmt::format("; made by {}, chain {}", origin->second, chain->second) : "");
}

}  // namespace

int verify_files(std::span<const std::string> files) {
  int status = 0;
  for (const std::string& path : files) {
    try {
      const auto extension = std::filesystem::path(path).extension();
      fmt::print("{}: {}\n", path,
                 extension == ".safetensors" ? model_verdict(path)
                 : extension == ".start"     ? start_verdict(path)
                                             : log_verdict(path));
    } catch (const std::exception& e) {
      fmt::print(stderr, "{}\n", e.what());
      status = 1;
    }
  }
  return status;
}

}  // namespace zoqat::programs
