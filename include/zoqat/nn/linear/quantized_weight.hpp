// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/linear/linear_input.hpp>
#include <zoqat/nn/linear/step_log_scale.hpp>
#include <zoqat/nn/linear/tile_rows.hpp>
#include <zoqat/nn/linear/weight_tile.hpp>
#include <zoqat/nn/smoothing.hpp>
#include <zoqat/nn/trainable.hpp>
#include <zoqat/nn/visit.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/quant/fixed_grids.hpp>
#include <zoqat/quant/row.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::nn {

/// The weights [out, in] of a linear layer while they train: masters, and what leads from them to codes, which are
/// the parameters of clipping and the gains of step sizes, or grids that are fixed.
///
/// Each row is read once for all lanes, perturbed, smoothed and quantized in one go, tile by tile, so no perturbed or
/// dequantized copy of the matrix ever exists.
template <class Scheme>
class quantized_weight {
 public:
  using part = typename Scheme::weight_type;
  using clipping_policy = typename part::clipping;
  using activation = typename Scheme::activation_type;
  using tile = code_tile<part, activation>;
  struct scratch : detail::tile_scratch {
    buffer<float> clipping;  ///< [lanes][count][groups * parameters]
    matrix<float> steps;     ///< [lanes * count, groups]: factors on the scales
    matrix<float> values;    ///< [2, in]: rows of weights with minima, which are added to values
  };
  static constexpr bool shared_by_lanes = false;

  /// Takes over the masters of the layer `name`. Throws value_error where the integer products of a group would not
  /// be exact any more.
  quantized_weight(trainable masters, parameter_ids& ids, const std::string& name) : masters_(std::move(masters)) {
    const std::size_t depth = quant::part_size<part, activation>(in());
    require(!Scheme::quantizes_activations || depth <= max_exact_depth,
            "{}: {} inputs share a grid, but integer products are exact for {} at most; use quant::group", name,
            depth, max_exact_depth);
    masters_.sweep(part::group_size(in()));
    if constexpr (clip_params > 0) {
      const std::size_t grids = part::whole_tensor ? 1 : out() * groups();
      clipping_ = {ids, name + ".clipping", parameter_group::clipping, grids, clip_params};
    }
    if constexpr (learns_steps) steps_ = {ids, name, out(), groups()};
  }

  [[nodiscard]] trainable& masters() noexcept { return masters_; }
  [[nodiscard]] const trainable& masters() const noexcept { return masters_; }
  /// Parameters of the clipping policy: [grids, parameters per grid]; row r, group g at r * groups() + g.
  [[nodiscard]] trainable& clipping() noexcept { return clipping_; }
  /// The gains of step sizes, which train as long as grids are not fixed.
  [[nodiscard]] step_log_scale& steps() noexcept { return steps_; }
  [[nodiscard]] quant::fixed_grids<part>& grids() noexcept { return grids_; }
  [[nodiscard]] bool grids_fixed() const noexcept { return !grids_.empty(); }
  /// Bytes that quantizing the weights takes beside them.
  [[nodiscard]] std::size_t quantizer_bytes() const noexcept {
    return clipping_.bytes() + steps_.bytes() + grids_.bytes();
  }
  [[nodiscard]] std::size_t held_bytes() const noexcept {
    return masters_.bytes() + masters_.unit().size() * sizeof(float) + quantizer_bytes();
  }
  /// Shows a visitor the masters and the parameters of clipping; the gains of steps are `steps`.
  template <class V>
  void visit(const std::string&, V&& v) {
    v.tensor(masters_, use::master);
    if (!clipping_.empty()) v.tensor(clipping_, use::training_only);
  }
  /// Takes memory for what waits for it.
  void allocate() {
    masters_.allocate();
    if constexpr (clip_params > 0) clipping_.allocate();
    if constexpr (learns_steps) steps_.allocate();
  }

