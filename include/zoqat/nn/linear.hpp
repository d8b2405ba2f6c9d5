// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/nn/linear_input.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/smoothing.hpp>
#include <zoqat/nn/step_gain.hpp>
#include <zoqat/nn/trainable.hpp>
#include <zoqat/quant/packed_matrix.hpp>
#include <zoqat/quant/row.hpp>
#include <zoqat/quant/scheme.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace zoqat::nn {

namespace detail {

template <class S>
concept quantization_scheme = requires {
  { S::quantizes_weights } -> std::convertible_to<bool>;
  { S::quantizes_activations } -> std::convertible_to<bool>;
  { S::quantizes_attention } -> std::convertible_to<bool>;
};

/// The weight part of a scheme; a stand-in without clipping and groups in full precision.
struct unquantized_weight {
  static constexpr std::size_t groups(std::size_t) noexcept { return 0; }
  static constexpr std::size_t group_size(std::size_t in) noexcept { return in; }
  using clipping = quant::clip::none;
  static constexpr bool whole_tensor = false;
};
template <class S>
struct weight_part {
  using type = unquantized_weight;
};
template <class S>
  requires S::quantizes_weights
struct weight_part<S> {
  using type = typename S::weight_type;
};

/// Scratch of a tile; one per thread, kept between tiles.
struct tile_scratch {
  buffer<float> weights;          ///< [lanes][count][in]
  buffer<float> clipping;         ///< [lanes][count][groups * parameters]
  buffer<std::uint8_t> codes;     ///< [16][in]
  std::vector<simd::grid> grids;  ///< [16][groups]
  matrix<float> steps;            ///< [lanes * count, groups]: factors on the scales
  buffer<float> bias;             ///< [lanes][count]
  buffer<float> dequantized;      ///< [16][in]
  buffer<float> panel;
  buffer<std::uint8_t> code_panel;

  static tile_scratch& of_this_thread() {
    thread_local tile_scratch scratch;
    return scratch;
  }
};

}  // namespace detail

/// A linear layer under a quantization scheme, Y = X̃ W̃ᵀ + B̃ (eq. 4). X: [rows, in], W: [out, in].
///
/// While it trains it holds fp32 masters. Each tile of 16 output channels is read once for all lanes, smoothed,
/// quantized and packed into a panel in cache, and multiplied with every lane's input at once, so no perturbed or
/// dequantized copy of the matrix ever exists. With quantized activations the product is computed in integers and the
/// zero points are corrected by the sums of the codes; without, the tile is dequantized. `deploy` replaces the masters
/// by packed codes; what it computes then is the same bit by bit.
template <class Scheme>
class smoothed_linear {
  static_assert(detail::quantization_scheme<Scheme>,
                "nn::smoothed_linear: the argument must be a quant::scheme<...> or quant::full_precision; wrap a lone "
                "quant::weight in quant::scheme<...>");

 public:
  using scheme = Scheme;
  using weight_part = typename detail::weight_part<Scheme>::type;
  using clipping_policy = typename weight_part::clipping;

