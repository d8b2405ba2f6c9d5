// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/llama_config.hpp>
#include <zoqat/io/opt_config.hpp>

#include <fmt/ranges.h>

#include <filesystem>
#include <ranges>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::io {

/// The shape of a model of any family that is read, from the content of its Hugging Face `config.json`. Throws
/// io_error, with the value, on another "model_type", and as the family's own function does.
[[nodiscard]] inline model_shape parse_model_config(const json& config, std::string_view source) {
  const auto type = get<std::string>(config, "model_type", source);
  if (type == "opt") return parse_opt_config(config, source);
  if (detail::find_llama_relative(type)) return parse_llama_config(config, source);
  const auto types = detail::llama_relatives | std::views::transform(&detail::llama_relative::type);
  fail<io_error>("{}: \"model_type\" is \"{}\", but only \"{}\" and \"opt\" are supported", source,
                 detail::excerpt(type), fmt::join(types, "\", \""));
}

/// Reads a Hugging Face `config.json`; throws as `read_json` and `parse_model_config` do.
[[nodiscard]] inline model_shape read_model_config(const std::filesystem::path& path) {
  return parse_model_config(read_json(path), path.native());
}

}  // namespace zoqat::io
