// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/nn/linear_input.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/smoothing.hpp>
#include <zoqat/nn/step_gain.hpp>
#include <zoqat/nn/storage_plan.hpp>
#include <zoqat/nn/trainable.hpp>
#include <zoqat/nn/weight_tile.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/quant/fixed_grids.hpp>
#include <zoqat/quant/packed_matrix.hpp>
#include <zoqat/quant/row.hpp>
#include <zoqat/quant/scheme.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
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

/// What the lanes hold of a tile beside its codes. Scratch of a thread, kept between tiles.
struct tile_scratch {
  sweep_scratch sweep;
  buffer<float> clipping;  ///< [lanes][count][groups * parameters]
  matrix<float> steps;     ///< [lanes * count, groups]: factors on the scales
  buffer<float> bias;      ///< [lanes][count]
  buffer<float> row;       ///< [in]
  buffer<float> values;    ///< [lanes][count][in], in full precision
  buffer<float> panels;

  static tile_scratch& of_this_thread() {
    thread_local tile_scratch scratch;
    return scratch;
  }
};

}  // namespace detail

/// A linear layer under a quantization scheme, Y = X̃ W̃ᵀ + B̃ (eq. 4). X: [rows, in], W: [out, in].
///
/// While it trains it holds fp32 masters. Each row is read once for all lanes, perturbed, smoothed and quantized in
/// one go, each tile of rows laid out in panels in cache and multiplied with every lane's input, so no perturbed or
/// dequantized copy of the matrix ever exists. With quantized activations the product is computed in integers;
/// without, the tile is dequantized, or for few tokens multiplied as it is packed. `deploy` replaces the masters by
/// packed codes, which all lanes share; what it computes then is the same bit by bit.
template <class Scheme>
class smoothed_linear {
  static_assert(detail::quantization_scheme<Scheme>,
                "nn::smoothed_linear: the argument must be a quant::scheme<...> or quant::full_precision; wrap a "
                "lone quant::weight in quant::scheme<...>");

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
    weight_.sweep(weight_part::group_size(in));
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
  [[nodiscard]] bool deployed() const noexcept { return Scheme::quantizes_weights && !packed_.empty(); }
  /// Whether masters lie in fp32 and grids are not fixed: what ptq needs, and has until `store` or `deploy`.
  [[nodiscard]] bool startable() const noexcept { return weight_.values().size() == out_ * in_ && grids_.empty(); }
  /// Bytes that quantizing the weights takes beside them while they train.
  [[nodiscard]] std::size_t quantizer_bytes() const noexcept {
    return clipping_.bytes() + steps_.bytes() + grids_.bytes();
  }
  /// Bytes of all that the layer holds now: masters, what quantizing them takes, or codes, and the bias.
  [[nodiscard]] std::size_t held_bytes() const noexcept {
    const std::size_t masters = weight_.bytes() + weight_.unit().size() * sizeof(float) + quantizer_bytes();
    std::size_t codes = 0;
    if constexpr (Scheme::quantizes_weights)
      if (deployed()) codes = quant::packed_matrix<weight_part>::bytes(out_, in_);
    return masters + codes + bias_.bytes();
  }
  /// Bytes of the weights in deployment. `shifts`: the site has a δ, which the bias then takes up.
  [[nodiscard]] std::size_t weight_bytes(bool shifts = false) const noexcept {
    const bool biased = !bias_.empty() || (shifts && Scheme::quantizes_weights);
    const std::size_t bias = biased ? out_ * sizeof(float) : 0;
    if constexpr (Scheme::quantizes_weights)
      return quant::packed_matrix<weight_part>::bytes(out_, in_) + bias;
    else
      return out_ * in_ * sizeof(float) + bias;
  }