  /// Throws value_error where the integer products of a group would not be exact any more.
  smoothed_linear(parameter_ids& ids, const std::string& name, std::size_t out, std::size_t in, bool bias = false)
      : name_(name), out_(out), in_(in), weight_(ids, name + ".weight", parameter_group::weight, out, in) {
    require(!Scheme::quantizes_activations || weight_part::group_size(in) <= deepest,
            "{}: {} inputs share a grid, but integer products are exact for {} at most; use quant::group", name,
            weight_part::group_size(in), deepest);
    if (bias) bias_ = {ids, name + ".bias", parameter_group::norm, 1, out};
    if constexpr (clipping_policy::parameters > 0) {
      const std::size_t grids = weight_part::whole_tensor ? 1 : out * groups();
      clipping_ = {ids, name + ".clipping", parameter_group::clipping, grids, clipping_policy::parameters};
    }
    if constexpr (learns_steps) steps_ = {ids, name, out, groups()};
  }

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::size_t out_features() const noexcept { return out_; }
  [[nodiscard]] std::size_t in_features() const noexcept { return in_; }
  /// Grids in a row of weights.
  [[nodiscard]] std::size_t groups() const noexcept { return weight_part::groups(in_); }
  [[nodiscard]] trainable& weight() noexcept { return weight_; }
  [[nodiscard]] const trainable& weight() const noexcept { return weight_; }
  /// Parameters of the clipping policy: [grids, parameters per grid]; row r, group g at r * groups() + g.
  [[nodiscard]] trainable& clipping() noexcept { return clipping_; }
  /// The masters are gone and only packed codes remain.
  [[nodiscard]] bool deployed() const noexcept { return weight_.empty() && out_ * in_ != 0; }
  /// Bytes of the weights in deployment.
  [[nodiscard]] std::size_t weight_bytes() const {
    const std::size_t bias = bias_.values().size() * sizeof(float);
    if constexpr (Scheme::quantizes_weights) return quant::packed_matrix<weight_part>(out_, in_).bytes() + bias;
    else return out_ * in_ * sizeof(float) + bias;
  }

  /// out [rows, out] = (accumulate ? out : 0) + X̃ W̃ᵀ + B̃.
  template <class Pass>
  void forward(const Pass& pass, const linear_input<Scheme>& input, matrix_view<float> out, bool accumulate) const {
    using kernels = typename Pass::kernels;
    if (out.rows() == 0) return;
    const auto whole = whole_tensor_grids<kernels>(pass.lanes, input.scales);
    for_each_tile(pass.threads, [&](std::size_t first, std::size_t count) {
      auto& scratch = detail::tile_scratch::of_this_thread();
      read_tile(pass.lanes, first, count, scratch);
      for (std::size_t lane = 0; lane != pass.lanes.count(); ++lane) {
        add_shift<kernels>(input.shifts, scratch, lane, count);
        make_tile<kernels>(input.scales, whole, scratch, lane, first, count);
        const auto to = out.col_block(first, count).row_block(lane * pass.tokens(), pass.tokens());
        start_output<kernels>(scratch, lane, accumulate, to);
        if constexpr (Scheme::quantizes_activations)
          multiply_codes<kernels>(input, scratch, lane * pass.tokens(), to);
        else
          multiply_floats<kernels>(input.values.row_block(lane * pass.tokens(), pass.tokens()), scratch, lane, to);
      }
    });
  }

  /// Starts the clipping parameters from the ranges of the smoothed masters, unclipped: round-to-nearest.
  void start_clipping(const smoothing& site) {
    if constexpr (P > 0) {
      matrix<float> scales;
      site.scales(inference_lane{}, scales);
      std::vector<simd::range> ranges(clipping_.rows());
      buffer<float> row(in_);
      for (std::size_t r = 0; r != out_; ++r) {
        std::ranges::copy(weight_.values().row(r), row.begin());
        if (!scales.empty()) simd::default_kernels::multiply(scales.data(), row.data(), in_);
        quant::for_each_group<weight_part>(in_, [&](std::size_t group, std::size_t first, std::size_t count) {
          simd::range& range = ranges[weight_part::whole_tensor ? 0 : r * groups() + group];
          const simd::range of_group = simd::default_kernels::min_max(row.data() + first, count);
          range = {std::min(range.min, of_group.min), std::max(range.max, of_group.max)};
        });
      }
      for (std::size_t i = 0; i != ranges.size(); ++i)
        clipping_policy::start(ranges[i], weight_part::bits, weight_part::symmetric, 1, 1, clipping_.values().row(i).data());
    }
  }
  /// Fixes the grids of a row, for a clipping policy that holds grids (clip::codes).
  void set_grids(std::size_t row, std::span<const simd::grid> grids)
    requires requires(const simd::grid& g, float* p) { clipping_policy::hold(g, p); }
  {
    static_assert(!weight_part::whole_tensor, "nn::smoothed_linear: a per_tensor grid cannot be set row by row");
    for (std::size_t g = 0; g != grids.size(); ++g)
      clipping_policy::hold(grids[g], clipping_.values().row(row * groups() + g).data());
  }
  /// Fixes the codes of a row too: its masters become the centres of their cells, divided by the site's s [in] (or
  /// nothing) so that smoothing leads back to them.
  void set_row(std::size_t row, std::span<const std::uint8_t> codes, std::span<const simd::grid> grids,
               std::span<const float> scales) {
    set_grids(row, grids);
    const auto w = weight_.values().row(row);
    quant::dequantize_row<weight_part>(codes, grids.data(), w.data());
    for (std::size_t k = 0; k != scales.size(); ++k) w[k] /= scales[k];
  }

