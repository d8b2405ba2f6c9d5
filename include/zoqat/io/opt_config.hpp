// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/config_settings.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/shape_limits.hpp>

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::io {

namespace detail {

// OPT-350M alone norms after each layer and embeds into another width than the stream's.
inline constexpr std::array<plain_setting, 4> plain_opt_settings{{
    {"do_layer_norm_before", "true"},
    {"layer_norm_elementwise_affine", "true"},
    {"_remove_final_layer_norm", "false"},
    {"quantization_config", "null"},
}};

/// What Hugging Face calls the activations.
inline constexpr std::array<std::pair<std::string_view, activation_function>, 4> opt_activations{{
    {"relu", activation_function::relu},
    {"gelu", activation_function::gelu_erf},
    {"gelu_new", activation_function::gelu_tanh},
    {"gelu_pytorch_tanh", activation_function::gelu_tanh},
}};

inline activation_function opt_activation(const json& config, std::string_view source) {
  const auto name = get_if<std::string>(config, "activation_function", source).value_or("relu");
  const auto found =
      std::ranges::find(opt_activations, name, &std::pair<std::string_view, activation_function>::first);
  require<io_error>(found != opt_activations.end(),
                    "{}: \"activation_function\" is \"{}\", but only \"{}\" are supported", source, excerpt(name),
                    fmt::join(opt_activations | std::views::keys, "\", \""));
  return found->second;
}

}  // namespace detail

/// The shape of an OPT model from the content of its Hugging Face `config.json`. Absent members get the defaults of
/// Hugging Face's OPTConfig (ReLU, biases, a tied head, embeddings as wide as the stream); sizes have none. The
/// norms' epsilon is 1e-5 in every OPT. Throws io_error, with the member and its value, on another architecture, on
/// settings that are not supported (norms after the layers, embeddings of another width) and on sizes that make no
/// model.
[[nodiscard]] inline model_shape parse_opt_config(const json& config, std::string_view source) {
  detail::require_model_type(config, "opt", "OPTForCausalLM", source);
  detail::require_plain(config, detail::plain_opt_settings, source);
  const auto size = [&](std::string_view key) { return get<std::size_t>(config, key, source); };
  const auto flag = [&](std::string_view key) { return get_if<bool>(config, key, source).value_or(true); };

  model_shape shape;
  shape.kind = {model_family::opt, detail::opt_activation(config, source)};
  shape.hidden = size("hidden_size");
  shape.intermediate = size("ffn_dim");
  shape.layers = size("num_hidden_layers");
  shape.heads = shape.kv_heads = size("num_attention_heads");
  shape.head_size = detail::head_size_of(shape.hidden, shape.heads, source);
  shape.vocabulary = size("vocab_size");
  shape.positions = size("max_position_embeddings");
  shape.norm_epsilon = 1e-5f;
  shape.tied_head = flag("tie_word_embeddings");
  shape.biases = flag("enable_bias");
  const auto embedded = get_if<std::size_t>(config, "word_embed_proj_dim", source).value_or(shape.hidden);
  require<io_error>(embedded == shape.hidden,
                    "{}: \"word_embed_proj_dim\" is {}, but only the \"hidden_size\" {} is supported", source,
                    embedded, shape.hidden);
  require_plausible(shape, source);
  return shape;
}

/// The content of the `config.json` of a Hugging Face folder with an OPT model of this shape, as `parse_opt_config`
/// reads it back.
[[nodiscard]] inline json to_opt_config(const model_shape& shape) {
  using named = std::pair<std::string_view, activation_function>;
  return {{"architectures", {"OPTForCausalLM"}},
          {"model_type", "opt"},
          {"hidden_size", shape.hidden},
          {"word_embed_proj_dim", shape.hidden},
          {"ffn_dim", shape.intermediate},
          {"num_hidden_layers", shape.layers},
          {"num_attention_heads", shape.heads},
          {"vocab_size", shape.vocabulary},
          {"max_position_embeddings", shape.positions},
          {"activation_function",
           std::ranges::find(detail::opt_activations, shape.kind.activation, &named::second)->first},
          {"do_layer_norm_before", true},
          {"enable_bias", shape.biases.any()},
          {"layer_norm_elementwise_affine", true},
          {"tie_word_embeddings", shape.tied_head}};
}

/// Reads a Hugging Face `config.json`; throws as `read_json` and `parse_opt_config` do.
[[nodiscard]] inline model_shape read_opt_config(const std::filesystem::path& path) {
  return parse_opt_config(read_json(path), path.native());
}

}  // namespace zoqat::io
