// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/gguf/round.hpp>
#include <zoqat/io/gguf/tensor_plan.hpp>
#include <zoqat/io/gguf/tensor_type.hpp>
#include <zoqat/io/tensor_source.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// A mix of types that llama-quantize knows by name.
struct named_mix {
  std::string_view name;
  tensor_type weights, more;  ///< of most linear layers, and of those that get more bits
};
inline constexpr std::array<named_mix, 2> named_mixes{{
    {"q4_k_m", tensor_type::q4_k, tensor_type::q6_k},
    {"q5_k_m", tensor_type::q5_k, tensor_type::q6_k},
}};

/// The mix of that name, or null.
[[nodiscard]] constexpr const named_mix* find_named_mix(std::string_view name) noexcept {
  for (const named_mix& mix : named_mixes)
    if (mix.name == name) return &mix;
  return nullptr;
}

/// Which layers llama-quantize gives more bits: the first and the last eighth, and each third between.
[[nodiscard]] constexpr bool has_more_bits(std::size_t layer, std::size_t layers) noexcept {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

/// The rules of a mix for a model of LLaMA's kind with so many layers: the matrices of values and the second ones of
/// MLPs (src/llama-quant.cpp of llama.cpp).
[[nodiscard]] inline std::vector<type_rule> rules_of(const named_mix& mix, std::size_t layers) {
  std::vector<type_rule> rules;
  for (std::size_t layer = 0; layer != layers; ++layer)
    if (has_more_bits(layer, layers))
      for (const std::string_view matrix : {"self_attn.v_proj", "mlp.down_proj"})
        rules.push_back({fmt::format("model.layers.{}.{}", layer, matrix), mix.more});
  return rules;
}

/// Throws value_error for types that are not written, and for a rule of a mix that matches no layer of a model.
inline void require_writable(const export_types& types, const model_shape& shape) {
  const auto require_encodable = [](tensor_type type) {
    require(is_encodable(type), "{} is not written by this version of the library", info_of(type).name);
  };
  for (const tensor_type type : {types.weights, types.embeddings}) require_encodable(type);
  for (const type_rule& rule : types.mix) {
    require_encodable(rule.type);
    bool found = false;
    std::string example;
    for_each_tensor(shape, [&](const std::string& name, std::span<const std::size_t> extents) {
      if (!is_linear_weight(name, extents)) return;
      example = name.substr(0, name.rfind(".weight"));
      found = found || matches_pattern(rule.pattern, example);
    });
    require(found, "no linear layer of the model has a name like '{}'; the last one is {}", rule.pattern, example);
  }
}

}  // namespace zoqat::io::gguf