  /// Measures weights in cells: the unit of each row becomes its mean step size, so that an ε of the weight group is the
  /// ε/Δ of Appendix G, whatever the row.
  void set_weight_units(const smoothing& site) {
    if constexpr (Scheme::quantizes_weights) {
      weight_.unit().assign(out_, 0);
      quantize(site, [&](std::size_t row, const std::uint8_t*, const simd::grid* grids) {
        for (std::size_t g = 0; g != groups(); ++g) weight_.unit()[row] += grids[g].scale / static_cast<float>(groups());
      });
    }
  }

  /// The codes and grids that the masters lead to under a site's s, as the forward pass makes them: calls
  /// f(row, codes, grids) for each row.
  template <simd::kernels Kernels = simd::default_kernels, class F>
    requires Scheme::quantizes_weights
  void quantize(const smoothing& site, F&& f) const {
    constexpr inference_lane masters;
    matrix<float> scales;
    site.scales(masters, scales);
    const auto whole = whole_tensor_grids<Kernels>(masters, scales);
    for_each_tile(sequential{}, [&](std::size_t first, std::size_t count) {
      auto& scratch = detail::tile_scratch::of_this_thread();
      read_tile(masters, first, count, scratch);
      make_tile<Kernels>(scales, whole, scratch, 0, first, count);
      for (std::size_t r = 0; r != count; ++r)
        f(first + r, scratch.codes.data() + r * in_, scratch.grids.data() + r * groups());
    });
  }

  /// Quantizes the masters into their final storage, folds δ into the bias, and frees the masters.
  void deploy(const smoothing& site) {
    if constexpr (Scheme::quantizes_weights) {
      if (deployed()) return;
      packed_ = quant::packed_matrix<weight_part>(out_, in_);
      quantize(site, [&](std::size_t row, const std::uint8_t* codes, const simd::grid* grids) {
        packed_.set_row(row, codes, grids);
      });
      fold_shift(site);
      weight_.release();
      clipping_.release();
      steps_.release();
    }
  }

  template <class F>
  void for_each_trainable(F&& f) {
    if (!weight_.empty()) f(weight_);
    if (!clipping_.empty()) f(clipping_);
    if (!bias_.empty()) f(bias_);
    steps_.for_each_trainable(f);
  }
  /// The tensors of a full-precision checkpoint.
  template <class F>
  void for_each_base_tensor(F&& f) {
    f(weight_);
    if (!bias_.empty()) f(bias_);
  }
  /// What is stored of a deployed layer: f(name, shape, std::span<T>).
  template <class F>
  void for_each_stored(F&& f) {
    if constexpr (Scheme::quantizes_weights) {
      const std::size_t rows = weight_part::whole_tensor ? 1 : out_, per_row = out_ == 0 ? 0 : packed_.code_storage().size() / out_;
      f(name_ + ".codes", std::vector<std::size_t>{out_, per_row}, packed_.code_storage());
      f(name_ + ".scales", std::vector<std::size_t>{rows, groups()}, packed_.scales());
      if (!packed_.zero_points().empty())
        f(name_ + ".zero_points", std::vector<std::size_t>{rows, groups()}, packed_.zero_points());
    } else {
      f(weight_.name(), std::vector<std::size_t>{out_, in_}, weight_.values().flat());
    }
    if (!bias_.empty()) f(bias_.name(), std::vector<std::size_t>{out_}, bias_.values().flat());
  }
  /// Makes room for a deployed layer's storage without any masters: what a file is about to fill.
  void prepare_storage(bool folded_bias) {
    if constexpr (Scheme::quantizes_weights) {
      packed_ = quant::packed_matrix<weight_part>(out_, in_);
      weight_.release();
      clipping_.release();
      steps_.release();
      if (folded_bias) make_bias();
    }
  }

