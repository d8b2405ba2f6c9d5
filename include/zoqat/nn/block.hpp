// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>
#include <zoqat/nn/norm.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/positions.hpp>

#include <cstddef>
#include <string>
#include <tuple>
#include <type_traits>

namespace zoqat::inline ZOQAT_ABI::nn {

/// x ← x + Layer(Norm(x)).
template <class Norm, class Layer>
class residual {
  static_assert(detail::is_norm<Norm>,
                "nn::residual: the first argument must be a normalization, such as nn::rms_norm; write "
                "residual<norm, layer>");
  static_assert(!detail::is_norm<Layer>,
                "nn::residual: the second argument must be a layer, such as nn::self_attention or nn::gated_mlp, not "
                "another normalization");

 public:
  using norm_type = Norm;
  using layer_type = Layer;

  // Out of line for the sake of compile time, as in trainable.
  [[gnu::noinline]] residual(const residual&) = default;
  [[gnu::noinline]] residual(residual&&) noexcept = default;
  [[gnu::noinline]] residual& operator=(const residual&) = default;
  [[gnu::noinline]] residual& operator=(residual&&) noexcept = default;
  [[gnu::noinline]] ~residual() = default;
  template <class Shared>
  residual(parameter_ids& ids, const std::string& prefix, const model_shape& shape, const Shared& shared)
      : norm_(ids, prefix + Layer::norm_name, shape), layer_(ids, prefix, shape, shared) {}

  template <class Pass>
  void forward(const Pass& pass, std::size_t index, matrix_view<float> stream) {
    pass.work.normed.reshape(stream.rows(), stream.cols());
    norm_.forward(pass, stream, pass.work.normed);
    layer_.forward(pass, index, pass.work.normed, stream);
  }

  template <class V>
  void visit(V&& v) {
    norm_.visit(v);
    layer_.visit(v);
  }
  /// Moves the common factors of the norms into their gains.
  void deploy_norms() {
    norm_.deploy();
    if constexpr (requires(Layer& layer) { layer.for_each_norm([](auto&) {}); })
      layer_.for_each_norm([](auto& norm) { norm.deploy(); });
  }
  [[nodiscard]] Norm& norm() noexcept { return norm_; }
  [[nodiscard]] Layer& layer() noexcept { return layer_; }

 private:
  Norm norm_;
  Layer layer_;
};

namespace detail {
template <class T>
inline constexpr bool is_residual = false;
template <class Norm, class Layer>
inline constexpr bool is_residual<residual<Norm, Layer>> = true;

/// Where no layer encodes positions.
struct no_positions {
  explicit no_positions(const model_shape&) noexcept {}
};
/// The position encoding of the first layer that has one.
template <class... Layers>
struct position_of {
  using type = no_positions;
};
template <class First, class... Rest>
struct position_of<First, Rest...> : position_of<Rest...> {};
template <class First, class... Rest>
  requires requires { typename First::position_type; }
struct position_of<First, Rest...> {
  using type = typename First::position_type;
};

/// Whether a layer norms its heads.
template <class Layer>
inline constexpr bool norms_heads = false;
template <class Layer>
  requires Layer::norms_heads
inline constexpr bool norms_heads<Layer> = true;

/// The name of the activation of the first layer that has one.
template <class... Layers>
inline constexpr activation_function activation_of = activation_function::other;
template <class First, class... Rest>
inline constexpr activation_function activation_of<First, Rest...> = activation_of<Rest...>;
template <class First, class... Rest>
  requires requires { First::activation_type::function; }
inline constexpr activation_function activation_of<First, Rest...> = First::activation_type::function;
}  // namespace detail

/// One block of a decoder, composed when it is compiled: residual layers one after the other.
///
///     template <class Linear>
///     using llama_block = block<residual<rms_norm, self_attention<Linear, rope>>,
///                               residual<rms_norm, gated_mlp<Linear, silu>>>;
template <class... Residuals>
class block {
  static_assert(sizeof...(Residuals) > 0, "nn::block: a block needs at least one nn::residual<norm, layer>");
  static_assert((detail::is_residual<Residuals> && ...),
                "nn::block: every argument must be an nn::residual<norm, layer>; wrap the layer in one");

 public:
  using first_layer = typename std::tuple_element_t<0, std::tuple<Residuals...>>::layer_type;
  using norm_type = typename std::tuple_element_t<0, std::tuple<Residuals...>>::norm_type;
  using linear_type = typename first_layer::linear_type;
  using scheme = typename linear_type::scheme;
  using position_type = typename detail::position_of<typename Residuals::layer_type...>::type;
  static constexpr activation_function activation = detail::activation_of<typename Residuals::layer_type...>;
  static constexpr model_family family = embedded_positions<position_type> ? model_family::opt
                                         : (detail::norms_heads<typename Residuals::layer_type> || ...)
                                             ? model_family::qwen3
                                             : model_family::llama;
  static_assert(
      (std::is_same_v<typename Residuals::layer_type::linear_type, linear_type> && ...),
      "nn::block: all layers of a block must use the same linear layer, and with it one quantization scheme");

  template <class Shared>
  block(parameter_ids& ids, const std::string& prefix, const model_shape& shape, const Shared& shared)
      : residuals_{Residuals(ids, prefix, shape, shared)...} {}  // braces: left to right, so ids are stable

  template <class Pass>
  void forward(const Pass& pass, std::size_t index, matrix_view<float> stream) {
    std::apply([&](auto&... r) { (r.forward(pass, index, stream), ...); }, residuals_);
  }
  template <class F>
  void for_each_residual(F&& f) {
    std::apply([&](auto&... r) { (f(r), ...); }, residuals_);
  }
  template <class V>
  void visit(V&& v) {
    for_each_residual([&](auto& r) { r.visit(v); });
  }

 private:
  std::tuple<Residuals...> residuals_;
};

}  // namespace zoqat::nn
