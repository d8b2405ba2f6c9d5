// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/gguf/value.hpp>   // gguf::metadata
#include <zoqat/io/safetensors.hpp>  // safetensors_metadata
#include <zoqat/zo/log/run_log.hpp>  // run_log

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>

namespace zoqat::programs {

/// What a saved model says of the run that made it: the first `steps` steps of a log, by its name and its chain.
[[nodiscard]] inline io::safetensors_metadata origin_of(const zo::run_log& log, std::uint32_t steps) {
  return {{"run_log", log.path().filename().native()},
          {"run_log_chain", fmt::format("{:016x}", log.chain())},
          {"run_log_steps", fmt::format("{}", steps)}};
}

/// What the keys of a GGUF file begin with that say the same.
inline constexpr std::string_view origin_prefix = "zoqat.";

/// Metadata of a GGUF file that say which run made it, in place of what they say of another one; of a run without a
/// log they say nothing.
[[nodiscard]] inline io::gguf::metadata with_origin(const io::gguf::metadata& entries,
                                                    const io::safetensors_metadata& origin) {
  io::gguf::metadata result;
  for (const auto& entry : entries)
    if (!entry.first.starts_with(fmt::format("{}run_log", origin_prefix))) result.push_back(entry);
  for (const auto& [key, text] : origin) result.emplace_back(fmt::format("{}{}", origin_prefix, key), text);
  return result;
}
/// What a GGUF file says of the run that made it; nothing where it was not trained here.
[[nodiscard]] inline io::safetensors_metadata origin_in(const io::gguf::metadata& entries) {
  io::safetensors_metadata origin;
  for (const auto& [key, value] : entries)
    if (const auto text = value.text_if(); text && key.starts_with(fmt::format("{}run_log", origin_prefix)))
      origin.emplace(key.substr(origin_prefix.size()), *text);
  return origin;
}

/// Throws io_error where what a model or a table says of the run that made it is not said of `log`; `path` is its
/// file.
inline void require_made_by(const io::safetensors_metadata& origin, const zo::run_log& log,
                            const std::filesystem::path& path) {
  const auto chain = origin.find("run_log_chain");
  require<io_error>(chain == origin.end() || chain->second == fmt::format("{:016x}", log.chain()),
                    "{}: was made by another run than that of {}, or by fewer steps of it; give the files of one run "
                    "one name",
                    path.native(), log.path().native());
}

}  // namespace zoqat::programs
