// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/plural.hpp>           // plural
#include <zoqat/io/checksums.hpp>          // require_checksums
#include <zoqat/io/gguf/model_file.hpp>    // gguf::model_file
#include <zoqat/io/quantized_model.hpp>    // scheme_of
#include <zoqat/train/start_snapshot.hpp>  // fingerprint_of_start
#include <zoqat/zo/log/run_log.hpp>        // run_log

#include <common/model_origin.hpp>  // origin_in, require_made_by
#include <common/plan.hpp>          // is_run_log
#include <zeroqat/settings.hpp>     // is_gguf
#include <zeroqat/verify.hpp>

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <filesystem>

namespace zoqat::programs {

namespace {

/// What a log is; throws unless it is whole.
std::string log_verdict(const std::string& path) {
  if (zo::run_log::is_in_use(path)) {
    const auto log = zo::run_log::read_intact(path);
    fail<io_error>("{}: is in use by a run that writes it, {} of {} so far; verify it when that has ended", path,
                   log.steps(), plural(log.header().steps, "step"));
  }
  const auto log = zo::run_log::read(path);
  log.require_finished();
  return fmt::format("a run log of {}, whole; chain {:016x}", plural(log.steps(), "step"), log.chain());
}

/// What the start of a run is; throws unless it is whole.
std::string start_verdict(const std::string& path) {
  return fmt::format("the start of a run, whole; fingerprint {:016x}", train::fingerprint_of_start(path));
}

/// What a model says of the run that made it; throws where the log of that name beside it is another one's.
std::string made_by(const std::filesystem::path& path, const io::safetensors_metadata& origin) {
  const auto name = origin.find("run_log"), chain = origin.find("run_log_chain");
  if (name == origin.end() || chain == origin.end()) return {};
  const std::filesystem::path log = path.parent_path() / std::filesystem::path(name->second).filename();
  if (is_run_log(log)) require_made_by(origin, zo::run_log::read_intact(log), path);
  return fmt::format("; made by {}, chain {}", name->second, chain->second);
}

/// What a quantized model is; throws unless it is whole.
std::string model_verdict(const std::string& path) {
  const io::safetensors_file file(path);
  const std::string scheme = io::scheme_of(file);
  static_cast<void>(io::shape_of_quantized(file));
  io::require_checksums(file);
  return fmt::format("a quantized model of scheme {}, whole{}", scheme, made_by(path, file.metadata()));
}

/// What a GGUF file is; throws for one that cannot be read.
std::string gguf_verdict(const std::string& path) {
  const io::gguf::model_file model(path);
  return fmt::format("a GGUF file of {}, readable; the format has no checksums{}",
                     plural(model.file().tensors().size(), "tensor"),
                     made_by(path, origin_in(model.file().metadata())));
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
                 : is_gguf(path)             ? gguf_verdict(path)
                                             : log_verdict(path));
    } catch (const std::exception& e) {
      fmt::print(stderr, "{}\n", e.what());
      status = 1;
    }
  }
  return status;
}

}  // namespace zoqat::programs