  /// out [rows, out] = (accumulate ? out : 0) + X̃ W̃ᵀ + B̃.
  template <class Pass>
  void forward(const Pass& pass, const linear_input<Scheme>& input, matrix_view<float> out, bool accumulate) const {
    using kernels = typename Pass::kernels;
    if (out.rows() == 0) return;
    const auto whole = whole_tensor_grids<kernels>(pass.lanes, input.scales);
    for_each_tile(pass.threads, [&](std::size_t first, std::size_t count) {
      auto& scratch = detail::tile_scratch::of_this_thread();
      scratch.bias.assign(pass.lanes.count() * count, 0);
      if (!bias_.empty()) pass.lanes.read(bias_.view(), first, count, scratch.bias.data());
      make_tile<kernels>(pass.lanes, input, whole, first, count, scratch);
      const std::size_t sharing = deployed() ? pass.lanes.count() : 1;
      const simd::prefetch_hint next = storage_of(first + pass.threads.concurrency() * tile_width);
      for (std::size_t lane = 0; lane != pass.lanes.count(); lane += sharing) {
        const std::size_t row = lane * pass.tokens();
        const auto to = out.col_block(first, count).row_block(row, sharing * pass.tokens());
        output_start start{nullptr, accumulate};
        if (has_bias(input)) start = add_bias<kernels>(scratch.bias.data() + lane * count, sharing, accumulate, to);
        multiply<kernels>(input, row, pass.tokens(), deployed() ? 0 : lane, start, to, scratch,
                          part_of(next, lane, pass.lanes.count(), sharing));
      }
    });
  }

