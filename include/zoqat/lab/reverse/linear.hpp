// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/lab/reverse/grid.hpp>
#include <zoqat/lab/reverse/operations.hpp>
#include <zoqat/lab/reverse/recorder.hpp>
#include <zoqat/lab/reverse/rounding.hpp>
#include <zoqat/nn/linear.hpp>
#include <zoqat/nn/smoothing.hpp>
#include <zoqat/nn/visit.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/quant/clipping.hpp>
#include <zoqat/quant/row.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::lab::reverse {

/// The smoothing of an input as rows of the tape: null where there is none.
struct recorded_smoothing {
  variable log_scale = nullptr, shift = nullptr;  ///< log s and δ of each channel: [1, width]
};

[[nodiscard]] inline recorded_smoothing record(recorder& c, nn::smoothing& s) {
  recorded_smoothing result;
  std::vector<std::size_t> source;
  for (std::size_t j = 0; j != s.width(); ++j) source.push_back(s.source(j));
  const auto expand = [&](const nn::trainable& t) { return take(c.on, c.parameter(t), 1, source.size(), source); };
  if (s.active()) result.log_scale = expand(s.log_scale());
  if (s.shifts()) result.shift = expand(s.shift());
  return result;
}

namespace detail {

/// An input as the codes of its activations stand for it; what lies beyond the last code is clamped. `smoothed` is
/// the same before rounding, for the tape to see which those are.
template <class Scheme>
[[nodiscard]] rounded_values round_input(recorder& c, const matrix<float>& x, const nn::smoothing& s,
                                         const matrix<double>& smoothed) {
  using activation = typename Scheme::activation_type;
  const auto pass = c.pass();
  const nn::linear_input<Scheme> input(pass, x, s);
  matrix<float> values(x.rows(), x.cols());
  rounded_values result{{}, matrix<double>(x.rows(), x.cols(), 0.0)};
  const double top = std::exp2(activation::bits) - 1, least = activation::grouped ? 1 : 0;
  for (std::size_t row = 0; row != x.rows(); ++row) {
    input.template dequantize<simd::default_kernels>(row, values.row(row).data());
    for (std::size_t j = 0; j != x.cols(); ++j) {
      const simd::grid& g = input.grids(j / activation::group_size(x.cols()), row);
      const double code = std::nearbyint(smoothed(row, j) / static_cast<double>(g.scale)) + g.zero_point;
      result.clamped(row, j) = g.scale != 0 && (code < least || code > top) ? 1 : 0;
    }
  }
  result.values = widened(values);
  return result;
}

/// exp of the sum of the logarithms of steps: [rows, groups].
template <class Steps>
[[nodiscard]] variable step_factors(recorder& c, Steps& steps, std::size_t rows, std::size_t groups) {
  variable sum = nullptr;
  for (const nn::trainable* level : tensors_of(steps)) {
    std::vector<std::size_t> from(rows * groups);
    for (std::size_t i = 0; i != from.size(); ++i) switch (level->view().group) {
        case parameter_group::step_tensor:
          from[i] = 0;
          break;
        case parameter_group::step_row:
          from[i] = i / groups;
          break;
        case parameter_group::step_column:
          from[i] = i % groups;
          break;
        default:
          from[i] = i;
      }
    const variable expanded = take(c.on, c.parameter(*level), rows, groups, std::move(from));
    sum = sum ? add(c.on, sum, expanded) : expanded;
  }
  return exponential(c.on, sum);
}

/// Grids before the learned factors of their steps, as the library makes them from the masters: [grids, 5], and the
/// ranges of the smoothed weights that they follow, [grids, 2].
struct base_grids {
  matrix<double> numbers, ranges;
};

template <class Scheme>
[[nodiscard]] base_grids grids_of_masters(nn::quantized_weight<Scheme>& q, const nn::smoothing& s) {
  using part = typename Scheme::weight_type;
  using kernels = simd::default_kernels;
  const std::size_t in = q.masters().cols(), out = q.masters().rows(), groups = part::groups(in);
  const std::size_t count = part::whole_tensor ? 1 : out * groups;
  matrix<float> scales;
  s.scales(inference_lane{}, scales);
  buffer<float> room, smoothed(in);
  base_grids result{matrix<double>(count, grid_width), matrix<double>(count, 2, 0.0)};
  std::vector<quant::code_grid> grids;
  if constexpr (part::whole_tensor) grids = q.template pass_grids<kernels>(inference_lane{}, scales);
  for (std::size_t row = 0; row != out; ++row) {
    const auto w = q.masters().master_rows().template read<kernels>(row, 1, room);
    kernels::materialize({w.data(), nullptr, 0, scales.empty() ? nullptr : scales.data()}, in, smoothed.data());
    quant::for_each_group<part>(in, [&](std::size_t group, std::size_t first, std::size_t n) {
      const simd::range range = kernels::min_max(smoothed.data() + first, n);
      const std::size_t i = part::whole_tensor ? 0 : row * groups + group;
      double* const of = result.ranges.row(i).data();
      of[0] = std::min(of[0], static_cast<double>(range.min)),
      of[1] = std::max(of[1], static_cast<double>(range.max));
      if constexpr (!part::whole_tensor) {
        const float* p = nullptr;
        if constexpr (part::clipping::parameters > 0)
          if (!q.grids_fixed()) p = q.clipping().values().row(i).data();
        grids.push_back(q.grids_fixed() ? q.grids()[i] : quant::grid_of<part>(range, p));
      }
    });
    if constexpr (part::shares_scales) {
      std::vector<simd::grid> shared;
      for (std::size_t g = row * groups; g != (row + 1) * groups; ++g) shared.push_back(grids[g].grid);
      quant::share_scales<part>(shared);
      for (std::size_t g = 0; g != groups; ++g) grids[row * groups + g].grid = shared[g];
    }
  }
  if (part::whole_tensor && q.grids_fixed()) grids = {q.grids()[0]};
  for (std::size_t i = 0; i != count; ++i) std::ranges::copy(numbers_of(grids[i]), result.numbers.row(i).begin());
  return result;
}

/// The weights that codes stand for, [out, in], from masters w and smoothing.
template <class Scheme>
[[nodiscard]] variable record_weight(recorder& c, nn::quantized_weight<Scheme>& q, nn::smoothing& s,
                                     const recorded_smoothing& by, variable w) {
  using part = typename Scheme::weight_type;
  using policy = typename part::clipping;
  const std::size_t out = w->value.rows(), in = w->value.cols(), groups = part::groups(in);
  const grid_layout layout{groups, part::group_size(in), part::whole_tensor};
  if (by.log_scale) w = multiply_row(c.on, w, exponential(c.on, by.log_scale));
  base_grids base;
  matrix<double> codes(out, in), values(out, in);
  if (!c.rounded.held()) {
    base = grids_of_masters(q, s);
    q.quantize(s, [&](std::size_t row, const std::uint8_t* of_row, const simd::grid* grids) {
      for (std::size_t k = 0; k != in; ++k) {
        const simd::grid& g = grids[k / layout.group_size];
        codes(row, k) = of_row[k];
        values(row, k) = static_cast<double>(g.scale) * (of_row[k] - g.zero_point) - static_cast<double>(g.minimum);
      }
    });
  }
  const matrix<double>& ranges = c.rounded.note([&] { return base.ranges; });
  const auto exact = [&] { return base.numbers; };
  variable grids = nullptr;
  if (policy::parameters > 0 && !q.grids_fixed())
    grids = grids_of<policy>(c.on, c.parameter(q.clipping()), ranges, part::bits, part::zeros, c.rounded, exact);
  else
    grids = c.on.input(c.rounded.note(exact));
  const variable coded = on_grids(c.on, w, grids, layout, c.rounded, [&] { return codes; });
  if (q.steps().empty()) return coded;
  const variable scaled = multiply_groups(c.on, coded, step_factors(c, q.steps(), out, groups), layout);
  return straight_through_unclamped(c.on, scaled, c.rounded, [&] { return values; });
}

}  // namespace detail

