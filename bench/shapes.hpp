// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>

#include <array>
#include <cstddef>

namespace zoqat::bench {

/// Sizes of a product of activations [tokens, in] and weights [out, in].
struct product_shape {
  std::size_t tokens, out, in;
  [[nodiscard]] constexpr double products() const noexcept {
    return static_cast<double>(tokens) * static_cast<double>(out) * static_cast<double>(in);
  }
};

/// The layers of OPT-125M, and one of a model of billions.
[[nodiscard]] constexpr std::array<product_shape, 4> layer_shapes(std::size_t tokens) noexcept {
  return {{{tokens, 768, 768}, {tokens, 3072, 768}, {tokens, 768, 3072}, {tokens, 4096, 4096}}};
}

/// A member of the OPT family.
[[nodiscard]] constexpr model_shape opt_shape(std::size_t hidden, std::size_t layers, std::size_t heads) noexcept {
  return {.kind = {model_family::opt, activation_function::relu},
          .hidden = hidden,
          .intermediate = 4 * hidden,
          .layers = layers,
          .heads = heads,
          .kv_heads = heads,
          .head_size = hidden / heads,
          .vocabulary = 50272,
          .positions = 2048,
          .biases = true};
}

inline constexpr model_shape opt_125m = opt_shape(768, 12, 12);
inline constexpr model_shape opt_1_3b = opt_shape(2048, 24, 32);
inline constexpr model_shape opt_2_7b = opt_shape(2560, 32, 32);
inline constexpr model_shape opt_6_7b = opt_shape(4096, 32, 32);
inline constexpr model_shape opt_13b = opt_shape(5120, 40, 40);

}  // namespace zoqat::bench
