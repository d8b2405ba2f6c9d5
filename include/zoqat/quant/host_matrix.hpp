// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/quant/packed_matrix.hpp>
#include <zoqat/quant/row.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::quant {

/// A host's matrix [out, in] on grids whose step sizes train: the grid of a row and group has the scale that it
/// started with, times exp(t + r + g), where t is of the whole matrix, r of the row, g of the group. The logarithms
/// are parameters of groups of their own (step_tensor, step_row, step_group), each a tensor of its own: few and
/// powerful, they take other ε than weights, and a zeroth-order estimate over few parameters is a good one.
///
/// The zero points stay, and minima move with their scales. Where weights are rounded to the grids anew, a smaller
/// step also clips them closer (eq. 5).
///
///   quant::host_matrix<quant::weight<3>> m(ptq::reconstruct_matrix<quant::weight<3>>(weights, moments).packed);
///   m.add_to(parameters, "layers.0.wq");                       // zo::parameter_list, zo::fine_tuner, …
///   … in the loss: m.materialize(buffer);                      // then run the forward pass on `buffer`
///   … at the end: engine.deploy(m.deployed());                 // the same values, in packed codes and scales
template <class Weight>
class host_matrix {
  static_assert(std::is_same_v<typename Weight::clipping, clip::none>,
                "quant::host_matrix: its step sizes are parameters of their own: give quant::weight the clipping "
                "policy quant::clip::none");
  static_assert(
      !Weight::shares_scales,
      "quant::host_matrix: its step sizes train each on its own: give quant::weight another scale format than "
      "quant::shared_scale");

 public:
  /// Codes and grids that were found already, as by ptq::reconstruct_matrix.
  explicit host_matrix(packed_matrix<Weight> codes)
      : codes_(std::move(codes)),
        tensor_(1, 0.0f),
        rows_(per_row ? codes_.rows() : 0, 0.0f),
        groups_(per_row && codes_.groups() > 1 ? codes_.rows() * codes_.groups() : 0, 0.0f) {}
  /// Weights rounded to nearest.
  explicit host_matrix(matrix_view<const float> weights) : host_matrix(quantize<Weight>(weights)) {}

  [[nodiscard]] std::size_t rows() const noexcept { return codes_.rows(); }
  [[nodiscard]] std::size_t cols() const noexcept { return codes_.cols(); }

  /// The logarithms, 0 at the start: one; one for each row; one for each group, row after row. A matrix with a grid
  /// for each row has none for groups, and one with a single grid has that of the tensor alone.
  [[nodiscard]] std::span<float> tensor_step() noexcept { return tensor_; }
  [[nodiscard]] std::span<float> row_steps() noexcept { return rows_; }
  [[nodiscard]] std::span<float> group_steps() noexcept { return groups_; }

  /// Hands the parameters to whatever has zo::parameter_list's `add`, as name.step_tensor, name.step_row and
  /// name.step_group. This object may be moved then, but must outlive the list.
  template <class List>
  void add_to(List& list, const std::string& name) {
    const auto add = [&] {
      list.add(name + ".step_tensor", tensor_step(), parameter_group::step_tensor);
      if (!rows_.empty()) list.add(name + ".step_row", row_steps(), parameter_group::step_row);
      if (!groups_.empty()) list.add(name + ".step_group", group_steps(), parameter_group::step_group);
    };
    if constexpr (requires { list.all_or_none(add); })
      list.all_or_none(add);
    else
      add();
  }

  /// The grid of a row and group as the parameters are now.
  [[nodiscard]] simd::grid grid(std::size_t row, std::size_t group) const noexcept {
    const simd::grid g = codes_.grid(row, group);
    float log_factor = tensor_[0];
    if (!rows_.empty()) log_factor += rows_[row];
    if (!groups_.empty()) log_factor += groups_[row * codes_.groups() + group];
    return log_factor != 0 ? scaled<Weight>(g, std::exp(log_factor)) : g;
  }

