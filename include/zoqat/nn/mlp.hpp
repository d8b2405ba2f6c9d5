// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>
#include <zoqat/nn/activation.hpp>
#include <zoqat/nn/linear.hpp>
#include <zoqat/nn/shared_input.hpp>

#include <cstddef>
#include <string>

namespace zoqat::inline ZOQAT_ABI::nn {

/// down(act(gate(x)) ⊙ up(x)), as in LLaMA. Gate and up share an input and its smoothing; the input of down is
/// quantized but not smoothed (as in OmniQuant: its outliers belong to tokens, not channels).
template <class Linear, activation Activation>
class gated_mlp {
 public:
  using scheme = typename Linear::scheme;
  using linear_type = Linear;
  using activation_type = Activation;

  template <class Shared>
  gated_mlp(parameter_ids& ids, const std::string& prefix, const model_shape& shape, const Shared&)
      : gate_(ids, prefix + "mlp.gate_proj", shape.intermediate, shape.hidden, shape.biases.mlp),
        up_(ids, prefix + "mlp.up_proj", shape.intermediate, shape.hidden, shape.biases.mlp),
        down_(ids, prefix + "mlp.down_proj", shape.hidden, shape.intermediate, shape.biases.mlp) {
    if constexpr (scheme::smooths_inputs)
      input_smoothing_ = {ids, prefix + "mlp.input", shape.hidden, scheme::shifts_inputs};
  }
  static constexpr const char* norm_name = "post_attention_layernorm";

  /// Adds the layer's output to `stream`; `x` is the normed stream. Both [rows, hidden].
  template <class Pass>
  void forward(const Pass& pass, std::size_t, matrix_view<const float> x, matrix_view<float> stream) {
    pass.observer.observe(normed_input(), x);
    project(pass, x);
    matrix<float>&gate = pass.work.gate, &up = pass.work.up;
    pass.for_each_row([&](std::size_t row) {
      Activation::template apply<typename Pass::kernels>(gate.row(row).data(), gate.cols());
      Pass::kernels::multiply(up.row(row).data(), gate.row(row).data(), gate.cols());
    });
    pass.observer.observe(hidden_input(), gate);
    const linear_input<scheme> input(pass, gate, hidden_smoothing_);
    down_.forward(pass, input, stream, true);
  }
  /// The first half of `forward`: leaves gate(x) and up(x) in `pass.work.gate` and `pass.work.up`.
  template <class Pass>
  void project(const Pass& pass, matrix_view<const float> x) const {
    matrix<float>&gate = pass.work.gate, &up = pass.work.up;
    gate.reshape(x.rows(), gate_.out_features());
    up.reshape(x.rows(), up_.out_features());
    const linear_input<scheme> input(pass, x, input_smoothing_);
    gate_.forward(pass, input, gate, false);
    up_.forward(pass, input, up, false);
  }

  /// Calls f(shared input) in the order of a pass.
  template <class F>
  void for_each_shared_input(F&& f) {
    f(normed_input());
    f(hidden_input());
  }
  template <class V>
  void visit(V&& v) {
    visit_shared_inputs(*this, v);
  }

 private:
  [[nodiscard]] shared_input<Linear, 2> normed_input() { return {{&gate_, &up_}, &input_smoothing_, false}; }
  [[nodiscard]] shared_input<Linear, 1> hidden_input() { return {{&down_}, &hidden_smoothing_, true}; }
  Linear gate_, up_, down_;
  smoothing input_smoothing_, hidden_smoothing_;
};

/// fc2(act(fc1(x))), as in OPT and GPT. The input of fc2 is quantized but not smoothed, as that of gated_mlp's down.
template <class Linear, activation Activation>
class mlp {
 public:
  using scheme = typename Linear::scheme;
  using linear_type = Linear;
  using activation_type = Activation;

  template <class Shared>
  mlp(parameter_ids& ids, const std::string& prefix, const model_shape& shape, const Shared&)
      : in_(ids, prefix + "mlp.fc1", shape.intermediate, shape.hidden, shape.biases.mlp),
        out_(ids, prefix + "mlp.fc2", shape.hidden, shape.intermediate, shape.biases.mlp) {
    if constexpr (scheme::smooths_inputs)
      input_smoothing_ = {ids, prefix + "mlp.input", shape.hidden, scheme::shifts_inputs};
  }
  static constexpr const char* norm_name = "post_attention_layernorm";

  /// Adds the layer's output to `stream`; `x` is the normed stream. Both [rows, hidden].
  template <class Pass>
  void forward(const Pass& pass, std::size_t, matrix_view<const float> x, matrix_view<float> stream) {
    pass.observer.observe(normed_input(), x);
    project(pass, x);
    matrix<float>& hidden = pass.work.gate;
    pass.for_each_row([&](std::size_t row) {
      Activation::template apply<typename Pass::kernels>(hidden.row(row).data(), hidden.cols());
    });
    pass.observer.observe(hidden_input(), hidden);
    out_.forward(pass, linear_input<scheme>(pass, hidden, hidden_smoothing_), stream, true);
  }
  /// The first half of `forward`: leaves fc1(x) in `pass.work.gate`.
  template <class Pass>
  void project(const Pass& pass, matrix_view<const float> x) const {
    pass.work.gate.reshape(x.rows(), in_.out_features());
    in_.forward(pass, linear_input<scheme>(pass, x, input_smoothing_), pass.work.gate, false);
  }

  /// Calls f(shared input) in the order of a pass.
  template <class F>
  void for_each_shared_input(F&& f) {
    f(normed_input());
    f(hidden_input());
  }
  template <class V>
  void visit(V&& v) {
    visit_shared_inputs(*this, v);
  }

 private:
  [[nodiscard]] shared_input<Linear, 1> normed_input() { return {{&in_}, &input_smoothing_, false}; }
  [[nodiscard]] shared_input<Linear, 1> hidden_input() { return {{&out_}, &hidden_smoothing_, true}; }
  Linear in_, out_;
  smoothing input_smoothing_, hidden_smoothing_;
};

}  // namespace zoqat::nn
