// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/json.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::io {

/// What the rotary embedding of a model is, beside the pairing of elements.
struct rope_settings {
  float theta = 1e4f;
  rope_scaling scaling{};
};

namespace detail {

/// A member that is an object; nothing where it is absent or null.
inline const json* object_if(const json& config, std::string_view key, std::string_view source) {
  const auto member = config.find(key);
  if (member == config.end() || member->is_null()) return nullptr;
  require<io_error>(member->is_object(), "{}: \"{}\" must be an object, but is {}", source, key, shown(*member));
  return &*member;
}

/// The kind of scaling: "rope_type", which older files call "type". Where both are there they must agree.
inline std::string rope_type(const json& object, std::string_view source) {
  const auto older = get_if<std::string>(object, "type", source),
             newer = get_if<std::string>(object, "rope_type", source);
  require<io_error>(!older || !newer || *older == *newer, "{}: \"type\" is \"{}\", but \"rope_type\" is \"{}\"",
                    source, excerpt(older.value_or("")), excerpt(newer.value_or("")));
  return newer.value_or(older.value_or("default"));
}

inline rope_scaling parse_rope_scaling(const json& object, std::size_t positions, std::string_view source) {
  rope_scaling scaling;
  const std::string type = rope_type(object, source);
  if (type == "default") return scaling;
  require<io_error>(type == "linear" || type == "llama3",
                    "{}: \"rope_type\" is \"{}\", but only \"default\", \"linear\" and \"llama3\" are supported",
                    source, excerpt(type));
  scaling.how = type == "linear" ? rope_scaling::kind::linear : rope_scaling::kind::llama3;
  scaling.factor = get<float>(object, "factor", source);
  if (type == "linear") return scaling;
  scaling.low_frequency_factor = get<float>(object, "low_freq_factor", source);
  scaling.high_frequency_factor = get<float>(object, "high_freq_factor", source);
  scaling.original_positions =
      get_if<std::size_t>(object, "original_max_position_embeddings", source).value_or(positions);
  return scaling;
}

}  // namespace detail

/// The rotary embedding that a Hugging Face `config.json` asks for: "rope_theta" and "rope_scaling", or in newer
/// files "rope_parameters" with both; some have all three. `positions` are the model's. Throws io_error, with the
/// member and its value, for kinds of scaling that are not supported, for rotations of a part of a head, and where
/// two members say different things.
[[nodiscard]] inline rope_settings parse_rope_settings(const json& config, std::size_t positions,
                                                       std::string_view source) {
  const json *const parameters = detail::object_if(config, "rope_parameters", source), *const scaling =
                                                                                           detail::object_if(
                                                                                               config, "rope_scaling",
                                                                                               source);
  rope_settings rope;
  std::optional<float> theta = get_if<float>(config, "rope_theta", source);
  for (const json* object : {parameters, scaling}) {
    if (!object) continue;
    const auto own = get_if<float>(*object, "rope_theta", source);
    require<io_error>(!own || !theta || *own == *theta,
                      "{}: \"rope_theta\" is {} in one place and {} in another; which of them holds?", source,
                      own.value_or(0), theta.value_or(0));
    if (own) theta = own;
    const auto part = get_if<float>(*object, "partial_rotary_factor", source);
    require<io_error>(part.value_or(1) == 1, "{}: \"partial_rotary_factor\" is {}, but only 1 is supported", source,
                      part.value_or(1));
  }
  rope.theta = theta.value_or(rope.theta);
  if (parameters) rope.scaling = detail::parse_rope_scaling(*parameters, positions, source);
  if (scaling) {
    const rope_scaling other = detail::parse_rope_scaling(*scaling, positions, source);
    require<io_error>(!parameters || other == rope.scaling,
                      "{}: \"rope_scaling\" and \"rope_parameters\" ask for different scalings", source);
    rope.scaling = other;
  }
  return rope;
}

}  // namespace zoqat::io