 private:
  static constexpr std::size_t P = clipping_policy::parameters;
  static constexpr std::size_t deepest = 32768;  ///< see simd::kernels, gemm_panel of codes
  static constexpr bool learns_steps = Scheme::quantizes_weights && P > 0 && !weight_part::whole_tensor;

  template <class Executor, class F>
  void for_each_tile(Executor&& threads, F&& f) const {
    threads.parallel_for((out_ + simd::panel_width - 1) / simd::panel_width, [&](std::size_t tile) {
      const std::size_t first = tile * simd::panel_width;
      f(first, std::min(simd::panel_width, out_ - first));
    });
  }

  /// What the lanes hold of a tile: weights and clipping parameters of the masters, and the bias.
  template <lane_reader Lanes>
  void read_tile(const Lanes& lanes, std::size_t first, std::size_t count, detail::tile_scratch& scratch) const {
    scratch.bias.assign(lanes.count() * count, 0);
    if (!bias_.empty()) lanes.read(bias_.view(), first, count, scratch.bias.data());
    if (deployed()) return;
    scratch.weights.resize(lanes.count() * count * in_);
    lanes.read(weight_.view(), first * in_, count * in_, scratch.weights.data());
    if constexpr (P > 0 && !weight_part::whole_tensor) {
      const std::size_t row = groups() * P;
      scratch.clipping.resize(lanes.count() * count * row);
      lanes.read(clipping_.view(), first * row, count * row, scratch.clipping.data());
    }
    if constexpr (learns_steps) steps_.factors(lanes, first, count, groups(), scratch.steps);
  }

  /// B̃ = B + δW with the weights as they are before smoothing. A deployed layer has it in its bias.
  template <class Kernels>
  void add_shift(const matrix<float>& shifts, detail::tile_scratch& scratch, std::size_t lane, std::size_t count) const {
    if (shifts.empty() || deployed()) return;
    for (std::size_t r = lane * count; r != (lane + 1) * count; ++r)
      scratch.bias[r] += Kernels::dot(shifts.row(lane).data(), scratch.weights.data() + r * in_, in_);
  }

  /// Smooths a lane's tile and leaves its codes and grids, or its weights in full precision, in the scratch.
  template <class Kernels>
  void make_tile(const matrix<float>& scales, std::span<const quant::code_grid> whole, detail::tile_scratch& scratch,
                 std::size_t lane, std::size_t first, std::size_t count) const {
    if constexpr (Scheme::quantizes_weights) {
      scratch.codes.resize(simd::panel_width * in_);
      scratch.grids.resize(simd::panel_width * groups());
      if (deployed()) return unpack_tile<Kernels>(scratch, first, count);
    }
    for (std::size_t r = lane * count; r != (lane + 1) * count; ++r) {
      const std::span<float> row{scratch.weights.data() + r * in_, in_};
      if (!scales.empty()) Kernels::multiply(scales.row(lane).data(), row.data(), in_);
      if constexpr (Scheme::quantizes_weights) quantize_row<Kernels>(row, whole, scratch, lane, r, r - lane * count);
    }
  }
  template <class Kernels>
  void unpack_tile(detail::tile_scratch& scratch, std::size_t first, std::size_t count) const {
    for (std::size_t r = 0; r != count; ++r) {
      packed_.template codes<Kernels>(first + r, scratch.codes.data() + r * in_);
      for (std::size_t g = 0; g != groups(); ++g) scratch.grids[r * groups() + g] = packed_.grid(first + r, g);
    }
  }
  /// Row `from` of what the lanes hold becomes row `to` of the codes and grids.
  template <class Kernels>
  void quantize_row(std::span<const float> row, std::span<const quant::code_grid> whole, detail::tile_scratch& scratch,
                    std::size_t lane, std::size_t from, std::size_t to) const {
    std::uint8_t* const codes = scratch.codes.data() + to * in_;
    simd::grid* const grids = scratch.grids.data() + to * groups();
    if constexpr (weight_part::whole_tensor) {
      quant::quantize_on<weight_part, Kernels>(row, whole[lane], codes);
      grids[0] = whole[lane].where;
    } else {
      quant::quantize_row<weight_part, Kernels>(row, scratch.clipping.data() + from * groups() * P, codes, grids);
    }
    if constexpr (learns_steps)
      for (std::size_t g = 0; g != groups(); ++g)
        grids[g].scale = quant::scaled<weight_part>(grids[g].scale, scratch.steps(from, g));
  }