  /// Starts the clipping parameters from the ranges of the smoothed masters, unclipped: round-to-nearest.
  template <simd::kernels Kernels = simd::default_kernels>
  void start_clipping(const smoothing& site) {
    if constexpr (P > 0) {
      constexpr inference_lane masters;
      matrix<float> scales;
      site.scales(masters, scales);
      std::vector<simd::range> ranges(clipping_.rows());
      for_each_range<Kernels>(masters, scales, [&](std::size_t r, std::size_t, std::size_t group, simd::range found) {
        simd::range& range = ranges[weight_part::whole_tensor ? 0 : r * groups() + group];
        range = {std::min(range.min, found.min), std::max(range.max, found.max)};
      });
      for (std::size_t i = 0; i != ranges.size(); ++i)
        clipping_policy::start(ranges[i], weight_part::bits, weight_part::symmetric, 1, 1,
                               clipping_.values().row(i).data());
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

  /// Measures weights in cells: the unit of each row becomes its mean step size, so that an ε of the weight group is
  /// the ε/Δ of Appendix G, whatever the row.
  void set_weight_units(const smoothing& site) {
    if constexpr (Scheme::quantizes_weights) {
      if (deployed()) return;
      weight_.unit().assign(out_, 0);
      quantize(site, [&](std::size_t row, const std::uint8_t*, const simd::grid* grids) {
        for (std::size_t g = 0; g != groups(); ++g)
          weight_.unit()[row] += grids[g].scale / static_cast<float>(groups());
      });
    }
  }

  /// The codes and grids that the masters lead to under a site's s, as the forward pass makes them: calls
  /// f(first row, codes [rows, in], grids [rows * groups]) for each 16 rows.
  template <simd::kernels Kernels = simd::default_kernels, class F>
    requires Scheme::quantizes_weights
  void quantize_tiles(const smoothing& site, F&& f) const {
    constexpr inference_lane masters;
    matrix<float> scales;
    site.scales(masters, scales);
    const auto whole = whole_tensor_grids<Kernels>(masters, scales);
    std::vector<simd::grid> grids;
    for_each_tile(sequential{}, [&](std::size_t first, std::size_t count) {
      auto& tile = code_tile<weight_part, false>::of_this_thread();
      quantize_tile<Kernels>(
          masters, scales, {}, whole, first, count, detail::tile_scratch::of_this_thread(), tile, [&](std::size_t p) {
            const std::size_t row = p * simd::panel_width, rows = tile.panel_rows(p);
            grids.clear();
            for (std::size_t r = row; r != row + rows; ++r)
              for (std::size_t g = 0; g != groups(); ++g) grids.push_back(tile.grid(0, r, g));
            f(first + row, matrix_view<const std::uint8_t>(tile.codes(0, 0), rows, in_), grids.data());
          });
    });
  }
  /// The same row by row: f(row, codes, grids).
  template <simd::kernels Kernels = simd::default_kernels, class F>
    requires Scheme::quantizes_weights
  void quantize(const smoothing& site, F&& f) const {
    quantize_tiles<Kernels>(site,
                            [&](std::size_t first, matrix_view<const std::uint8_t> codes, const simd::grid* grids) {
                              for (std::size_t r = 0; r != codes.rows(); ++r)
                                f(first + r, codes.row(r).data(), grids + r * groups());
                            });
  }

  /// Fixes the grids where they are, as fine-tuning does: no lane moves them any more, whatever the weights do.
  template <simd::kernels Kernels = simd::default_kernels>
  void fix_grids(const smoothing& site) {
    if constexpr (Scheme::quantizes_weights) {
      if (deployed() || !grids_.empty()) return;
      constexpr inference_lane masters;
      matrix<float> scales;
      site.scales(masters, scales);
      grids_.resize(weight_part::whole_tensor ? 1 : out_ * groups());
      if constexpr (weight_part::whole_tensor)
        grids_.set(0, whole_tensor_grids<Kernels>(masters, scales)[0]);
      else
        for_each_range<Kernels>(
            masters, scales, [&](std::size_t r, std::size_t, std::size_t group, simd::range found) {
              const std::size_t i = r * groups() + group;
              grids_.set(i, quant::grid_of<weight_part>(found, P > 0 ? clipping_.values().row(i).data() : nullptr));
            });
      clipping_.release();
      if (steps_.neutral()) steps_.release();
    }
  }

  /// Fills the tensors of a checkpoint through `fill(trainable&)` and takes the layer to what `plan` says, so that no
  /// layer beside it needs its masters in fp32 at the same time. For a layer whose matrices have no memory yet.
  template <class Fill>
  void build(Fill&& fill, const smoothing& site, const storage_plan& plan) {
    weight_.allocate();
    if constexpr (P > 0) clipping_.allocate();
    if constexpr (learns_steps) steps_.allocate();
    for_each_base_tensor(fill);
    start_clipping(site);
    store(site, plan);
  }
  /// Takes the layer from masters in fp32 to what `plan` says: a layer that does not train is packed, or stays as it
  /// is where nothing is quantized.
  void store(const smoothing& site, const storage_plan& plan) {
    const bool trains = plan.trains(name_);
    if (!trains) deploy(site);
    if (!trains || !plan.norms) bias_.freeze();
    if (!trains) return weight_.freeze();
    if (plan.fixed_quantization) fix_grids(site);
    weight_.store_as(plan.masters);
  }

  /// Quantizes the masters into their final storage, folds δ into the bias, and frees the masters.
  void deploy(const smoothing& site) {
    if constexpr (Scheme::quantizes_weights) {
      if (deployed()) return;
      quant::packed_matrix<weight_part> packed(out_, in_);
      quantize_tiles(site, [&](std::size_t first, matrix_view<const std::uint8_t> codes, const simd::grid* grids) {
        packed.set_rows(first, codes, grids);
      });
      fold_shift(site);
      release_masters();
      packed_ = std::move(packed);
      finish_storage();
    }
  }

  template <class F>
  void for_each_trainable(F&& f) {
    if (!weight_.empty()) f(weight_);
    if (!clipping_.empty()) f(clipping_);
    if (!bias_.empty()) f(bias_);
    if (grids_.empty()) steps_.for_each_trainable(f);
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
      std::vector<std::size_t> grids{packed_.panels(), groups(), simd::panel_width};
      if constexpr (weight_part::whole_tensor) grids = {packed_.scales().size()};
      f(name_ + ".codes", std::vector<std::size_t>{packed_.panels(), packed_.panel_bytes()}, packed_.code_storage());
      f(name_ + ".scales", grids, packed_.scales());
      if (!packed_.zero_points().empty()) f(name_ + ".zero_points", grids, packed_.zero_points());
    } else {
      f(weight_.name(), std::vector<std::size_t>{out_, in_}, weight_.values().flat());
    }
    if (!bias_.empty()) f(bias_.name(), std::vector<std::size_t>{out_}, bias_.values().flat());
  }
  /// What a loss depends on and training never moves, as bytes: f(std::span<const std::byte>).
  template <class F>
  void for_each_constant(F&& f) {
    if (deployed()) for_each_stored([&](const std::string&, const auto&, auto values) { f(std::as_bytes(values)); });
    grids_.for_each_constant(f);
  }
  /// Makes room for a deployed layer's storage, which a file is about to fill. For a layer whose matrices have no
  /// memory yet.
  void prepare_storage(bool folded_bias) {
    if constexpr (Scheme::quantizes_weights) {
      packed_ = quant::packed_matrix<weight_part>(out_, in_);
      release_masters();
      if (folded_bias) make_bias();
    } else {
      weight_.allocate();
    }
    weight_.freeze();
    bias_.freeze();
  }
  /// To be called after something has filled that room.
  void finish_storage() {
    if constexpr (Scheme::quantizes_activations) {
      sums_.assign(tiles() * groups() * tile_width, 0);
      matrix<std::uint8_t> codes;
      for_each_tile(sequential{}, [&](std::size_t first, std::size_t count) {
        codes.reshape(count, in_);
        packed_.read_rows(first, codes);
        for (std::size_t r = 0; r != count; ++r)
          quant::for_each_group<weight_part>(in_, [&](std::size_t g, std::size_t k, std::size_t n) {
            const std::int32_t offset = simd::panel_offset(weight_part::bits, packed_.grid(first + r, g).zero_point);
            sums_[first * groups() + g * tile_width + r] =
                simd::default_kernels::sum(codes.row(r).data() + k, n) - static_cast<std::int32_t>(n) * offset;
          });
      });
    }
  }

 private:
  static constexpr std::size_t P = clipping_policy::parameters;
  static constexpr std::size_t deepest = 32768;  ///< see simd::kernels, gemm of codes
  using product_tile = code_tile<std::conditional_t<Scheme::quantizes_weights, weight_part, quant::weight<8>>,
                                 Scheme::quantizes_activations>;
  static constexpr bool learns_steps = Scheme::quantizes_weights && P > 0 && !weight_part::whole_tensor;

  [[nodiscard]] std::size_t tiles() const noexcept { return (out_ + tile_width - 1) / tile_width; }
  template <class Executor, class F>
  void for_each_tile(Executor&& threads, F&& f) const {
    threads.parallel_for(tiles(), [&](std::size_t tile) {
      const std::size_t first = tile * tile_width;
      f(first, std::min(tile_width, out_ - first));
    });
  }
  [[nodiscard]] bool has_bias(const linear_input<Scheme>& input) const noexcept {
    return !bias_.empty() || (!input.shifts.empty() && !deployed());
  }

  /// Reads a tile on all lanes: codes, or values in full precision, and what a shift adds to the bias.
  template <class Kernels, lane_reader Lanes>
  void make_tile(const Lanes& lanes, const linear_input<Scheme>& input, std::span<const quant::code_grid> whole,
                 std::size_t first, std::size_t count, detail::tile_scratch& scratch) const {
    if constexpr (Scheme::quantizes_weights) {
      auto& tile = product_tile::of_this_thread();
      if (!deployed())
        return quantize_tile<Kernels>(lanes, input.scales, input.shifts, whole, first, count, scratch, tile,
                                      [&](std::size_t p) { tile.template lay_out<Kernels>(p); });
      tile.start(1, count, in_);
      tile.template take<Kernels>(packed_, first);
      if constexpr (Scheme::quantizes_activations)
        std::copy_n(sums_.data() + first * groups(), groups() * tile_width, &tile.sum(0, 0, 0));
    } else {
      scratch.values.resize(lanes.count() * count * in_);
      sweep_tile<Kernels>(lanes, input.shifts, first, 0, count, count, scratch,
                          [&](std::size_t r, std::size_t first_lane, std::span<const lane_values> values) {
                            for (std::size_t i = 0; i != values.size(); ++i) {
                              const std::size_t lane = first_lane + i;
                              Kernels::evaluate(weight_row(values[i], input.scales, lane), in_,
                                                scratch.values.data() + (lane * count + r) * in_);
                            }
                          });
    }
  }

  /// Calls f(r, lane, values before smoothing) for rows [from, to) of a tile of `count` rows, one or two lanes at a
  /// time, and adds δW to the bias: B̃ = B + δW.
  template <class Kernels, lane_reader Lanes, class F>
  void sweep_tile(const Lanes& lanes, const matrix<float>& shifts, std::size_t first, std::size_t from,
                  std::size_t to, std::size_t count, detail::tile_scratch& scratch, F&& f) const {
    lanes.sweep_rows(weight_.view(), first + from, to - from, scratch.sweep,
                     [&](std::size_t r, std::size_t lane, std::span<const lane_values> values) {
                       if (!shifts.empty())
                         for (std::size_t i = 0; i != values.size(); ++i)
                           scratch.bias[(lane + i) * count + from + r] +=
                               shifted<Kernels>(values[i], shifts.row(lane + i), scratch);
                       f(from + r, lane, values);
                     });
  }
  /// δ · w.
  template <class Kernels>
  float shifted(const lane_values& values, std::span<const float> shift, detail::tile_scratch& scratch) const {
    scratch.row.resize(in_);
    Kernels::evaluate(weight_row(values, {}, 0), in_, scratch.row.data());
    return Kernels::dot(shift.data(), scratch.row.data(), in_);
  }

  /// The smoothed row of a lane.
  static simd::weight_row weight_row(const lane_values& v, const matrix<float>& scales, std::size_t lane) noexcept {
    return {v.values, v.direction, v.scale, scales.empty() ? nullptr : scales.row(lane).data(), v.signs};
  }

  /// Smooths and quantizes the masters of a tile on all lanes; calls done(p) when the rows of panel p are.
  template <class Kernels, lane_reader Lanes, bool Offset, class Done>
  void quantize_tile(const Lanes& lanes, const matrix<float>& scales, const matrix<float>& shifts,
                     std::span<const quant::code_grid> whole, std::size_t first, std::size_t count,
                     detail::tile_scratch& scratch, code_tile<weight_part, Offset>& tile, Done&& done) const {
    tile.start(lanes.count(), count, in_);
    if constexpr (P > 0 && !weight_part::whole_tensor) {
      const std::size_t row = groups() * P;
      if (grids_.empty()) {
        scratch.clipping.resize(lanes.count() * count * row);
        lanes.read(clipping_.view(), first * row, count * row, scratch.clipping.data());
      }
    }
    if constexpr (learns_steps)
      if (!steps_.empty()) steps_.factors(lanes, first, count, groups(), scratch.steps);
    for (std::size_t p = 0; p != tile.panels(); ++p) {
      const std::size_t from = p * simd::panel_width;
      sweep_tile<Kernels>(lanes, shifts, first, from, from + tile.panel_rows(p), count, scratch,
                          [&](std::size_t r, std::size_t lane, std::span<const lane_values> values) {
                            quantize_row<Kernels>(values, scales, whole, lane, first, r, count, scratch, tile);
                          });
      done(p);
    }
  }
  /// Row `r` of the tile of `count` rows from `first` on, on the lanes from `lane` on that `values` are of.
  template <class Kernels, bool Offset>
  void quantize_row(std::span<const lane_values> values, const matrix<float>& scales,
                    std::span<const quant::code_grid> whole, std::size_t lane, std::size_t first, std::size_t r,
                    std::size_t count, const detail::tile_scratch& scratch,
                    code_tile<weight_part, Offset>& tile) const {
    std::array<simd::weight_row, 2> rows;
    for (std::size_t i = 0; i != values.size(); ++i) rows[i] = weight_row(values[i], scales, lane + i);
    quant::for_each_group<weight_part>(in_, [&](std::size_t group, std::size_t k, std::size_t n) {
      std::array<simd::code_range, 2> ranges;
      for (std::size_t i = 0; i != values.size(); ++i) {
        const std::size_t at = (lane + i) * count + r;
        const quant::code_grid g =
            grids_.empty() ? grid_of_group<Kernels>(part_of(rows[i], k), n, whole, lane + i, at, group, scratch)
                           : grids_[weight_part::whole_tensor ? 0 : (first + r) * groups() + group];
        ranges[i] = {g.where, g.least, g.greatest, tile.offset(g.where.zero_point)};
        simd::grid& stored = tile.grid(lane + i, r, group) = g.where;
        if constexpr (learns_steps)
          if (!steps_.empty()) stored.scale = quant::scaled<weight_part>(stored.scale, scratch.steps(at, group));
      }
      const auto codes = [&](std::size_t i) { return tile.codes(lane + i, r) + k; };
      if (values.size() == 2 && rows[0].moves() && rows[1].scale == -rows[0].scale) {
        const simd::weight_row forward = part_of(rows[0], k), back = part_of(rows[1], k);
        const auto sums = Kernels::quantize(
            simd::weight_pair{
                forward.values, forward.direction, forward.scale, {forward.smoothing, back.smoothing}, forward.signs},
            n, ranges.data(), codes(0), codes(1));
        for (std::size_t i = 0; i != 2; ++i) tile.sum(lane + i, r, group) = sums[i];
      } else {
        for (std::size_t i = 0; i != values.size(); ++i)
          tile.sum(lane + i, r, group) = Kernels::quantize(part_of(rows[i], k), n, ranges[i], codes(i));
      }
    });
  }
  /// A row from its element k on.
  static simd::weight_row part_of(const simd::weight_row& row, std::size_t k) noexcept {
    return {row.values + k, row.direction ? row.direction + k : nullptr, row.scale,
            row.smoothing ? row.smoothing + k : nullptr, row.signs.from(k)};
  }
  /// The grid of a group before the learned factor of its step; `at` is the row's place in the scratch.
  template <class Kernels>
  quant::code_grid grid_of_group(const simd::weight_row& part, std::size_t n, std::span<const quant::code_grid> whole,
                                 std::size_t lane, std::size_t at, std::size_t group,
                                 const detail::tile_scratch& scratch) const {
    if constexpr (weight_part::whole_tensor) {
      return whole[lane];
    } else {
      simd::range range;
      if constexpr (clipping_policy::follows_range) range = Kernels::min_max(part, n);
      return quant::grid_of<weight_part>(range, scratch.clipping.data() + (at * groups() + group) * P);
    }
  }

  /// Lets the outputs start from the biases of `lanes` lanes, [lanes, out.cols()]: through the product where one bias
  /// serves all rows, else here.
  template <class Kernels>
  static output_start add_bias(const float* bias, std::size_t lanes, bool accumulate, matrix_view<float> out) {
    const std::size_t n = out.cols(), tokens = out.rows() / lanes;
    const auto same = [&](std::size_t lane) { return std::equal(bias, bias + n, bias + lane * n); };
    if (std::ranges::all_of(std::views::iota(std::size_t{1}, lanes), same)) return {bias, accumulate};
    for (std::size_t m = 0; m != out.rows(); ++m) {
      const float* const of_lane = bias + m / tokens * n;
      if (accumulate)
        Kernels::add(of_lane, out.row(m).data(), n);
      else
        std::copy_n(of_lane, n, out.row(m).data());
    }
    return {nullptr, true};
  }

  /// The masters, or packed codes, of the tile from row `first` on.
  [[nodiscard]] simd::prefetch_hint storage_of(std::size_t first) const noexcept {
    if (first >= out_) return {};
    const std::size_t count = std::min(tile_width, out_ - first);
    if (!deployed()) return weight_.memory(first, count);
    if constexpr (Scheme::quantizes_weights) {
      const std::size_t panels = (count + simd::panel_width - 1) / simd::panel_width;
      return {packed_.panel(first / simd::panel_width), panels * packed_.panel_bytes()};
    } else {
      return {};
    }
  }
  /// The part of it that falls to the product of lanes [lane, lane + sharing) of `lanes`.
  static simd::prefetch_hint part_of(simd::prefetch_hint all, std::size_t lane, std::size_t lanes,
                                     std::size_t sharing) noexcept {
    const std::size_t from = all.bytes * lane / lanes, to = all.bytes * (lane + sharing) / lanes;
    return {static_cast<const char*>(all.data) + from, to - from};
  }

  template <class Kernels>
  void multiply(const linear_input<Scheme>& input, std::size_t row, std::size_t tokens, std::size_t lane,
                output_start start, matrix_view<float> out, detail::tile_scratch& scratch,
                [[maybe_unused]] simd::prefetch_hint next) const {
    [[maybe_unused]] auto& tile = product_tile::of_this_thread();
    [[maybe_unused]] const bool few = tokens <= few_tokens;
    if constexpr (Scheme::quantizes_activations)
      tile.template multiply_codes<Kernels>(input, row, lane, start, out, next);
    else if constexpr (!Scheme::quantizes_weights)
      multiply_floats<Kernels>(input.values.row_block(row, out.rows()), lane, few, start, out, scratch);
    else if (few && tile.blocks_hold_groups())
      tile.template multiply_packed<Kernels>(input, row, lane, start, out);
    else
      tile.template multiply_values<Kernels>(input, row, tokens, lane, start, out);
  }

  /// out (+)= x · tile in full precision.
  template <class Kernels>
  void multiply_floats(matrix_view<const float> x, std::size_t lane, bool few, output_start start,
                       matrix_view<float> out, detail::tile_scratch& scratch) const {
    const matrix_view<const float> rows(scratch.values.data() + lane * out.cols() * in_, out.cols(), in_);
    if (few) {
      for (std::size_t m = 0; m != out.rows(); ++m)
        for (std::size_t j = 0; j != out.cols(); ++j)
          out(m, j) = start.of(out, m, j) + Kernels::dot(x.row(m).data(), rows.row(j).data(), in_);
      return;
    }
    const std::size_t panels = (out.cols() + simd::panel_width - 1) / simd::panel_width;
    scratch.panels.resize(panels * simd::float_panel_size(in_));
    for (std::size_t p = 0; p != panels; ++p) {
      const std::size_t from = p * simd::panel_width;
      Kernels::pack_panel(rows.row_block(from, std::min(simd::panel_width, out.cols() - from)),
                          scratch.panels.data() + p * simd::float_panel_size(in_));
    }
    Kernels::gemm(x, scratch.panels.data(), start.bias, start.accumulate, out);
  }

  void release_masters() {
    weight_.release();
    clipping_.release();
    steps_.release();
    grids_ = {};
  }
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
    buffer<float> room;
    for (std::size_t r = 0; r != out_; ++r)
      bias_.values()(0, r) += simd::default_kernels::dot(
          shift.data(), weight_.master_rows().read<simd::default_kernels>(r, 1, room).data(), in_);
  }

