// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/safetensors.hpp>  // safetensors_metadata
#include <zoqat/zo/log/run_log.hpp>  // run_log

#include <fmt/format.h>

#include <cstdint>

namespace zoqat::programs {

/// What a saved model says of the run that made it: the first `steps` steps of a log, by its name and its chain.
[[nodiscard]] inline io::safetensors_metadata origin_of(const zo::run_log& log, std::uint32_t steps) {
  return {{"run_log", log.path().filename().native()},
          {"run_log_chain", fmt::format("{:016x}", log.chain())},
          {"run_log_steps", fmt::format("{}", steps)}};
}

}  // namespace zoqat::programs
