// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/model_config.hpp>
#include <zoqat/io/quantized_model.hpp>
#include <zoqat/io/tensor.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::io {

/// Writing the `config.json` of a model.

namespace detail {

/// A number as JSON shows it best: the shortest decimal that is this float.
inline double shortest(float value) { return std::strtod(fmt::format("{}", value).c_str(), nullptr); }

/// What two configurations of models can be compared by: how files pair the rows of heads is no part of them.
inline model_shape of_hugging_face(model_shape shape) {
  shape.rope = rope_pairing::half_split;
  return shape;
}

inline json rope_scaling_config(const rope_scaling& scaling) {
  if (scaling.how == rope_scaling::kind::linear)
    return {{"rope_type", "linear"}, {"factor", shortest(scaling.factor)}};
  return {{"rope_type", "llama3"},
          {"factor", shortest(scaling.factor)},
          {"low_freq_factor", shortest(scaling.low_frequency_factor)},
          {"high_freq_factor", shortest(scaling.high_frequency_factor)},
          {"original_max_position_embeddings", scaling.original_positions}};
}

/// The name and the values of the first size in which two shapes differ; of settings where all sizes agree.
inline std::string difference_of(model_shape a, model_shape b) {
  std::string text = "settings beside the sizes differ";
  bool found = false;
  for_each_size(a, [&](const char* name, std::size_t value) {
    for_each_size(b, [&](std::string_view other, std::size_t other_value) {
      if (found || name != other || value == other_value) return;
      found = true;
      text = fmt::format("{} is {} here and {} there", name, value, other_value);
    });
  });
  return text;
}

}  // namespace detail

/// A `config.json` for a model of LLaMA's kind of that shape, without a type of values. Throws io_error, with
/// `source`, for a model that no such configuration describes.
[[nodiscard]] inline json make_hugging_face_config(const model_shape& shape, std::string_view source) {
  require<io_error>(
      shape.kind.family != model_family::opt,
      "{}: no configuration is made up for models of family opt; give the config.json of the base model", source);
  const bool qwen2 = shape.biases.query_key_value && !shape.biases.attention_output;
  const std::string_view type = shape.kind.family == model_family::qwen3 ? "qwen3" : qwen2 ? "qwen2" : "llama";
  json config{{"architectures", {detail::find_llama_relative(type)->architecture}},
              {"model_type", type},
              {"hidden_size", shape.hidden},
              {"intermediate_size", shape.intermediate},
              {"num_hidden_layers", shape.layers},
              {"num_attention_heads", shape.heads},
              {"num_key_value_heads", shape.kv_heads},
              {"head_dim", shape.head_size},
              {"vocab_size", shape.vocabulary},
              {"max_position_embeddings", shape.positions},
              {"rms_norm_eps", detail::shortest(shape.norm_epsilon)},
              {"rope_theta", detail::shortest(shape.rope_theta)},
              {"hidden_act", "silu"},
              {"tie_word_embeddings", shape.tied_head},
              {"attention_bias", shape.biases.attention_output},
              {"mlp_bias", shape.biases.mlp}};
  if (shape.rope_scaling != rope_scaling{}) config["rope_scaling"] = detail::rope_scaling_config(shape.rope_scaling);
  require<io_error>(parse_model_config(config, source) == detail::of_hugging_face(shape),
                    "{}: no configuration of model type {} describes this model; give the config.json of the base "
                    "model",
                    source, type);
  return config;
}

/// `given`, the `config.json` found at `given_path`. Throws io_error unless it describes a model of that shape, with
/// what differs.
[[nodiscard]] inline json same_hugging_face_config(const json& given, std::string_view given_path,
                                                   const model_shape& shape, std::string_view source) {
  const model_shape described = parse_model_config(given, given_path), own = detail::of_hugging_face(shape);
  require<io_error>(described == own, "{}: describes another model than {}: {}", given_path, source,
                    detail::difference_of(described, own));
  return given;
}

/// Says in a configuration which type values have, under the names of old and new versions of Transformers.
inline void set_values_type(json& config, dtype values) {
  const std::string_view name = values == dtype::f32 ? "float32" : values == dtype::f16 ? "float16" : "bfloat16";
  config["torch_dtype"] = name;
  if (config.contains("dtype")) config["dtype"] = name;
}

}  // namespace zoqat::io
