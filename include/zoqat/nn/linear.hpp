// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/nn/linear/float_weight.hpp>
#include <zoqat/nn/linear/linear_input.hpp>
#include <zoqat/nn/linear/low_rank.hpp>
#include <zoqat/nn/linear/packed_weight.hpp>
#include <zoqat/nn/linear/product.hpp>
#include <zoqat/nn/linear/quantized_weight.hpp>
#include <zoqat/nn/linear/stored_weight.hpp>
#include <zoqat/nn/smoothing.hpp>
#include <zoqat/nn/storage_plan.hpp>
#include <zoqat/nn/trainable.hpp>
#include <zoqat/nn/visit.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/quant/packed_matrix.hpp>
#include <zoqat/quant/scheme.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::nn {

namespace detail {

template <class S>
concept quantization_scheme = requires {
  { S::quantizes_weights } -> std::convertible_to<bool>;
  { S::quantizes_activations } -> std::convertible_to<bool>;
  { S::quantizes_attention } -> std::convertible_to<bool>;
  { S::smooths_inputs } -> std::convertible_to<bool>;
  { S::shifts_inputs } -> std::convertible_to<bool>;
};

/// The states of a layer's weights: as they train, first, and as they are packed, where a scheme quantizes them.
template <class S>
struct weight_states {
  using type = std::variant<float_weight>;
};
template <class S>
  requires S::quantizes_weights
struct weight_states<S> {
  using type = std::variant<quantized_weight<S>, packed_weight<S>>;
};

/// Or as they are stored elsewhere, under nn::stored.
template <class S>
inline constexpr bool is_stored = false;
template <class Matrix>
inline constexpr bool is_stored<stored<Matrix>> = true;
template <class S>
  requires is_stored<S>
struct weight_states<S> {
  using type = std::variant<stored_weight<typename S::matrix_type>>;
};

/// Calls f(bytes) for what is stored of a deployed layer and does not train.
template <class F>
struct constant_visitor {
  F& f;
  void tensor(trainable& t, const tensor_use& u) {
    if (u.stored && t.frozen()) f(std::as_bytes(t.values().flat()));
  }
  template <class T>
  void packed(const std::string&, const std::vector<std::size_t>&, std::span<T> values) {
    f(std::as_bytes(values));
  }
};

/// B̃ = B + δW: adds to the biases [1, out] what the shift of the input is worth to each output.
inline void add_shift(const trainable& masters, const smoothing& smooth, trainable& bias) {
  matrix<float> shift;
  smooth.shifts(inference_lane{}, shift);
  buffer<float> room;
  for (std::size_t r = 0; r != masters.rows(); ++r)
    bias.values()(0, r) += simd::default_kernels::dot(
        shift.data(), masters.master_rows().read<simd::default_kernels>(r, 1, room).data(), masters.cols());
}

}  // namespace detail

/// A linear layer under a quantization scheme, Y = X̃ W̃ᵀ + B̃ (eq. 4). X: [rows, in], W: [out, in].
///
/// Its weights are in one of three states: masters with a quantizer, while they train
/// (nn/linear/quantized_weight.hpp); packed codes, which `deploy` replaces them by (packed_weight.hpp); or floats,
/// under a scheme that leaves weights in full precision (float_weight.hpp), or in a format of somebody else's
/// (stored_weight.hpp). With quantized activations the product is
/// computed in integers; without, the tile is dequantized, or for few tokens multiplied as it is packed. What a
/// deployed layer computes is the same bit by bit. A low-rank adapter may stand beside the weights in each of these
/// states (nn/linear/low_rank.hpp); without one nothing is computed for it.
template <class Scheme>
class smoothed_linear {
  static_assert(detail::quantization_scheme<Scheme>,
                "nn::smoothed_linear: the argument must be a quant::scheme<...> or quant::full_precision; wrap a "
                "lone quant::weight in quant::scheme<...>");

 public:
  using scheme = Scheme;