  /// Writes the weights that the codes stand for with the parameters as they are now: [out, in]. Throws value_error
  /// for another shape.
  template <simd::kernels Kernels = simd::default_kernels, class Executor = sequential>
    requires executor<std::remove_cvref_t<Executor>>
  void materialize(matrix_view<float> out, Executor&& threads = {}) const {
    require_shape(out.rows(), out.cols());
    for_each_panel(threads, [&](std::size_t first, std::size_t count) {
      matrix<std::uint8_t> codes(count, cols());
      codes_.template read_rows<Kernels>(first, codes);
      for (std::size_t r = 0; r != count; ++r)
        dequantize_row<Weight, Kernels>(codes.row(r), grids_of(first + r).data(), out.row(first + r).data());
    });
  }
  /// The same for weights that train beside the step sizes: rounds them to the grids, and forgets the codes there
  /// were; so do it once more after a run, whose last weights may be of a point that was tried, before `deployed`.
  /// `out` may be `weights` itself, row for row, or lie apart from it. Throws value_error for weights that are not
  /// finite too.
  template <simd::kernels Kernels = simd::default_kernels, class Executor = sequential>
    requires executor<std::remove_cvref_t<Executor>>
  void materialize(matrix_view<const float> weights, matrix_view<float> out, Executor&& threads = {}) {
    require_shape(weights.rows(), weights.cols());
    require_shape(out.rows(), out.cols());
    detail::require_apart_or_same("host_matrix::materialize", weights, out);
    for (std::size_t r = 0; r != rows(); ++r)
      detail::require_finite_row<Kernels>("host_matrix::materialize", r, weights.row(r));
    for_each_panel(threads, [&](std::size_t first, std::size_t count) {
      matrix<std::uint8_t> codes(count, cols());
      std::vector<simd::grid> starts;
      for (std::size_t r = 0; r != count; ++r) {
        const auto grids = grids_of(first + r);
        for_each_group<Weight>(cols(), [&](std::size_t group, std::size_t at, std::size_t n) {
          starts.push_back(codes_.grid(first + r, group));
          quantize_on<Weight, Kernels>(weights.row(first + r).subspan(at, n),
                                       {grids[group], 0, (1 << Weight::bits) - 1}, codes.row(r).data() + at);
        });
        dequantize_row<Weight, Kernels>(codes.row(r), grids.data(), out.row(first + r).data());
      }
      codes_.template set_rows<Kernels>(first, codes, starts.data());
    });
  }

  /// Codes and grids with the step sizes in their scales: what stands for the values that `materialize` wrote last.
  [[nodiscard]] packed_matrix<Weight> deployed() const {
    packed_matrix<Weight> result = codes_;
    if constexpr (Weight::whole_tensor) {
      if (!codes_.empty()) result.set_grid(0, 0, grid(0, 0));
    } else {
      for (std::size_t row = 0; row != rows(); ++row)
        for (std::size_t group = 0; group != codes_.groups(); ++group) result.set_grid(row, group, grid(row, group));
    }
    return result;
  }

 private:
  static constexpr bool per_row = !Weight::whole_tensor;

  void require_shape(std::size_t r, std::size_t c) const {
    require(r == rows() && c == cols(), "host_matrix: a matrix [{}, {}] was given where [{}, {}] was expected", r, c,
            rows(), cols());
  }
  [[nodiscard]] std::vector<simd::grid> grids_of(std::size_t row) const {
    std::vector<simd::grid> grids(codes_.groups());
    for (std::size_t group = 0; group != grids.size(); ++group) grids[group] = grid(row, group);
    return grids;
  }
  template <class Executor, class F>
  void for_each_panel(Executor& threads, F&& f) const {
    threads.parallel_for(codes_.panels(), [&](std::size_t panel) {
      const std::size_t first = panel * simd::panel_width;
      f(first, std::min(simd::panel_width, rows() - first));
    });
  }

  packed_matrix<Weight> codes_;
  buffer<float> tensor_, rows_, groups_;
};

}  // namespace zoqat::quant
