// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/adapter_names.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/linear/float_weight.hpp>
#include <zoqat/nn/linear/linear_input.hpp>
#include <zoqat/nn/linear/product.hpp>
#include <zoqat/nn/storage_plan.hpp>
#include <zoqat/nn/trainable.hpp>
#include <zoqat/nn/visit.hpp>
#include <zoqat/quant/scheme.hpp>
#include <zoqat/random/gaussian.hpp>
#include <zoqat/random/stream.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

namespace zoqat::inline ZOQAT_ABI::nn {

/// A low-rank adapter beside a linear layer whose weights stay as they are (LoRA, arXiv 2106.09685, on quantized
/// weights QLoRA, arXiv 2305.14314): Y += (alpha / rank) · (X Aᵀ) Bᵀ with A [rank, in] and B [out, rank] in floats.
/// X is the layer's input before smoothing and quantization, so the same A and B serve under any scheme.
///
/// A is drawn from N(0, 1 / in) and B is zero, so it starts as nothing. Both train as weights do, and are perturbed
/// without units: by ε itself. A pass costs rank · (in + out) multiply-adds for each row and lane.
class low_rank {
 public:
  /// Beside the layer `name` [out, in]. Throws value_error unless the rank is at least 1 and at most the layer's, and
  /// alpha a number above 0.
  low_rank(parameter_ids& ids, const std::string& name, std::size_t out, std::size_t in, const low_rank_plan& plan)
      : alpha_(plan.alpha),
        down_(trainable(ids, name + std::string(lora_a_ending), parameter_group::weight, checked(name, out, in, plan),
                        in)),
        up_(trainable(ids, name + std::string(lora_b_ending), parameter_group::weight, out, plan.rank)) {
    down_.allocate();
    up_.allocate();
    const rng::stream draws{.seed = plan.seed, .tensor = down_.masters().view().id, .use = rng::purpose::data};
    rng::gaussian(draws, 0, down_.masters().values().flat());
    const float deviation = 1.0f / std::sqrt(static_cast<float>(in));
    for (float& x : down_.masters().values().flat()) x *= deviation;
  }

  [[nodiscard]] std::size_t rank() const noexcept { return up_.masters().cols(); }
  [[nodiscard]] float alpha() const noexcept { return alpha_; }
  /// What the product of B and A is multiplied with.
  [[nodiscard]] float factor() const noexcept { return alpha_ / static_cast<float>(rank()); }
  /// A: [rank, in].
  [[nodiscard]] const trainable& down() const noexcept { return down_.masters(); }
  /// B: [out, rank].
  [[nodiscard]] const trainable& up() const noexcept { return up_.masters(); }
  [[nodiscard]] std::size_t held_bytes() const noexcept { return down_.held_bytes() + up_.held_bytes(); }
  void freeze() noexcept {
    down_.masters().freeze();
    up_.masters().freeze();
  }

  /// out [rows, out] += factor · (x Aᵀ) Bᵀ on every lane, x [rows, in].
  template <class Pass>
  void add(const Pass& pass, matrix_view<const float> x, matrix_view<float> out) const {
    adapter_buffers& work = pass.work.adapter;
    const trainable no_bias;
    work.inner.reshape(x.rows(), rank());
    detail::multiply_tiles(down_, no_bias, pass, linear_input<quant::full_precision>(x, work.none), work.inner,
                           false);
    const float by = factor();
    for (float& value : work.inner.flat()) value *= by;
    detail::multiply_tiles(up_, no_bias, pass, linear_input<quant::full_precision>(work.inner, work.none), out, true);
  }

  template <class V>
  void visit(V&& v) {
    v.tensor(down_.masters(), use::added);
    v.tensor(up_.masters(), use::added);
  }

 private:
  [[nodiscard]] static std::size_t checked(const std::string& name, std::size_t out, std::size_t in,
                                           const low_rank_plan& plan) {
    const std::size_t most = std::min(out, in);
    require(plan.rank >= 1 && plan.rank <= most, "{}: an adapter of rank {}; it must be at least 1 and at most {}",
            name, plan.rank, most);
    require(std::isfinite(plan.alpha) && plan.alpha > 0, "{}: an adapter with alpha {}; it must be a number above 0",
            name, plan.alpha);
    return plan.rank;
  }

  float alpha_;
  float_weight down_, up_;
};

}  // namespace zoqat::nn