  /// Throws value_error where the integer products of a group would not be exact any more.
  smoothed_linear(parameter_ids& ids, const std::string& name, std::size_t out, std::size_t in, bool bias = false)
      : name_(name), out_(out), in_(in), weight_(make_weight(ids, bias)) {}

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::size_t out_features() const noexcept { return out_; }
  [[nodiscard]] std::size_t in_features() const noexcept { return in_; }
  /// Grids in a row of weights.
  [[nodiscard]] std::size_t groups() const noexcept
    requires Scheme::quantizes_weights
  {
    return Scheme::weight_type::groups(in_);
  }
  /// The masters are gone and only packed codes remain.
  [[nodiscard]] bool deployed() const noexcept { return weight_.index() != 0; }
  /// Whether masters lie in fp32 and grids are not fixed: what ptq needs, and has until `store` or `deploy`.
  [[nodiscard]] bool can_initialize() const noexcept {
    if (deployed() || training().masters().values().size() != out_ * in_) return false;
    if constexpr (Scheme::quantizes_weights) return !training().grids_fixed();
    return true;
  }
  /// The masters. Throws value_error for a layer that is deployed under a scheme that quantizes weights.
  [[nodiscard]] trainable& weight() {
    require_masters();
    return training().masters();
  }
  [[nodiscard]] const trainable& weight() const {
    require_masters();
    return training().masters();
  }
  /// What quantizes the weights while they train. Throws as `weight` does.
  [[nodiscard]] auto& quantizer()
    requires Scheme::quantizes_weights
  {
    require_masters();
    return training();
  }
  /// The packed weights of a deployed layer.
  [[nodiscard]] packed_weight<Scheme>& packed()
    requires Scheme::quantizes_weights
  {
    require(deployed(), "{}: the weights are not packed", name_);
    return *std::get_if<1>(&weight_);
  }
  [[nodiscard]] const packed_weight<Scheme>& packed() const
    requires Scheme::quantizes_weights
  {
    require(deployed(), "{}: the weights are not packed", name_);
    return *std::get_if<1>(&weight_);
  }
  /// The bias of a deployed layer that takes up a shift of its input.
  [[nodiscard]] trainable& folded_bias() {
    make_bias();
    return bias_;
  }
  /// The weights that are stored elsewhere.
  [[nodiscard]] auto& stored_weights() noexcept
    requires detail::is_stored<Scheme>
  {
    return training();
  }
  /// Bytes that quantizing the weights takes beside them while they train.
  [[nodiscard]] std::size_t quantizer_bytes() const noexcept {
    if constexpr (Scheme::quantizes_weights)
      if (!deployed()) return training().quantizer_bytes();
    return 0;
  }
  /// Bytes of all that the layer holds now: masters, what quantizing them takes, or codes, and the bias.
  [[nodiscard]] std::size_t held_bytes() const noexcept {
    return std::visit([](const auto& weight) { return weight.held_bytes(); }, weight_) + bias_.bytes() +
           adapter_bytes();
  }
  /// Bytes of the weights in deployment. `shifts`: the input has a δ, which the bias then takes up.
  [[nodiscard]] std::size_t weight_bytes(bool shifts = false) const noexcept {
    const bool biased = !bias_.empty() || (shifts && Scheme::quantizes_weights);
    const std::size_t floats = (biased ? out_ * sizeof(float) : 0) + adapter_bytes();
    if constexpr (Scheme::quantizes_weights)
      return quant::packed_matrix<typename Scheme::weight_type>::bytes(out_, in_) + floats;
    else if constexpr (detail::is_stored<Scheme>)
      return training().stored().bytes().size() + floats;
    else
      return out_ * in_ * sizeof(float) + floats;
  }

