// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/gguf/architecture.hpp>
#include <zoqat/io/gguf/decode.hpp>
#include <zoqat/io/gguf/file.hpp>
#include <zoqat/io/gguf/llama.hpp>
#include <zoqat/io/gguf/rope.hpp>
#include <zoqat/io/name_map.hpp>
#include <zoqat/io/shape_limits.hpp>

#include <fmt/ranges.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

namespace detail {

/// How the frequencies of a model are scaled, as engines have it: by a factor for all, or by a tensor of factors.
inline rope_scaling read_rope_scaling(const file& from, const architecture_settings& settings,
                                      const llama_architecture& architecture, const model_shape& shape) {
  const std::string& source = from.path().native();
  const auto type = settings.get_if<std::string>("rope.scaling.type").value_or("linear");
  require<io_error>(type == "none" || type == "linear", "{}: {}: '{}' is not supported, but 'none' and 'linear' are",
                    source, settings.key("rope.scaling.type"), type);
  float factor =
      settings.get_if<float>("rope.scaling.factor").value_or(settings.get_if<float>("rope.scale_linear").value_or(1));
  if (type == "none" || factor == 0) factor = 1;
  const tensor* const stored = architecture.may_stretch ? from.find(rope_factors_name) : nullptr;
  if (!stored)
    return factor == 1 ? rope_scaling{} : rope_scaling{.how = rope_scaling::kind::linear, .factor = factor};
  require<io_error>(factor == 1, "{}: {} is {} beside a tensor '{}'; which of them holds?", source,
                    settings.key("rope.scaling.factor"), factor, rope_factors_name);
  require<io_error>(stored->shape == std::vector{shape.head_size / 2} && stored->type == tensor_type::f32,
                    "{}: tensor '{}': is {} of shape [{}], but F32 of [{}] is wanted", source, stored->name,
                    info_of(stored->type).name, fmt::join(stored->shape, ", "), shape.head_size / 2);
  std::vector<float> factors(shape.head_size / 2);
  decode(*stored, 0, factors, source);
  const auto scaling = scaling_of(factors, shape);
  require<io_error>(scaling.has_value(),
                    "{}: tensor '{}': holds factors, such as {} for the slowest pair, that are neither all alike nor "
                    "those of LLaMA 3, which are what is supported",
                    source, stored->name, factors.empty() ? 0 : factors.back());
  return *scaling;
}

/// Which linear layers have biases in a file.
inline linear_biases biases_in(const file& from) {
  const auto has = [&](llama_tensor tensor) { return from.find(file_name_of(tensor)) != nullptr; };
  linear_biases biases;
  biases.query_key_value = has(llama_tensor::query_bias);
  biases.attention_output = has(llama_tensor::attention_output_bias);
  biases.mlp = has(llama_tensor::gate_bias) || has(llama_tensor::up_bias) || has(llama_tensor::down_bias);
  return biases;
}

}  // namespace detail

/// The shape of a model of LLaMA's kind from its metadata, whose defaults are those of engines. Throws io_error, with
/// the key and its value, for settings that are not supported.
[[nodiscard]] inline model_shape llama_shape(const file& from, const llama_architecture& architecture) {
  const architecture_settings settings(from, architecture.name);
  const std::string& source = from.path().native();
  const auto experts = settings.get_if<std::size_t>("expert_count").value_or(0);
  require<io_error>(experts == 0, "{}: {}: a mixture of {} experts is not supported", source,
                    settings.key("expert_count"), experts);
  const tensor* const embedding = from.find(file_name_of(llama_tensor::embedding));
  require<io_error>(embedding && embedding->shape.size() == 2, "{}: no matrix '{}'", source,
                    file_name_of(llama_tensor::embedding));
  model_shape shape;
  shape.kind.family = architecture.family;
  shape.vocabulary = embedding->shape[0];
  shape.positions = settings.get<std::size_t>("context_length");
  shape.hidden = settings.get<std::size_t>("embedding_length");
  shape.layers = settings.get<std::size_t>("block_count");
  shape.intermediate = settings.get<std::size_t>("feed_forward_length");
  shape.heads = settings.get<std::size_t>("attention.head_count");
  shape.kv_heads = settings.get_if<std::size_t>("attention.head_count_kv").value_or(shape.heads);
  const auto key_length = settings.get_if<std::size_t>("attention.key_length");
  require<io_error>(key_length || (shape.heads > 0 && shape.hidden % shape.heads == 0),
                    "{}: {}: {} channels cannot be cut into {} heads", source, settings.key("attention.head_count"),
                    shape.hidden, shape.heads);
  shape.head_size = key_length ? *key_length : shape.hidden / shape.heads;
  for (const std::string_view name : {"attention.value_length", "rope.dimension_count"}) {
    const auto size = settings.get_if<std::size_t>(name).value_or(shape.head_size);
    require<io_error>(size == shape.head_size, "{}: {}: {} is not supported beside heads of {}", source,
                      settings.key(name), size, shape.head_size);
  }
  shape.norm_epsilon = settings.get<float>("attention.layer_norm_rms_epsilon");
  shape.rope_theta = settings.get_if<float>("rope.freq_base").value_or(1e4f);
  shape.rope = architecture.rope;
  shape.biases = detail::biases_in(from);
  shape.rope_scaling = detail::read_rope_scaling(from, settings, architecture, shape);
  shape.tied_head = from.find(file_name_of(llama_tensor::head)) == nullptr;
  require_plausible(shape, source);
  return shape;
}

}  // namespace zoqat::io::gguf
