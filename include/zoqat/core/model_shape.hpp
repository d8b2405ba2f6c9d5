// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI {

/// The families of decoders that files hold.
enum class model_family : std::uint8_t {
  llama,  ///< RMSNorm, rotary positions, a gated MLP: LLaMA, Mistral, Qwen2, SmolLM
  opt,    ///< LayerNorm, learned positions, an MLP of two layers
  qwen3,  ///< LLaMA's, with a norm on each query and key head
};

/// The non-linearity inside an MLP.
enum class activation_function : std::uint8_t {
  silu,
  relu,
  gelu_tanh,
  gelu_erf,
  other,  ///< one that files do not know
};

/// Their names, in the order of the enumerators.
inline constexpr std::array<std::string_view, 3> model_family_names{"llama", "opt", "qwen3"};
inline constexpr std::array<std::string_view, 5> activation_function_names{"silu", "relu", "gelu_tanh", "gelu_erf",
                                                                           "other"};

/// What a decoder computes, beside its sizes: it says which model type fits a file.
struct model_kind {
  model_family family = model_family::llama;
  activation_function activation = activation_function::silu;

  friend bool operator==(const model_kind&, const model_kind&) = default;
};

/// OPT counts positions from 2, where its tokenizer's padding ends: the first rows of its table are never read.
inline constexpr std::size_t opt_unused_positions = 2;

/// How rotary embeddings pair up the elements of a head of size d.
enum class rope_pairing {
  half_split,   ///< (i, i + d/2): Hugging Face LLaMA
  interleaved,  ///< (2i, 2i + 1): llama2.c, the original LLaMA
};

/// How the frequencies of rotary embeddings are stretched for sequences longer than those of pre-training.
struct rope_scaling {
  enum class kind : std::uint8_t {
    none,
    linear,  ///< every frequency divided by `factor`
    llama3,  ///< the low ones alone, as LLaMA 3.1 does
  };
  kind how = kind::none;
  float factor = 1;
  /// llama3: wavelengths below original_positions / high_frequency_factor stay, those above original_positions /
  /// low_frequency_factor are stretched by `factor`, and those between by something between.
  float low_frequency_factor = 1, high_frequency_factor = 4;
  std::size_t original_positions = 0;

  friend bool operator==(const rope_scaling&, const rope_scaling&) = default;
};

/// The angle by which a pair turns from one position to the next, scaled.
[[nodiscard]] inline double scaled_frequency(double frequency, const rope_scaling& scaling) noexcept {
  if (scaling.how == rope_scaling::kind::none) return frequency;
  const double stretched = frequency / static_cast<double>(scaling.factor);
  if (scaling.how == rope_scaling::kind::linear) return stretched;
  const double low = static_cast<double>(scaling.low_frequency_factor),
               high = static_cast<double>(scaling.high_frequency_factor),
               turns = static_cast<double>(scaling.original_positions) * frequency / (2 * std::numbers::pi);
  if (turns < low) return stretched;
  if (turns > high) return frequency;
  const double part = (turns - low) / (high - low);
  return (1 - part) * stretched + part * frequency;
}

/// Which linear layers of the blocks have biases.
struct linear_biases {
  bool query_key_value = false, attention_output = false, mlp = false;

  constexpr linear_biases() = default;
  constexpr linear_biases(bool all) noexcept : query_key_value(all), attention_output(all), mlp(all) {}
  /// As Qwen2 has them.
  [[nodiscard]] static constexpr linear_biases of_queries_keys_values() noexcept {
    linear_biases biases;
    biases.query_key_value = true;
    return biases;
  }

  [[nodiscard]] constexpr bool any() const noexcept { return query_key_value || attention_output || mlp; }
  friend bool operator==(const linear_biases&, const linear_biases&) = default;
};

/// The angle by which pair i of a head of that size turns from one position to the next, before it is scaled.
[[nodiscard]] inline double rope_frequency(std::size_t i, std::size_t head_size, float theta) noexcept {
  return std::pow(static_cast<double>(theta), -2.0 * static_cast<double>(i) / static_cast<double>(head_size));
}

/// The sizes of a decoder, read from the model's file. Sizes are values; what is computed is a type, which `kind`
/// tells.
struct model_shape {
  model_kind kind{};
  std::size_t hidden = 0;        ///< width of the residual stream
  std::size_t intermediate = 0;  ///< width inside the MLP
  std::size_t layers = 0;
  std::size_t heads = 0;      ///< query heads
  std::size_t kv_heads = 0;   ///< key and value heads; divides `heads` (grouped-query attention)
  std::size_t head_size = 0;  ///< width of one head
  std::size_t vocabulary = 0;
  std::size_t positions = 0;  ///< longest sequence
  float norm_epsilon = 1e-5f;
  float rope_theta = 1e4f;
  rope_pairing rope = rope_pairing::half_split;
  zoqat::rope_scaling rope_scaling{};
  bool tied_head = true;  ///< the head is the embedding matrix
  linear_biases biases{};

  friend bool operator==(const model_shape&, const model_shape&) = default;
};

}  // namespace zoqat