  /// Every output starts from the bias, or from what it is added to.
  template <class Kernels>
  void start_output(const detail::tile_scratch& scratch, std::size_t lane, bool accumulate,
                    matrix_view<float> out) const {
    const float* const bias = scratch.bias.data() + lane * out.cols();
    for (std::size_t m = 0; m != out.rows(); ++m) {
      if (accumulate) Kernels::add(bias, out.row(m).data(), out.cols());
      else std::copy_n(bias, out.cols(), out.row(m).data());
    }
  }

  /// out += x · tile, in floats.
  template <class Kernels>
  void multiply_floats(matrix_view<const float> x, detail::tile_scratch& scratch, std::size_t lane,
                       matrix_view<float> out) const {
    float* weights = scratch.weights.data() + lane * out.cols() * in_;
    if constexpr (Scheme::quantizes_weights) {
      scratch.dequantized.resize(simd::panel_width * in_);
      weights = scratch.dequantized.data();
      for (std::size_t r = 0; r != out.cols(); ++r)
        quant::dequantize_row<weight_part, Kernels>({scratch.codes.data() + r * in_, in_},
                                                    scratch.grids.data() + r * groups(), weights + r * in_);
    }
    scratch.panel.resize(simd::float_panel_size(in_));
    Kernels::pack_panel(matrix_view<const float>(weights, out.cols(), in_), scratch.panel.data());
    Kernels::gemm_panel(x, scratch.panel.data(), nullptr, true, out);
  }

  /// out += Σ (a − z_a)(w − z_w) s_a s_w, group by group. The integers are exact: their zero-point terms may wrap on
  /// the way, the result does not.
  template <class Kernels>
  void multiply_codes(const linear_input<Scheme>& input, detail::tile_scratch& scratch, std::size_t first_row,
                      matrix_view<float> out) const {
    constexpr std::size_t block = 128;
    alignas(alignment) std::int32_t products[block * simd::panel_width];
    scratch.code_panel.resize(simd::code_panel_size(weight_part::group_size(in_)));
    quant::for_each_group<weight_part>(in_, [&](std::size_t group, std::size_t k, std::size_t count) {
      const auto weights = matrix_view<const std::uint8_t>(scratch.codes.data(), out.cols(), in_).col_block(k, count);
      Kernels::pack_panel(weights, scratch.code_panel.data());
      const group_factors factors(weights, scratch.grids.data() + group, groups());
      for (std::size_t m = 0; m < out.rows(); m += block) {
        const std::size_t rows = std::min(block, out.rows() - m), row = first_row + m;
        const std::int32_t* const sums = input.sums.row(group).data() + row;
        Kernels::template gemm_panel<Scheme::activation_type::bits, weight_part::bits>(
            input.codes.view().row_block(row, rows).col_block(k, count), sums, scratch.code_panel.data(), products);
        for (std::size_t i = 0; i != rows; ++i)
          factors.add(products + i * simd::panel_width, input.grids[row + i], sums[i], count, out.row(m + i));
      }
    });
  }

