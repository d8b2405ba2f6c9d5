// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/lab/dense_gradient.hpp>
#include <zoqat/lab/reverse/layers.hpp>
#include <zoqat/lab/reverse/losses.hpp>
#include <zoqat/lab/reverse/operations.hpp>
#include <zoqat/lab/reverse/recorder.hpp>
#include <zoqat/lab/reverse/rounding.hpp>
#include <zoqat/lab/reverse/tape.hpp>
#include <zoqat/nn/decoder.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/params/parameter.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::lab::reverse {

/// The loss of a decoder on a batch with its true gradient, by reverse-mode differentiation in double: the truth that
/// estimates of zeroth order are measured against, at the masters of the model, and by nothing that trains. Where the
/// model rounds, values are those of its own quantizers, so that the loss is the model's own up to the rounding of
/// floats, and derivatives are straight-through (see `roundings`). Embeddings and head count as constants: no lane of
/// the library moves them.
///
/// Any composition of blocks whose parts have a `record` (lab/reverse/layers.hpp) will do. Cost: three products for
/// each of a forward pass, in double, in one thread, and the model's own pass. Memory: two matrices of doubles for
/// each operation on the way, some twenty for each weight of a quantized matrix.
template <class Model>
class recorded_loss {
 public:
  /// `loss` is one of lab/reverse/losses.hpp. Model and batch must outlive this, and `rounded` too, which is filled,
  /// or if it is held already, obeyed. Throws value_error for a model that is deployed.
  template <class Loss>
  recorded_loss(Model& model, const nn::token_batch& batch, const Loss& loss, roundings& rounded)
      : model_(model), recorder_{tape_, rounded, batch} {
    if constexpr (scheme::quantizes_activations || scheme::quantizes_attention)
      if (!rounded.held()) recorder_.inputs = inputs_of(batch);
    model.embed(recorder_.pass());
    variable stream = tape_.input(widened(recorder_.work.stream));
    for (auto& block : model.blocks())
      block.for_each_residual([&](auto& r) {
        stream = add(tape_, stream, record(recorder_, r.layer(), record(recorder_, r.norm(), stream)));
      });
    const variable normed = record(recorder_, model.final_norm(), stream);
    buffer<float> room;
    const master_rows head = model.head();
    const variable words = tape_.input(widened(head.template read<simd::default_kernels>(0, head.rows(), room)));
    result_ = loss(tape_, product(tape_, take_rows(tape_, normed, loss.tokens()), words));
  }
  recorded_loss(const recorded_loss&) = delete;
  recorded_loss& operator=(const recorded_loss&) = delete;

  [[nodiscard]] double value() const { return result_->value(0, 0); }
  /// How far the values of the tape are from the floats of the model's own pass, at most (see `recorder`). 0 for a
  /// model that rounds no activations, and where roundings are held.
  [[nodiscard]] double drift() const noexcept { return recorder_.drift; }

  /// The gradient by all that can train, in the order of the model as a `parameter_store` and in units of the
  /// parameters: component i is ∂L/∂(θ_i / unit), as `dense_gradient` has it. Throws value_error for a parameter that
  /// no part put on the tape.
  [[nodiscard]] std::vector<double> gradient() {
    differentiate();
    std::vector<double> all;
    model_.for_each_parameter([&](const parameter& p) {
      const auto found = recorder_.parameters.find(p.id);
      require(found != recorder_.parameters.end(),
              "lab::reverse: no part of the model recorded '{}': its `record` must read it through the recorder",
              p.name);
      const matrix<double>& g = found->second->gradient;
      for (std::size_t i = 0; i != g.size(); ++i)
        all.push_back(g.data()[i] * (p.unit.empty() ? 1.0 : static_cast<double>(p.unit[i / g.cols()])));
    });
    return all;
  }
  /// The derivative by the outputs of a linear layer, [tokens, out]. Throws value_error for a name that there is not.
  [[nodiscard]] const matrix<double>& output_gradient(const std::string& layer) {
    differentiate();
    const auto found = recorder_.outputs.find(layer);
    require(found != recorder_.outputs.end(), "lab::reverse: the model has no linear layer '{}'", layer);
    return found->second->gradient;
  }

 private:
  using scheme = typename Model::scheme;

  struct input_observer {
    std::vector<matrix<float>>* to;

    template <class Input>
    void observe(const Input&, matrix_view<const float> x) const {
      to->emplace_back(x.rows(), x.cols());
      for (std::size_t row = 0; row != x.rows(); ++row) std::ranges::copy(x.row(row), to->back().row(row).begin());
    }
  };
  [[nodiscard]] std::vector<matrix<float>> inputs_of(const nn::token_batch& batch) {
    std::vector<matrix<float>> inputs;
    nn::workspace work;
    sequential here;
    constexpr inference_lane lane;
    model_.forward(nn::forward_pass<simd::default_kernels, inference_lane, sequential, input_observer>{
        lane, here, batch, work, nullptr, {&inputs}});
    return inputs;
  }
  void differentiate() {
    if (!std::exchange(differentiated_, true)) tape_.backward(result_);
  }

  Model& model_;
  tape tape_;
  recorder recorder_;
  variable result_ = nullptr;
  bool differentiated_ = false;
};

}  // namespace zoqat::lab::reverse