  /// Calls f(row, lane, group, range) for the groups of the smoothed rows on all lanes, in a sweep of its own.
  template <class Kernels, lane_reader Lanes, class F>
  void for_each_range(const Lanes& lanes, const matrix<float>& scales, F&& f) const {
    sweep_scratch scratch;
    const auto visit = [&](std::size_t r, std::size_t lane, std::span<const lane_values> values) {
      for (std::size_t i = 0; i != values.size(); ++i) {
        const simd::weight_row row = weight_row(values[i], scales, lane + i);
        quant::for_each_group<weight_part>(in_, [&](std::size_t group, std::size_t k, std::size_t n) {
          f(r, lane + i, group, Kernels::min_max(part_of(row, k), n));
        });
      }
    };
    lanes.sweep_rows(weight_.view(), 0, out_, scratch, visit);
  }
  /// The one grid of a per_tensor matrix on each lane: a sweep of its own, since it needs the whole range.
  template <class Kernels, lane_reader Lanes>
  std::vector<quant::code_grid> whole_tensor_grids(const Lanes& lanes, const matrix<float>& scales) const {
    std::vector<quant::code_grid> grids;
    if constexpr (weight_part::whole_tensor) {
      if (deployed() || !grids_.empty()) return grids;
      std::vector<simd::range> ranges(lanes.count());
      for_each_range<Kernels>(lanes, scales, [&](std::size_t, std::size_t lane, std::size_t, simd::range of_row) {
        simd::range& r = ranges[lane];
        r = {std::min(r.min, of_row.min), std::max(r.max, of_row.max)};
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
  quant::fixed_grids<std::conditional_t<Scheme::quantizes_weights, weight_part, quant::weight<8>>> grids_;
  buffer<std::int32_t> sums_;  // of the codes of a deployed layer, [tiles][groups][tile_width]
  quant::packed_matrix<std::conditional_t<Scheme::quantizes_weights, weight_part, quant::weight<8>>> packed_;
};

/// A linear layer in full precision.
using linear = smoothed_linear<quant::full_precision>;

}  // namespace zoqat::nn