  /// What turns integer products into values, for the 16 channels of a tile and one group.
  struct group_factors {
    float scale[simd::panel_width] = {};
    std::uint32_t zero_point[simd::panel_width] = {}, sum[simd::panel_width] = {};

    group_factors(matrix_view<const std::uint8_t> codes, const simd::grid* grids, std::size_t stride) {
      for (std::size_t j = 0; j != codes.rows(); ++j) {
        scale[j] = grids[j * stride].scale;
        zero_point[j] = static_cast<std::uint32_t>(grids[j * stride].zero_point);
        for (const std::uint8_t code : codes.row(j)) sum[j] += code;
      }
    }
    void add(const std::int32_t* products, simd::grid a, std::int32_t a_sum, std::size_t k, std::span<float> out) const {
      const auto a_zero = static_cast<std::uint32_t>(a.zero_point);
      const std::uint32_t centred = static_cast<std::uint32_t>(a_sum) - static_cast<std::uint32_t>(k) * a_zero;
      float values[simd::panel_width];
      for (std::size_t j = 0; j != simd::panel_width; ++j) {
        const std::uint32_t exact = static_cast<std::uint32_t>(products[j]) - a_zero * sum[j] - zero_point[j] * centred;
        values[j] = static_cast<float>(static_cast<std::int32_t>(exact)) * (a.scale * scale[j]);
      }
      for (std::size_t j = 0; j != out.size(); ++j) out[j] += values[j];
    }
  };

  void make_bias() {
    if (!bias_.empty()) return;
    parameter_ids none;
    bias_ = {none, name_ + ".bias", parameter_group::norm, 1, out_};
  }
  void fold_shift(const smoothing& site) {
    if (!site.shifts()) return;
    matrix<float> shift;
    site.shifts(inference_lane{}, shift);
    make_bias();
    for (std::size_t r = 0; r != out_; ++r)
      bias_.values()(0, r) += simd::default_kernels::dot(shift.data(), weight_.values().row(r).data(), in_);
  }

  /// The one grid of a per_tensor matrix on each lane: a sweep of its own, since it needs the whole range.
  template <class Kernels, lane_reader Lanes>
  std::vector<quant::code_grid> whole_tensor_grids(const Lanes& lanes, const matrix<float>& scales) const {
    std::vector<quant::code_grid> grids;
    if constexpr (weight_part::whole_tensor) {
      if (deployed()) return grids;
      std::vector<simd::range> ranges(lanes.count());
      for_each_tile(sequential{}, [&](std::size_t first, std::size_t count) {
        auto& scratch = detail::tile_scratch::of_this_thread();
        read_tile(lanes, first, count, scratch);
        for (std::size_t row = 0; row != lanes.count() * count; ++row) {
          float* const weights = scratch.weights.data() + row * in_;
          simd::range& r = ranges[row / count];
          if (!scales.empty()) Kernels::multiply(scales.row(row / count).data(), weights, in_);
          const simd::range of_row = Kernels::min_max(weights, in_);
          r = {std::min(r.min, of_row.min), std::max(r.max, of_row.max)};
        }
      });
      buffer<float> clipping(lanes.count() * P);
      if constexpr (P > 0) lanes.read(clipping_.view(), 0, P, clipping.data());
      for (std::size_t lane = 0; lane != lanes.count(); ++lane)
        grids.push_back(quant::grid_of<weight_part>(ranges[lane], clipping.data() + lane * P));
    }
    return grids;
  }

  std::string name_;
  std::size_t out_, in_;
  trainable weight_, clipping_, bias_;
  step_gain steps_;
  quant::packed_matrix<std::conditional_t<Scheme::quantizes_weights, weight_part, quant::weight<8>>> packed_;
};

/// A linear layer in full precision.
using linear = smoothed_linear<quant::full_precision>;

}  // namespace zoqat::nn