  /// out [rows, out] = (accumulate ? out : 0) + X̃ W̃ᵀ + B̃, and what an adapter adds.
  template <class Pass>
  void forward(const Pass& pass, const linear_input<Scheme>& input, matrix_view<float> out, bool accumulate) const {
    if (out.rows() == 0) return;
    std::visit([&](const auto& weight) { detail::multiply_tiles(weight, bias_, pass, input, out, accumulate); },
               weight_);
    if (adapter_) adapter_->add(pass, input.original, out);
  }

  /// Starts the clipping parameters from the ranges of the smoothed masters, unclipped: round-to-nearest. Like what
  /// follows, it does nothing in full precision.
  void init_clipping(const smoothing& smooth) {
    if constexpr (Scheme::quantizes_weights) quantizer().init_clipping(smooth);
  }
  /// Measures weights in cells: the unit of each row becomes its mean step size, so that an ε of the weight group is
  /// the ε/Δ of Appendix G, whatever the row. A deployed layer stays as it is.
  void set_weight_units(const smoothing& smooth) {
    if constexpr (Scheme::quantizes_weights)
      if (!deployed()) training().set_units(smooth);
  }

  /// Fills the tensors of a checkpoint through `fill(trainable&)` and takes the layer to what `plan` says, so that no
  /// layer beside it needs its masters in fp32 at the same time. Weights that are stored elsewhere come through
  /// `fill(stored_weight&)`. For a layer whose matrices have no memory yet.
  template <class Fill>
  void build(Fill&& fill, const smoothing& smooth, const storage_plan& plan) {
    if constexpr (detail::is_stored<Scheme>)
      fill(training());
    else
      training().allocate();
    for_each_base_tensor(*this, fill);
    init_clipping(smooth);
    store(smooth, plan);
  }
  /// Takes the layer from masters in fp32 to what `plan` says: a layer that does not train is packed, or stays as it
  /// is where nothing is quantized.
  void store(const smoothing& smooth, const storage_plan& plan) {
    const bool trains = plan.trains(name_);
    if constexpr (detail::is_stored<Scheme>) return store_elsewhere(trains, plan);
    if (!trains) deploy(smooth);
    if (!plan.biases && (!trains || !plan.norms)) bias_.freeze();
    if (deployed()) return;
    if (!trains) return weight().freeze();
    if constexpr (Scheme::quantizes_weights)
      if (plan.fixed_quantization) training().fix_grids(smooth);
    weight().store_as(plan.masters);
  }
  /// The adapter beside the weights, or none.
  [[nodiscard]] const std::optional<low_rank>& adapter() const noexcept { return adapter_; }
  /// Makes the step sizes of packed weights train if the plan says so, or fixes them where they are.
  void adapt_steps(parameter_ids& ids, const storage_plan& plan) {
    if constexpr (Scheme::quantizes_weights) {
      if (!deployed()) return;
      plan.steps ? packed().train_steps(ids, name_) : packed().fold_steps();
    }
  }
  /// Makes an adapter if the plan names the layer. One that is there goes on training if it is as planned, and is
  /// frozen if the plan does not name the layer. Throws value_error for another rank or alpha than it has.
  void adapt(parameter_ids& ids, const low_rank_plan& plan) {
    if (!plan.names(name_)) {
      if (adapter_) adapter_->freeze();
      return;
    }
    if (!adapter_) return void(adapter_.emplace(ids, name_, out_, in_, plan));
    require(adapter_->rank() == plan.rank && adapter_->alpha() == plan.alpha,
            "{}: has an adapter of rank {} and alpha {} already, and cannot have one of rank {} and alpha {}", name_,
            adapter_->rank(), adapter_->alpha(), plan.rank, plan.alpha);
  }
  /// Removes the adapter.
  void drop_adapter() noexcept { adapter_.reset(); }
  /// Quantizes the masters into their final storage, folds δ into the bias, and frees the masters.
  void deploy(const smoothing& smooth) {
    if constexpr (Scheme::quantizes_weights) {
      if (deployed()) return;
      packed_weight<Scheme> packed(out_, in_);
      training().quantize_tiles(smooth, [&](std::size_t first, auto codes, const simd::grid* grids) {
        packed.set_rows(first, codes, grids);
      });
      packed.sum_codes();
      if (smooth.shifts()) {
        make_bias();
        detail::add_shift(weight(), smooth, bias_);
      }
      weight_ = std::move(packed);  // last, so that a layer whose packing failed is packed when that is tried again
    }
  }
  /// Makes room for a deployed layer's storage, which a file is about to fill. For a layer whose matrices have no
  /// memory yet.
  void prepare_storage(bool folded_bias) {
    if constexpr (Scheme::quantizes_weights) {
      weight_ = packed_weight<Scheme>(out_, in_);
      if (folded_bias) make_bias();
    } else {
      training().allocate();
      weight().freeze();
    }
    bias_.freeze();
  }
  /// To be called after something has filled that room.
  void finish_storage() {
    if constexpr (Scheme::quantizes_weights)
      if (deployed()) std::get<1>(weight_).sum_codes();
  }

