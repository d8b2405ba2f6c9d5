// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/lab/reverse/attention.hpp>
#include <zoqat/lab/reverse/linear.hpp>
#include <zoqat/lab/reverse/operations.hpp>
#include <zoqat/lab/reverse/recorder.hpp>
#include <zoqat/nn/activation.hpp>
#include <zoqat/nn/attention.hpp>
#include <zoqat/nn/mlp.hpp>
#include <zoqat/nn/norm.hpp>
#include <zoqat/nn/positions.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <utility>
#include <vector>

// How the parts of a block put themselves on a tape: an overload of `record` for each, which reads the part's tensors
// and repeats its forward pass in operations that know their derivatives. A new part needs one more of them, in its
// own namespace or in this one.

namespace zoqat::inline ZOQAT_ABI::lab::reverse {

// An activation is its value and its derivative.

[[nodiscard]] inline std::pair<double, double> value_and_slope(nn::silu, double x) {
  const double s = 1 / (1 + std::exp(-x));
  return {x * s, s * (1 + x * (1 - s))};
}
[[nodiscard]] inline std::pair<double, double> value_and_slope(nn::relu, double x) {
  return {std::max(x, 0.0), x > 0 ? 1 : 0};
}
[[nodiscard]] inline std::pair<double, double> value_and_slope(nn::gelu_tanh, double x) {
  constexpr double factor = std::numbers::sqrt2 * std::numbers::inv_sqrtpi, cubic = 0.044715;
  const double th = std::tanh(factor * (x + cubic * x * x * x));
  return {0.5 * x * (1 + th), 0.5 * (1 + th) + 0.5 * x * (1 - th * th) * factor * (1 + 3 * cubic * x * x)};
}
[[nodiscard]] inline std::pair<double, double> value_and_slope(nn::gelu_erf, double x) {
  const double below = 0.5 * (1 + std::erf(x / std::numbers::sqrt2));
  return {x * below, below + x * std::exp(-x * x / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2};
}
template <class Activation>
[[nodiscard]] variable activate(recorder& c, Activation, variable x) {
  return map(c.on, x, [](double v) { return value_and_slope(Activation{}, v); });
}

namespace detail {

/// gain · exp(log scale): [1, width].
[[nodiscard]] inline variable record_gain(recorder& c, const nn::trainable& gain, const nn::trainable& log_scale) {
  const variable all = take(c.on, c.parameter(log_scale), 1, gain.cols(), std::vector<std::size_t>(gain.cols(), 0));
  return multiply(c.on, c.parameter(gain), exponential(c.on, all));
}

}  // namespace detail

[[nodiscard]] inline variable record(recorder& c, nn::rms_norm& norm, variable x) {
  const auto tensors = tensors_of(norm);  // gain, log scale
  return rms_norm(c.on, x, detail::record_gain(c, *tensors[0], *tensors[1]), static_cast<double>(norm.epsilon()));
}
[[nodiscard]] inline variable record(recorder& c, nn::layer_norm& norm, variable x) {
  const auto tensors = tensors_of(norm);  // gain, bias, log scale
  const variable gain = detail::record_gain(c, *tensors[0], *tensors[2]);
  const variable normed = rms_norm(c.on, center(c.on, x), gain, static_cast<double>(norm.epsilon()));
  return add_row(c.on, normed, c.parameter(*tensors[1]));
}

namespace detail {
/// Of an MLP, whose second input is what `between` makes of the outputs of its first.
template <class Mlp, class Between>
[[nodiscard]] variable record_mlp(recorder& c, Mlp& layer, variable x, Between&& between) {
  std::vector<variable> y;
  layer.for_each_shared_input([&](auto&& input) { y = record_shared(c, input, y.empty() ? x : between(y)); });
  return y[0];
}
}  // namespace detail

/// What a layer adds to the residual stream, for its normed input x: both [tokens, hidden].
template <class Linear, class Activation>
[[nodiscard]] variable record(recorder& c, nn::gated_mlp<Linear, Activation>& layer, variable x) {
  return detail::record_mlp(c, layer, x, [&](const std::vector<variable>& y) {
    return multiply(c.on, activate(c, Activation{}, y[0]), y[1]);
  });
}
template <class Linear, class Activation>
[[nodiscard]] variable record(recorder& c, nn::mlp<Linear, Activation>& layer, variable x) {
  return detail::record_mlp(c, layer, x,
                            [&](const std::vector<variable>& y) { return activate(c, Activation{}, y[0]); });
}

namespace detail {

/// What a rotary encoding does to a head at each position before `end`, as matrices [size, size]: it is linear, and
/// so known by what it does to the unit vectors.
template <nn::rotary_positions Position>
[[nodiscard]] std::vector<matrix<double>> turns_of(const Position& position, std::size_t size, std::size_t end) {
  position.reach(end);
  std::vector<matrix<double>> turns(end, matrix<double>(size, size));
  buffer<float> head(size);
  for (std::size_t p = 0; p != end; ++p)
    for (std::size_t j = 0; j != size; ++j) {
      std::ranges::fill(head, 0.0f);
      head[j] = 1;
      position.template apply<simd::default_kernels>(head.data(), p);
      for (std::size_t i = 0; i != size; ++i) turns[p](i, j) = static_cast<double>(head[i]);
    }
  return turns;
}

/// Heads [tokens, heads · size] as `own` has them quantized, which the layer's own pass made of the same floats.
template <int Bits>
[[nodiscard]] rounded_values round_heads(const matrix<double>& x, const matrix<float>& own, std::size_t size) {
  rounded_values result{widened(own), matrix<double>(x.rows(), x.cols(), 0.0)};
  for (std::size_t row = 0; row != x.rows(); ++row)
    for (std::size_t at = 0; at != x.cols(); at += size) {
      simd::range range;
      for (std::size_t j = at; j != at + size; ++j)
        range = {std::min(range.min, static_cast<float>(x(row, j))),
                 std::max(range.max, static_cast<float>(x(row, j)))};
      const simd::grid g = simd::grid_of(range, Bits, false);
      for (std::size_t j = at; j != at + size; ++j) {
        const double code = std::nearbyint(x(row, j) / static_cast<double>(g.scale)) + g.zero_point;
        result.clamped(row, j) = code < 0 || code > std::exp2(Bits) - 1 ? 1 : 0;
      }
    }
  return result;
}

/// The factors of every channel of `heads` heads, exp(sign · log s) with the s of its pair: [1, heads · size].
template <class Layer>
[[nodiscard]] variable score_factors(recorder& c, Layer& layer, const nn::trainable& log_scale, std::size_t heads,
                                     double sign) {
  const std::size_t size = layer.head_size(), group = heads / layer.kv_heads(), pairs = layer.position().pairs();
  std::vector<std::size_t> from;
  for (std::size_t h = 0; h != heads; ++h)
    for (std::size_t j = 0; j != size; ++j) from.push_back(h / group * pairs + layer.position().pair(j));
  const std::size_t width = from.size();
  return exponential(c.on, take(c.on, c.parameter(log_scale), 1, width, std::move(from)), sign);
}

}  // namespace detail

template <class Linear, class Position, class HeadNorm>
[[nodiscard]] variable record(recorder& c, nn::self_attention<Linear, Position, HeadNorm>& layer, variable x) {
  using scheme = typename Linear::scheme;
  const std::size_t size = layer.head_size(), tokens = c.batch.tokens();
  require(!layer.prefix(), "lab::reverse: attention behind a prefix is not recorded");
  std::vector<nn::rms_norm*> head_norms;  // of queries and of keys, or none
  layer.for_each_norm([&](nn::rms_norm& norm) { head_norms.push_back(&norm); });
  const nn::trainable* log_scale = nullptr;
  layer.visit(nn::layer_visitor{[&](nn::trainable& t, const nn::tensor_use&) {
                                  if (t.view().group == parameter_group::score_scale) log_scale = &t;
                                },
                                [](auto&, nn::smoothing&) {}});
  const auto pass = c.pass();
  const std::vector<std::size_t> positions = nn::token_positions(pass, layer.position().positions());
  std::vector<matrix<double>> turns;
  if constexpr (nn::rotary_positions<Position>)
    turns =
        detail::turns_of(layer.position(), size, positions.empty() ? 0 : *std::ranges::max_element(positions) + 1);
  /// Norm, position and factor of queries (0) or keys (1).
  const auto encode = [&](variable heads, std::size_t which) {
    const std::size_t width = heads->value.cols();
    if (!head_norms.empty()) {
      const variable single = reshape(c.on, heads, tokens * width / size, size);
      heads = reshape(c.on, record(c, *head_norms[which], single), tokens, width);
    }
    if (!turns.empty()) heads = turn(c.on, heads, positions, turns);
    if (log_scale)
      heads =
          multiply_row(c.on, heads, detail::score_factors(c, layer, *log_scale, width / size, which == 0 ? 1 : -1));
    return heads;
  };

  variable mixed = nullptr, written = nullptr;
  layer.for_each_shared_input([&](auto&& input) {
    if (mixed) {
      written = record_shared(c, input, mixed)[0];
      return;
    }
    const std::size_t own = c.next_input;
    const std::vector<variable> y = record_shared(c, input, x);
    std::array<variable, 3> heads{encode(y[0], 0), encode(y[1], 1), y[2]};
    if constexpr (scheme::quantizes_attention) {
      if (!c.rounded.held()) layer.project(c.pass(), c.inputs.at(own));
      const std::array<const matrix<float>*, 3> quantized{&c.work.query, &c.work.key, &c.work.value};
      for (std::size_t i = 0; i != heads.size(); ++i)
        heads[i] = straight_through(c.on, heads[i], c.rounded, [&] {
          return detail::round_heads<scheme::attention_type::bits>(heads[i]->value, *quantized[i], size);
        });
    }
    attention_layout layout{layer.heads(), layer.kv_heads(), size, {}};
    for (std::size_t s = 0; s != c.batch.sequences(); ++s) layout.starts.push_back(c.batch.start(s));
    layout.starts.push_back(tokens);
    mixed = attend(c.on, heads[0], heads[1], heads[2], std::move(layout));
  });
  return written;
}

}  // namespace zoqat::lab::reverse