  /// Starts the clipping parameters from the ranges of the smoothed masters, unclipped: round-to-nearest.
  template <simd::kernels Kernels = simd::default_kernels>
  void init_clipping(const smoothing& smooth) {
    if constexpr (clip_params > 0) {
      constexpr inference_lane lane;
      matrix<float> scales;
      smooth.scales(lane, scales);
      std::vector<simd::range> ranges(clipping_.rows());
      for_each_range<Kernels>(lane, scales, [&](std::size_t r, std::size_t, std::size_t group, simd::range found) {
        simd::range& range = ranges[part::whole_tensor ? 0 : r * groups() + group];
        range = {std::min(range.min, found.min), std::max(range.max, found.max)};
      });
      for (std::size_t i = 0; i != ranges.size(); ++i)
        clipping_policy::init(ranges[i], part::bits, part::zeros, 1, 1, clipping_.values().row(i).data());
    }
  }
  /// Fixes the grids of a row, for a clipping policy that holds grids (clip::codes).
  void set_grids(std::size_t row, std::span<const simd::grid> grids)
    requires requires(const simd::grid& g, float* p) { clipping_policy::hold(g, p); }
  {
    static_assert(!part::whole_tensor, "nn::smoothed_linear: a per_tensor grid cannot be set row by row");
    for (std::size_t g = 0; g != grids.size(); ++g)
      clipping_policy::hold(grids[g], clipping_.values().row(row * groups() + g).data());
  }
  /// Fixes the codes of a row too: its masters become the centers of their cells, divided by the smoothing's s [in]
  /// (or nothing) so that smoothing leads back to them.
  void set_row(std::size_t row, std::span<const std::uint8_t> codes, std::span<const simd::grid> grids,
               std::span<const float> scales) {
    set_grids(row, grids);
    const auto w = masters_.values().row(row);
    quant::dequantize_row<part>(codes, grids.data(), w.data());
    for (std::size_t k = 0; k != scales.size(); ++k) w[k] /= scales[k];
  }
  /// The unit of each row of masters becomes its mean step size.
  void set_units(const smoothing& smooth) {
    masters_.unit().assign(out(), 0);
    quantize(smooth, [&](std::size_t row, const std::uint8_t*, const simd::grid* grids) {
      for (std::size_t g = 0; g != groups(); ++g)
        masters_.unit()[row] += grids[g].scale / static_cast<float>(groups());
    });
  }
  /// Fixes the grids where they are: no lane moves them any more, whatever the weights do.
  template <simd::kernels Kernels = simd::default_kernels>
  void fix_grids(const smoothing& smooth) {
    if (grids_fixed()) return;
    constexpr inference_lane lane;
    matrix<float> scales;
    smooth.scales(lane, scales);
    const auto whole = pass_grids<Kernels>(lane, scales);
    grids_.resize(part::whole_tensor ? 1 : out() * groups());
    if constexpr (part::whole_tensor)
      grids_.set(0, whole[0]);
    else
      for_each_range<Kernels>(lane, scales, [&](std::size_t r, std::size_t, std::size_t group, simd::range found) {
        const std::size_t i = r * groups() + group;
        grids_.set(i, quant::grid_of<part>(found, clip_params > 0 ? clipping_.values().row(i).data() : nullptr));
      });
    clipping_.release();
    if (steps_.neutral()) steps_.release();
  }

