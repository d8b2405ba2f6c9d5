// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/nn/trainable.hpp>
#include <zoqat/nn/visit.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

namespace zoqat::inline ZOQAT_ABI::nn {

/// The learnable step size Δ of eq. 5 apart from the grid that chooses the codes: a code c stands for
/// Δ · exp(g) · (c − z), where g = tensor + row + column + group. Moving g never flips a code, so the loss is smooth
/// in it, and its first three parts are few: the parameters from which a zeroth-order estimate learns most.
class step_log_scale {
 public:
  static constexpr int levels = 4;

  step_log_scale() = default;
  /// For a matrix of `rows` rows with `groups` grids each.
  step_log_scale(parameter_ids& ids, const std::string& name, std::size_t rows, std::size_t groups)
      : tensor_(ids, name + ".log_step.tensor", parameter_group::step_tensor, 1, 1),
        row_(ids, name + ".log_step.row", parameter_group::step_row, 1, rows) {
    if (groups < 2) return;
    column_ = {ids, name + ".log_step.column", parameter_group::step_column, 1, groups};
    group_ = {ids, name + ".log_step.group", parameter_group::step_group, rows, groups};
  }

  /// exp(g) of rows [first, first + count) on every lane: [lanes * count, groups].
  template <lane_reader Lanes>
  void factors(const Lanes& lanes, std::size_t first, std::size_t count, std::size_t groups,
               matrix<float>& out) const {
    out.reshape(lanes.count() * count, groups);
    matrix<float> tensor, column;
    read_all(lanes, tensor_, tensor);
    if (!column_.empty()) read_all(lanes, column_, column);
    if (group_.empty())
      std::ranges::fill(out.flat(), 0.0f);
    else
      lanes.read(group_.view(), first * groups, count * groups, out.data());
    buffer<float> row(lanes.count() * count);
    lanes.read(row_.view(), first, count, row.data());
    for (std::size_t r = 0; r != out.rows(); ++r)
      for (std::size_t g = 0; g != groups; ++g)
        out(r, g) =
            std::exp(out(r, g) + row[r] + tensor(r / count, 0) + (column.empty() ? 0.0f : column(r / count, g)));
  }

  template <class V>
  void visit(V&& v) {
    for (trainable* level : {&tensor_, &row_, &column_, &group_})
      if (!level->empty()) v.tensor(*level, use::training_only);
  }
  /// Takes memory for the levels that wait for it.
  void allocate() {
    for (trainable* level : {&tensor_, &row_, &column_, &group_})
      if (level->rows() != 0) level->allocate();
  }
  void freeze() noexcept {
    for (trainable* level : {&tensor_, &row_, &column_, &group_}) level->freeze();
  }
  void release() {
    for (trainable* level : {&tensor_, &row_, &column_, &group_}) level->release();
  }
  [[nodiscard]] bool empty() const noexcept { return tensor_.empty(); }
  [[nodiscard]] std::size_t bytes() const noexcept {
    return tensor_.bytes() + row_.bytes() + column_.bytes() + group_.bytes();
  }
  /// Every factor is one.
  [[nodiscard]] bool neutral() const noexcept {
    return std::ranges::all_of(std::array{&tensor_, &row_, &column_, &group_}, [](const trainable* level) {
      return std::ranges::all_of(level->values().flat(), [](float g) { return g == 0; });
    });
  }

 private:
  trainable tensor_, row_, column_, group_;
};

}  // namespace zoqat::nn