  /// Shows a visitor (nn/visit.hpp) the tensors of the layer.
  template <class V>
  void visit(V&& v) {
    std::visit([&](auto& weight) { weight.visit(name_, v); }, weight_);
    if (!bias_.empty()) v.tensor(bias_, use::bias);
    if constexpr (Scheme::quantizes_weights)
      if (!deployed() && !training().grids_fixed()) training().steps().visit(v);
    if (adapter_) adapter_->visit(v);
  }
  /// What a loss depends on and training never moves, as bytes: f(std::span<const std::byte>). Grids that are not
  /// fixed count as empty spans, as they always did in the fingerprints of run logs.
  template <class F>
  void for_each_constant(F&& f) {
    if (deployed()) visit(detail::constant_visitor<F>{f});
    if constexpr (Scheme::quantizes_weights)
      if (!deployed()) return training().grids().for_each_constant(f);
    if constexpr (detail::is_stored<Scheme>) return training().for_each_constant(f);
    for (int part = 0; part != 3; ++part) f(std::span<const std::byte>());
  }

 private:
  using states = typename detail::weight_states<Scheme>::type;

  states make_weight(parameter_ids& ids, bool bias) {
    trainable masters(ids, name_ + ".weight", parameter_group::weight, out_, in_);
    if (bias) bias_ = {ids, name_ + ".bias", parameter_group::norm, 1, out_};
    if constexpr (Scheme::quantizes_weights)
      return quantized_weight<Scheme>(std::move(masters), ids, name_);
    else if constexpr (detail::is_stored<Scheme>)
      return stored_weight<typename Scheme::matrix_type>(std::move(masters), ids, name_);
    else
      return float_weight(std::move(masters));
  }
  [[nodiscard]] auto& training() noexcept { return *std::get_if<0>(&weight_); }
  [[nodiscard]] const auto& training() const noexcept { return *std::get_if<0>(&weight_); }
  /// What `store` does with weights that are stored elsewhere: their steps train unless they are fixed, and biases
  /// with norms.
  void store_elsewhere(bool trains, const storage_plan& plan) {
    if (!plan.norms && !plan.biases) bias_.freeze();
    if (trains)
      training().train_weights();
    else if (plan.fixed_quantization)
      training().freeze();
  }
  void make_bias() {
    if (!bias_.empty()) return;
    parameter_ids none;
    bias_ = {none, name_ + ".bias", parameter_group::norm, 1, out_};
  }
  [[nodiscard]] std::size_t adapter_bytes() const noexcept { return adapter_ ? adapter_->held_bytes() : 0; }
  void require_masters() const {
    require(!deployed(), "{}: the weights are packed, and their masters are gone", name_);
  }

  std::string name_;
  std::size_t out_, in_;
  trainable bias_;
  states weight_;
  std::optional<low_rank> adapter_;
};

/// A linear layer in full precision.
using linear = smoothed_linear<quant::full_precision>;

}  // namespace zoqat::nn