  /// The codes and grids that the masters lead to under a smoothing's s, as the forward pass makes them: calls
  /// f(first row, codes [rows, in], grids [rows * groups]) for each 16 rows.
  template <simd::kernels Kernels = simd::default_kernels, class F>
  void quantize_tiles(const smoothing& smooth, F&& f) const {
    constexpr inference_lane lane;
    matrix<float> scales;
    smooth.scales(lane, scales);
    const auto whole = pass_grids<Kernels>(lane, scales);
    std::vector<simd::grid> grids;
    detail::for_each_weight_tile(sequential{}, out(), [&](std::size_t first, std::size_t count) {
      auto& to = code_tile<part, void>::of_this_thread();
      quantize_tile<Kernels>(
          lane, scales, {}, whole, first, count, detail::scratch_of_this_thread<scratch>(), to, [&](std::size_t p) {
            const std::size_t row = p * simd::panel_width, rows = to.panel_rows(p);
            grids.clear();
            for (std::size_t r = row; r != row + rows; ++r)
              for (std::size_t g = 0; g != groups(); ++g) grids.push_back(to.grid(0, r, g));
            f(first + row, matrix_view<const std::uint8_t>(to.codes(0, 0), rows, in()), grids.data());
          });
    });
  }
  /// The same row by row: f(row, codes, grids).
  template <simd::kernels Kernels = simd::default_kernels, class F>
  void quantize(const smoothing& smooth, F&& f) const {
    quantize_tiles<Kernels>(smooth,
                            [&](std::size_t first, matrix_view<const std::uint8_t> codes, const simd::grid* grids) {
                              for (std::size_t r = 0; r != codes.rows(); ++r)
                                f(first + r, codes.row(r).data(), grids + r * groups());
                            });
  }

  /// The one grid of a per_tensor matrix on each lane, in a sweep of its own, since it needs the whole range; nothing
  /// for other granularities, and for grids that are fixed.
  template <class Kernels, lane_reader Lanes>
  [[nodiscard]] std::vector<quant::code_grid> pass_grids(const Lanes& lanes, const matrix<float>& scales) const {
    std::vector<quant::code_grid> grids;
    if constexpr (part::whole_tensor) {
      if (grids_fixed()) return grids;
      std::vector<simd::range> ranges(lanes.count());
      for_each_range<Kernels>(lanes, scales, [&](std::size_t, std::size_t lane, std::size_t, simd::range of_row) {
        simd::range& r = ranges[lane];
        r = {std::min(r.min, of_row.min), std::max(r.max, of_row.max)};
      });
      buffer<float> clipping(lanes.count() * clip_params);
      if constexpr (clip_params > 0) lanes.read(clipping_.view(), 0, clip_params, clipping.data());
      for (std::size_t lane = 0; lane != lanes.count(); ++lane)
        grids.push_back(quant::grid_of<part>(ranges[lane], clipping.data() + lane * clip_params));
    }
    return grids;
  }
  /// Makes the rows [first, first + count) ready on all lanes, in this thread's tile; `whole` is what `pass_grids`
  /// said.
  template <class Kernels, lane_reader Lanes>
  void make_tile(const Lanes& lanes, const linear_input<Scheme>& input, std::span<const quant::code_grid> whole,
                 std::size_t first, std::size_t count, scratch& work) const {
    auto& to = tile::of_this_thread();
    quantize_tile<Kernels>(lanes, input.scales, input.shifts, whole, first, count, work, to,
                           [&](std::size_t p) { to.template pack_panels<Kernels>(p); });
  }
  /// out [rows, count] = x · tile, and the epilogue, on one lane, where x are the rows of the input from `row` on.
  template <class Kernels>
  void multiply(const linear_input<Scheme>& input, std::size_t row, std::size_t tokens, std::size_t lane,
                epilogue finish, matrix_view<float> to, scratch&, simd::prefetch_hint next) const {
    tile::of_this_thread().template multiply<Kernels>(input, row, tokens, lane, finish, to, next);
  }
  [[nodiscard]] simd::prefetch_hint memory(std::size_t first, std::size_t count) const noexcept {
    return masters_.memory(first, count);
  }

 private:
  static constexpr std::size_t clip_params = clipping_policy::parameters;
  static constexpr std::size_t max_exact_depth = 32768;  ///< see simd::kernels, gemm of codes
  static constexpr bool learns_steps = clip_params > 0 && !part::whole_tensor;

  [[nodiscard]] std::size_t out() const noexcept { return masters_.rows(); }
  [[nodiscard]] std::size_t in() const noexcept { return masters_.cols(); }
  [[nodiscard]] std::size_t groups() const noexcept { return part::groups(in()); }