/// Linear layers that read one input x [tokens, in], in their order: x̃ W̃ᵀ + B̃ of each (eq. 4). Throws value_error for
/// a layer that is deployed.
///
/// What is defined where: codes and grids of weights in grid.hpp (LSQ), rounding of inputs in rounding.hpp
/// (identity), smoothing acts on both sides, so that its gradient is what rounding leaves of two terms that cancel
/// without it. Sums of inputs that a scheme stores (quant::fp16_scale_and_sum) are not rounded here.
template <class Input>
[[nodiscard]] std::vector<variable> record_shared(recorder& c, Input&& input, variable x) {
  using scheme =
      typename std::remove_pointer_t<typename std::remove_cvref_t<decltype(input.layers)>::value_type>::scheme;
  static_assert(!nn::detail::is_stored<scheme>,
                "lab::reverse: nn::stored keeps codes of somebody else's; take a quant::scheme");
  nn::smoothing& s = *input.smoothing;
  const recorded_smoothing by = record(c, s);
  [[maybe_unused]] const matrix<float>* const own = c.own_input(x);
  if (by.shift) x = add_row(c.on, x, by.shift, -1);
  if (by.log_scale) x = multiply_row(c.on, x, exponential(c.on, by.log_scale, -1));
  if constexpr (scheme::quantizes_activations)
    x = straight_through(c.on, x, c.rounded, [&] { return detail::round_input<scheme>(c, *own, s, x->value); });
  std::vector<variable> outputs;
  for (auto* layer : input.layers) {
    require(!layer->adapter(), "lab::reverse: {} has an adapter, which is not recorded", layer->name());
    const variable masters = c.parameter(layer->weight());
    variable weight = masters;
    if constexpr (scheme::quantizes_weights) weight = detail::record_weight(c, layer->quantizer(), s, by, masters);
    variable y = product(c.on, x, weight);
    layer->visit(nn::tensor_visitor{[&](nn::trainable& t, const nn::tensor_use& u) {
      if (u.vector) y = add_row(c.on, y, c.parameter(t));
    }});
    if (by.shift) y = add_row(c.on, y, product(c.on, by.shift, masters));
    outputs.push_back(c.outputs[layer->name()] = y);
  }
  return outputs;
}

}  // namespace zoqat::lab::reverse
