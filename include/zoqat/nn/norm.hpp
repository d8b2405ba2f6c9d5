// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/trainable.hpp>
#include <zoqat/nn/visit.hpp>
#include <zoqat/params/inference_lane.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>

namespace zoqat::inline ZOQAT_ABI::nn {

/// The per-channel factors of a norm: gain · exp(log_scale), where the one log_scale moves all of a norm's gains
/// together.
class norm_gain {
 public:
  norm_gain(parameter_ids& ids, const std::string& name, std::size_t width)
      : gain_(ids, name + ".weight", parameter_group::norm, 1, width, 1.0f),
        log_scale_(ids, name + ".log_scale", parameter_group::norm_scale, 1, 1) {}

  /// The factors of every lane: [lanes, width].
  template <lane_reader Lanes>
  [[nodiscard]] matrix<float> read(const Lanes& lanes) const {
    matrix<float> gains, log_scales;
    read_all(lanes, gain_, gains);
    read_all(lanes, log_scale_, log_scales);
    for (std::size_t lane = 0; lane != lanes.count(); ++lane) {
      const float scale = std::exp(log_scales(lane, 0));
      for (float& g : gains.row(lane)) g *= scale;
    }
    return gains;
  }
  /// Moves the common factor into the gains, where a deployed model has it.
  void fold() {
    std::ranges::copy(read(inference_lane{}).flat(), gain_.values().flat().begin());
    log_scale_.values()(0, 0) = 0;
  }

  [[nodiscard]] trainable& gain() noexcept { return gain_; }
  [[nodiscard]] trainable& log_scale() noexcept { return log_scale_; }

 private:
  trainable gain_, log_scale_;
};

/// x · gain / √(mean(x²) + ε) over the width of a row.
class rms_norm {
 public:
  rms_norm(parameter_ids& ids, const std::string& name, const model_shape& shape)
      : rms_norm(ids, name, shape.hidden, shape.norm_epsilon) {}
  /// Of rows of another width than the stream's.
  rms_norm(parameter_ids& ids, const std::string& name, std::size_t width, float epsilon)
      : gain_(ids, name, width), epsilon_(epsilon) {}

  /// out [rows, width] from x [rows, width]; they may be the same.
  template <class Pass>
  void forward(const Pass& pass, matrix_view<const float> x, matrix_view<float> out) const {
    const matrix<float> gains = this->gains(pass.lanes);
    pass.for_each_row([&](std::size_t row) {
      Pass::kernels::rms_norm(x.row(row).data(), gains.row(row / pass.tokens()).data(), epsilon_, out.row(row).data(),
                              x.cols());
    });
  }
  /// The factors of every lane, [lanes, width], for `apply` to single rows.
  template <lane_reader Lanes>
  [[nodiscard]] matrix<float> gains(const Lanes& lanes) const {
    return gain_.read(lanes);
  }
  /// Norms one row in place.
  template <simd::kernels Kernels>
  void apply(std::span<float> row, const float* gains) const noexcept {
    Kernels::rms_norm(row.data(), gains, epsilon_, row.data(), row.size());
  }
  [[nodiscard]] float epsilon() const noexcept { return epsilon_; }
  void deploy() { gain_.fold(); }

  template <class V>
  void visit(V&& v) {
    v.tensor(gain_.gain(), use::weight);
    v.tensor(gain_.log_scale(), use::training_only);
  }

 private:
  norm_gain gain_;
  float epsilon_;
};

/// (x − mean) · gain / √(variance + ε) + bias over the width of a row.
class layer_norm {
 public:
  layer_norm(parameter_ids& ids, const std::string& name, const model_shape& shape)
      : gain_(ids, name, shape.hidden),
        bias_(ids, name + ".bias", parameter_group::norm, 1, shape.hidden),
        epsilon_(shape.norm_epsilon) {}

  template <class Pass>
  void forward(const Pass& pass, matrix_view<const float> x, matrix_view<float> out) const {
    const matrix<float> gains = gain_.read(pass.lanes);
    matrix<float> biases;
    read_all(pass.lanes, bias_, biases);
    pass.for_each_row([&](std::size_t row) {
      const std::size_t lane = row / pass.tokens();
      Pass::kernels::layer_norm(x.row(row).data(), gains.row(lane).data(), biases.row(lane).data(), epsilon_,
                                out.row(row).data(), x.cols());
    });
  }
  [[nodiscard]] float epsilon() const noexcept { return epsilon_; }
  void deploy() { gain_.fold(); }

  template <class V>
  void visit(V&& v) {
    v.tensor(gain_.gain(), use::weight);
    v.tensor(bias_, use::weight);
    v.tensor(gain_.log_scale(), use::training_only);
  }

 private:
  norm_gain gain_;
  trainable bias_;
  float epsilon_;
};

namespace detail {
template <class N>
inline constexpr bool is_norm = std::constructible_from<N, parameter_ids&, const std::string&, const model_shape&>;
}  // namespace detail

}  // namespace zoqat::nn