  /// Smooths and quantizes the masters of a tile on all lanes; calls done(p) when the rows of panel p are.
  template <class Kernels, lane_reader Lanes, class Activation, class Done>
  void quantize_tile(const Lanes& lanes, const matrix<float>& scales, const matrix<float>& shifts,
                     std::span<const quant::code_grid> whole, std::size_t first, std::size_t count, scratch& work,
                     code_tile<part, Activation>& to, Done&& done) const {
    to.reset(lanes.count(), count, in());
    if constexpr (clip_params > 0 && !part::whole_tensor) {
      const std::size_t row = groups() * clip_params;
      if (!grids_fixed()) {
        work.clipping.resize(lanes.count() * count * row);
        lanes.read(clipping_.view(), first * row, count * row, work.clipping.data());
      }
    }
    if constexpr (learns_steps)
      if (!steps_.empty()) steps_.factors(lanes, first, count, groups(), work.steps);
    for (std::size_t p = 0; p != to.panels(); ++p) {
      const std::size_t from = p * simd::panel_width;
      detail::sweep_tile<Kernels>(masters_, lanes, shifts, first, from, from + to.panel_rows(p), count, work,
                                  [&](std::size_t r, std::size_t lane, std::span<const lane_values> values) {
                                    quantize_row<Kernels>(values, scales, whole, lane, first, r, count, work, to);
                                  });
      done(p);
    }
  }
  /// Row `r` of the tile of `count` rows from `first` on, on the lanes from `lane` on that `values` are of.
  template <class Kernels, class Activation>
  void quantize_row(std::span<const lane_values> values, const matrix<float>& scales,
                    std::span<const quant::code_grid> whole, std::size_t lane, std::size_t first, std::size_t r,
                    std::size_t count, scratch& work, code_tile<part, Activation>& to) const {
    std::array<simd::weight_row, 2> rows;
    if constexpr (part::has_minima) work.values.reshape(rows.size(), in());
    for (std::size_t i = 0; i != values.size(); ++i) {
      rows[i] = detail::smoothed_row(values[i], scales, lane + i);
      if constexpr (part::has_minima) {
        Kernels::materialize(rows[i], in(), work.values.row(i).data());
        rows[i] = {work.values.row(i).data()};
      }
    }
    const auto grid_of = [&](std::size_t i, std::size_t group, std::size_t k, std::size_t n) {
      return grids_.empty() ? grid_of_group<Kernels>(detail::subrow(rows[i], k), n, whole, lane + i,
                                                     (lane + i) * count + r, group, work)
                            : grids_[part::whole_tensor ? 0 : (first + r) * groups() + group];
    };
    [[maybe_unused]] std::array<std::vector<simd::grid>, 2> shared;
    if constexpr (part::shares_scales)
      for (std::size_t i = 0; i != values.size(); ++i) {
        quant::for_each_group<part>(in(), [&](std::size_t group, std::size_t k, std::size_t n) {
          shared[i].push_back(grid_of(i, group, k, n).grid);
        });
        quant::share_scales<part>(shared[i]);
      }
    quant::for_each_group<part>(in(), [&](std::size_t group, std::size_t k, std::size_t n) {
      std::array<quant::code_grid, 2> grids;
      for (std::size_t i = 0; i != values.size(); ++i) {
        [[maybe_unused]] const std::size_t at = (lane + i) * count + r;
        grids[i] = grid_of(i, group, k, n);
        if constexpr (part::shares_scales) grids[i].grid = shared[i][group];
        simd::grid& stored = to.grid(lane + i, r, group) = grids[i].grid;
        if constexpr (learns_steps)
          if (!steps_.empty()) stored = quant::scaled<part>(stored, work.steps(at, group));
      }
      for (std::size_t first_code = k; first_code != k + n;) {  // a group is one part or several
        const std::size_t depth = std::min(to.part_size(), k + n - first_code);
        quantize_part<Kernels>(std::span(rows).first(values.size()), grids, lane, r, first_code, depth, to);
        first_code += depth;
      }
    });
    if constexpr (part::shares_scales && learns_steps)
      if (!steps_.empty())
        for (std::size_t i = 0; i != values.size(); ++i) share_learned(lane + i, r, shared[i], to);
  }
  /// Inputs [k, k + n) of row `r`, which are a part, on the lanes from `lane` on.
  template <class Kernels, class Activation>
  void quantize_part(std::span<const simd::weight_row> rows, const std::array<quant::code_grid, 2>& grids,
                     std::size_t lane, std::size_t r, std::size_t k, std::size_t n,
                     code_tile<part, Activation>& to) const {
    const auto codes = [&](std::size_t i) { return to.codes(lane + i, r) + k; };
    const auto sum = [&](std::size_t i) -> std::int32_t& { return to.sum(lane + i, r, k / to.part_size()); };
    if constexpr (part::has_minima) {
      for (std::size_t i = 0; i != rows.size(); ++i)
        sum(i) = quant::quantize_on<part, Kernels>({rows[i].values + k, n}, grids[i], codes(i));
      return;
    }
    std::array<simd::code_range, 2> ranges;
    for (std::size_t i = 0; i != rows.size(); ++i)
      ranges[i] = {grids[i].grid, grids[i].least, grids[i].greatest, to.offset(grids[i].grid.zero_point)};
    if (rows.size() == 2 && rows[0].moves() && rows[1].scale == -rows[0].scale) {
      const simd::weight_row forward = detail::subrow(rows[0], k), back = detail::subrow(rows[1], k);
      const auto sums = Kernels::quantize(
          simd::weight_pair{
              forward.values, forward.direction, forward.scale, {forward.smoothing, back.smoothing}, forward.signs},
          n, ranges.data(), codes(0), codes(1));
      for (std::size_t i = 0; i != 2; ++i) sum(i) = sums[i];
    } else {
      for (std::size_t i = 0; i != rows.size(); ++i)
        sum(i) = Kernels::quantize(detail::subrow(rows[i], k), n, ranges[i], codes(i));
    }
  }
  /// The steps of a row after their learned factors, as they are stored together. `grids` is scratch memory.
  template <class Activation>
  void share_learned(std::size_t lane, std::size_t r, std::vector<simd::grid>& grids,
                     code_tile<part, Activation>& to) const {
    for (std::size_t g = 0; g != groups(); ++g) grids[g] = to.grid(lane, r, g);
    quant::share_scales<part>(grids);
    for (std::size_t g = 0; g != groups(); ++g) to.grid(lane, r, g) = grids[g];
  }
  /// The grid of a group before the learned factor of its step; `at` is the row's place in the scratch.
  template <class Kernels>
  quant::code_grid grid_of_group(const simd::weight_row& row, std::size_t n, std::span<const quant::code_grid> whole,
                                 std::size_t lane, std::size_t at, std::size_t group, const scratch& work) const {
    if constexpr (part::whole_tensor) {
      return whole[lane];
    } else {
      simd::range range;
      if constexpr (clipping_policy::follows_range) range = Kernels::min_max(row, n);
      return quant::grid_of<part>(range, work.clipping.data() + (at * groups() + group) * clip_params);
    }
  }
  /// Calls f(row, lane, group, range) for the groups of the smoothed rows on all lanes, in a sweep of its own.
  template <class Kernels, lane_reader Lanes, class F>
  void for_each_range(const Lanes& lanes, const matrix<float>& scales, F&& f) const {
    sweep_scratch sweep;
    const auto visit = [&](std::size_t r, std::size_t lane, std::span<const lane_values> values) {
      for (std::size_t i = 0; i != values.size(); ++i) {
        const simd::weight_row row = detail::smoothed_row(values[i], scales, lane + i);
        quant::for_each_group<part>(in(), [&](std::size_t group, std::size_t k, std::size_t n) {
          f(r, lane + i, group, Kernels::min_max(detail::subrow(row, k), n));
        });
      }
    };
    lanes.sweep_rows(masters_.view(), 0, out(), sweep, visit);
  }

  trainable masters_, clipping_;
  step_log_scale steps_;
  quant::fixed_grids<part> grids_;
};

}  // namespace zoqat::nn
