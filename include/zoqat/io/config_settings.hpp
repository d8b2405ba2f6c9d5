// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::io::detail {

/// A member of a `config.json` that changes what is computed. Absent, null or as given here it means the plain model.
struct plain_setting {
  const char* key;
  const char* value;  ///< as JSON
};

/// Throws io_error, with the member and its value, where a setting is not plain.
inline void require_plain(const json& config, std::span<const plain_setting> settings, std::string_view source) {
  for (const plain_setting& setting : settings) {
    const auto member = config.find(setting.key);
    if (member == config.end() || member->is_null()) continue;
    if (*member != json::parse(setting.value))
      fail<io_error>("{}: \"{}\" is {}, but only {} is supported", source, setting.key, shown(*member),
                     setting.value);
  }
}

/// Throws io_error, with the value, unless `config` is of that model type, and of that architecture if it names any.
inline void require_model_type(const json& config, std::string_view type, std::string_view architecture,
                               std::string_view source) {
  const auto found = get<std::string>(config, "model_type", source);
  require<io_error>(found == type, "{}: \"model_type\" is \"{}\", but only \"{}\" is supported", source,
                    excerpt(found), type);
  const auto names = config.find("architectures");
  if (names == config.end() || names->is_null()) return;
  if (!names->is_array() || std::find(names->begin(), names->end(), architecture) == names->end())
    fail<io_error>("{}: \"architectures\" is {}, but only \"{}\" is supported", source, shown(*names), architecture);
}

/// Width of one of `heads` equal parts of the hidden size. Throws io_error, with both, where there are none.
inline std::size_t head_size_of(std::size_t hidden, std::size_t heads, std::string_view source) {
  require<io_error>(heads != 0 && hidden % heads == 0,
                    "{}: \"hidden_size\" {} cannot be cut into \"num_attention_heads\" {}", source, hidden, heads);
  return hidden / heads;
}

}  // namespace zoqat::io::detail
