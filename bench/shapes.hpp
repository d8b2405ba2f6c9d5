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

inline constexpr model_shape opt_125m{.hidden = 768,
                                      .intermediate = 3072,
                                      .layers = 12,
                                      .heads = 12,
                                      .kv_heads = 12,
                                      .head_size = 64,
                                      .vocabulary = 50272,
                                      .positions = 2048,
                                      .biases = true};

}  // namespace zoqat::bench
