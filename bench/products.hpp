// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "shapes.hpp"

#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/linear.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/quant/scheme_registry.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace zoqat::bench {

using kernels = simd::default_kernels;

/// The standard scheme of that name.
template <quant::fixed_string Name>
using scheme_named = quant::standard_schemes::scheme_of<Name>;

/// The weights of that scheme, and inputs in full precision.
template <quant::fixed_string Name>
using with_float_inputs = quant::scheme<typename scheme_named<Name>::weight_type>;

/// Standard normal values times `scale`, another sequence for each `name`.
inline void fill_normal(std::span<float> out, std::uint32_t name, float scale) noexcept {
  kernels::gaussian({.seed = 7, .tensor = name, .use = rng::purpose::data}, 0, out.data(), out.size());
  for (float& x : out) x *= scale;
}

/// A deployed linear layer and the input of one forward pass, quantized beforehand where the scheme does that: the
/// product and nothing else, results in floats.
template <class Scheme>
class deployed_product {
 public:
  explicit deployed_product(product_shape s, std::uint32_t name = 0)
      : layer_(ids_, "layer", s.out, s.in), x_(s.tokens, s.in), out_(s.tokens, s.out) {
    fill_normal(layer_.weight().values().flat(), 2 * name, 1 / std::sqrt(static_cast<float>(s.in)));
    fill_normal(x_.flat(), 2 * name + 1, 1);
    layer_.init_clipping(unsmoothed_);
    layer_.deploy(unsmoothed_);
    batch_.add(std::vector<nn::token>(s.tokens));
  }

  /// Makes the input ready and returns what computes the product on these threads.
  template <executor Executor>
  [[nodiscard]] auto on(Executor& threads) {
    const pass<Executor> p{lane_, threads, batch_, work_};
    return [this, p, input = nn::linear_input<Scheme>(p, x_, unsmoothed_)] { layer_.forward(p, input, out_, false); };
  }
  /// Bytes of the packed weights.
  [[nodiscard]] std::size_t weight_bytes() const { return layer_.weight_bytes(); }

 private:
  template <class Executor>
  using pass = nn::forward_pass<kernels, inference_lane, Executor>;
  static constexpr inference_lane lane_{};

  nn::parameter_ids ids_;
  nn::smoothing unsmoothed_;
  nn::smoothed_linear<Scheme> layer_;
  nn::token_batch batch_;
  nn::workspace work_;
  matrix<float> x_, out_;
};

}  // namespace zoqat::bench
