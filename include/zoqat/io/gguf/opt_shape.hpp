// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/gguf/architecture.hpp>
#include <zoqat/io/gguf/decode.hpp>
#include <zoqat/io/gguf/file.hpp>
#include <zoqat/io/gguf/opt.hpp>
#include <zoqat/io/shape_limits.hpp>

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// The architectures that compute what an OPT does.
inline constexpr std::array<std::string_view, 2> opt_architectures{"mpt", "gpt2"};

/// An OPT in a file.
struct opt_in_file {
  model_shape shape;
  float up_factor = 1;  ///< the file's first matrix of an MLP and its bias are the model's times this, a power of two
};

namespace detail {

/// The least divisor of activations at which their GELU is called a ReLU: it differs by at most 0.17 / 256.
inline constexpr float least_relu_factor = 256;

/// Throws io_error for what an MPT may have and an OPT has not.
inline void require_no_mpt(const architecture_settings& settings, const std::string& source) {
  struct switched {
    std::string_view name, what;
  };
  for (const switched& s : {switched{"attention.max_alibi_bias", "positions by ALiBi"},
                            switched{"attention.clamp_kqv", "queries, keys and values that are clamped"}}) {
    const float value = settings.get_if<float>(s.name).value_or(0);
    require<io_error>(value == 0,
                      "{}: {} is {}: an MPT with {} is not supported; files of mpt and gpt2 are read where they "
                      "compute what an OPT does",
                      source, settings.key(s.name), value, s.what);
  }
}

/// The number by which the activations of all layers are divided, 1 where they are not.
inline float divisor_of(const file& from, const model_shape& shape) {
  const std::string& source = from.path().native();
  if (!from.find(opt_divisors_name(0))) return 1;
  float divisor = 0;
  for (std::size_t layer = 0; layer != shape.layers; ++layer) {
    const std::string name = opt_divisors_name(layer);
    const tensor* const stored = from.find(name);
    require<io_error>(stored && stored->type == tensor_type::f32 && stored->shape == std::vector{shape.intermediate},
                      "{}: no tensor '{}' of F32 with {} elements, though '{}' is there", source, name,
                      shape.intermediate, opt_divisors_name(0));
    std::vector<float> values(shape.intermediate);
    decode(*stored, 0, values, source);
    if (layer == 0) divisor = values[0];
    const auto other = std::ranges::find_if(values, [&](float x) { return x != divisor; });
    require<io_error>(other == values.end(),
                      "{}: tensor '{}': element {} is {}, but the first is {}: activations that are divided channel "
                      "by channel are not supported",
                      source, name, other - values.begin(), other == values.end() ? 0 : *other, divisor);
  }
  int exponent = 0;
  require<io_error>(
      divisor == 1 || (std::frexp(divisor, &exponent) == 0.5f && divisor >= least_relu_factor),
      "{}: tensor '{}': divides activations by {}, but 1, for a GELU, and powers of two of at least {}, "
      "for a ReLU, are supported",
      source, opt_divisors_name(0), divisor, least_relu_factor);
  return divisor;
}

}  // namespace detail

/// The model of a file of one of `opt_architectures`. Throws io_error, with the key or the tensor and its value, for
/// what no OPT has.
[[nodiscard]] inline opt_in_file find_opt(const file& from, std::string_view architecture) {
  const architecture_settings settings(from, architecture);
  const std::string& source = from.path().native();
  const auto has = [&](std::string_view name) { return from.find(name) != nullptr; };
  detail::require_no_mpt(settings, source);
  const tensor* const embedding = from.find("token_embd.weight");
  require<io_error>(embedding && embedding->shape.size() == 2, "{}: no matrix 'token_embd.weight'", source);
  model_shape shape;
  shape.vocabulary = embedding->shape[0];
  shape.positions = settings.get<std::size_t>("context_length");
  shape.hidden = settings.get<std::size_t>("embedding_length");
  shape.layers = settings.get<std::size_t>("block_count");
  shape.intermediate = settings.get<std::size_t>("feed_forward_length");
  shape.heads = shape.kv_heads = settings.get<std::size_t>("attention.head_count");
  const auto shared = settings.get_if<std::size_t>("attention.head_count_kv").value_or(shape.heads);
  require<io_error>(shared == shape.heads, "{}: {}: {} heads for keys and values beside {} are no OPT's", source,
                    settings.key("attention.head_count_kv"), shared, shape.heads);
  require<io_error>(shape.heads > 0 && shape.hidden % shape.heads == 0,
                    "{}: {}: {} channels cannot be cut into {} heads", source, settings.key("attention.head_count"),
                    shape.hidden, shape.heads);
  shape.head_size = shape.hidden / shape.heads;
  shape.norm_epsilon = settings.get<float>("attention.layer_norm_epsilon");
  shape.biases.query_key_value = has("blk.0.attn_qkv.bias");
  shape.biases.attention_output = has("blk.0.attn_output.bias");
  shape.biases.mlp = has("blk.0.ffn_up.bias") || has("blk.0.ffn_down.bias");
  shape.tied_head = !has("output.weight");
  shape.kind = {model_family::opt, activation_function::gelu_tanh};
  require_plausible(shape, source);
  const float divisor = detail::divisor_of(from, shape);
  if (divisor != 1) shape.kind.activation = activation_function::relu;
  return {shape, divisor};
}

}  // namespace zoqat::io::gguf
