// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/linear/float_tile.hpp>
#include <zoqat/nn/linear/linear_input.hpp>
#include <zoqat/nn/linear/step_log_scale.hpp>
#include <zoqat/nn/linear/tile_rows.hpp>
#include <zoqat/nn/linear/weight_tile.hpp>
#include <zoqat/nn/trainable.hpp>
#include <zoqat/nn/visit.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/quant/scheme.hpp>
#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <variant>

namespace zoqat::inline ZOQAT_ABI::nn {

/// A matrix in a format of somebody else's, such as the blocks of a file, which owns its bytes and writes them again.
///   rows(), cols(), bytes()
///   steps()                                   numbers in a row of which the weights near them are multiples, so that
///                                             factors on them scale these weights; 0 where the format has none
///   read_row(r, values, factors, out)         the numbers that row r stands for once its weights have become those
///                                             of the format, with the steps that it has, that are nearest to
///                                             `values` (null: the weights stay), and its steps have been multiplied
///                                             by `factors` (empty: by 1) and rounded as the format has them. `out`
///                                             may be `values`.
///   write_row(r, values, factors, bytes)      the same row in the format
///   unit(r)                                   how far apart its numbers lie, about
template <class M>
concept stored_matrix = std::movable<M> && std::default_initializable<M> &&
                        requires(const M& m, std::size_t r, const float* values, std::span<const float> factors,
                                 float* out, std::span<std::byte> bytes) {
                          { m.rows() } -> std::same_as<std::size_t>;
                          { m.cols() } -> std::same_as<std::size_t>;
                          { m.steps() } -> std::same_as<std::size_t>;
                          { m.bytes() } -> std::same_as<std::span<const std::byte>>;
                          { m.read_row(r, values, factors, out) };
                          { m.write_row(r, values, factors, bytes) };
                          { m.unit(r) } -> std::same_as<float>;
                        };

/// The weights of linear layers stay in a format of somebody else's while the model trains; what is computed with
/// them is computed in floats.
template <stored_matrix Matrix>
struct stored : quant::full_precision {
  using matrix_type = Matrix;
};

/// The weights [out, in] of a linear layer as they are stored elsewhere. What trains are factors on their steps, and
/// if asked for the weights themselves, which then are masters that each pass rounds to the format. A pass computes
/// with the numbers that the format stands for after that, and `write_row` writes these: what is read from there is
/// what was trained, bit for bit.
template <stored_matrix Matrix>
class stored_weight {
 public:
  struct scratch : float_tile {
    matrix<float> factors;  ///< [lanes * count, steps]
  };
  static constexpr bool shared_by_lanes = false;

  /// Waits for `take`. The parameters that come with the matrix are those after `ids`, which skips them.
  stored_weight(trainable masters, parameter_ids& ids, const std::string& name)
      : name_(name), masters_(std::move(masters)), ids_(ids) {
    for (int level = 0; level != step_log_scale::levels; ++level) static_cast<void>(ids.next());
    masters_.release();
    masters_.sweep(masters_.cols());
  }

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// The masters, which are empty unless `train_weights` made them.
  [[nodiscard]] trainable& masters() noexcept { return masters_; }
  [[nodiscard]] const trainable& masters() const noexcept { return masters_; }
  [[nodiscard]] const Matrix& stored() const noexcept { return matrix_; }
  [[nodiscard]] std::size_t held_bytes() const noexcept {
    return matrix_.bytes().size() + masters_.bytes() + masters_.unit().size() * sizeof(float) + steps_.bytes();
  }

  /// Takes the matrix over. Throws value_error for one of another size.
  void take(Matrix matrix) {
    require(matrix.rows() == masters_.rows() && matrix.cols() == masters_.cols(),
            "{}: a matrix [{}, {}], but [{}, {}] is wanted", name_, matrix.rows(), matrix.cols(), masters_.rows(),
            masters_.cols());
    matrix_ = std::move(matrix);
    if (matrix_.steps() == 0) return;
    parameter_ids ids = ids_;
    steps_ = {ids, name_, matrix_.rows(), matrix_.steps()};
    steps_.allocate();
  }
  /// Makes masters of the weights, unless they are there, which then train too, in units of how far apart their
  /// numbers lie.
  void train_weights() {
    if (!masters_.empty()) return;
    masters_.allocate();
    masters_.unit().resize(masters_.rows());
    for (std::size_t r = 0; r != masters_.rows(); ++r) {
      matrix_.read_row(r, nullptr, {}, masters_.values().row(r).data());
      masters_.unit()[r] = matrix_.unit(r);
    }
  }
  /// Nothing trains from now on.
  void freeze() noexcept {
    masters_.freeze();
    steps_.freeze();
  }
  /// Row `r` as it stands, in the format.
  void write_row(std::size_t r, std::span<std::byte> bytes) const {
    matrix<float> factors;
    if (!steps_.empty()) steps_.factors(inference_lane{}, r, 1, matrix_.steps(), factors);
    matrix_.write_row(r, masters_.empty() ? nullptr : masters_.values().row(r).data(), factors.flat(), bytes);
  }

  template <class V>
  void visit(const std::string&, V&& v) {
    if (!masters_.empty()) v.tensor(masters_, use::training_only);
    steps_.visit(v);
  }
  template <class F>
  void for_each_constant(F&& f) const {
    f(matrix_.bytes());
  }

  /// Nothing has to be known before the tiles of a pass.
  template <class Kernels, lane_reader Lanes>
  [[nodiscard]] std::monostate pass_grids(const Lanes&, const matrix<float>&) const noexcept {
    return {};
  }
  /// Reads the rows [first, first + count) on all lanes.
  template <class Kernels, lane_reader Lanes, class Scheme>
  void make_tile(const Lanes& lanes, const linear_input<Scheme>& input, std::monostate, std::size_t first,
                 std::size_t count, scratch& to) const {
    to.reset(lanes.count(), count, matrix_.cols());
    if (!steps_.empty()) steps_.factors(lanes, first, count, matrix_.steps(), to.factors);
    const auto factors = [&](std::size_t lane, std::size_t r) -> std::span<const float> {
      if (steps_.empty()) return {};
      return to.factors.row(lane * count + r);
    };
    if (!masters_.empty()) {
      const auto read = [&](std::size_t r, std::size_t first_lane, std::span<const lane_values> values) {
        for (std::size_t i = 0; i != values.size(); ++i) {
          const std::size_t lane = first_lane + i;
          float* const row = to.row(lane, r);
          Kernels::materialize(detail::smoothed_row(values[i], {}, lane), matrix_.cols(), row);
          matrix_.read_row(first + r, row, factors(lane, r), row);
        }
      };
      return detail::sweep_tile<Kernels>(masters_, lanes, input.shifts, first, 0, count, count, to, read);
    }
    for (std::size_t r = 0; r != count; ++r)
      for (std::size_t lane = 0; lane != lanes.count(); ++lane)
        if (lane != 0 && std::ranges::equal(factors(lane, r), factors(0, r)))
          std::copy_n(to.row(0, r), matrix_.cols(), to.row(lane, r));
        else
          matrix_.read_row(first + r, nullptr, factors(lane, r), to.row(lane, r));
  }
  /// out [rows, count] = x · tile, and the epilogue, on one lane, where x are the rows of the input from `row` on.
  template <class Kernels, class Scheme>
  void multiply(const linear_input<Scheme>& input, std::size_t row, std::size_t tokens, std::size_t lane,
                epilogue finish, matrix_view<float> out, scratch& from, simd::prefetch_hint) const {
    from.template multiply<Kernels>(input.values.row_block(row, out.rows()), tokens, lane, finish, out);
  }
  [[nodiscard]] simd::prefetch_hint memory(std::size_t first, std::size_t count) const noexcept {
    const std::size_t row = matrix_.bytes().size() / matrix_.rows();
    return {matrix_.bytes().data() + first * row, count * row};
  }

 private:
  std::string name_;
  trainable masters_;
  parameter_ids ids_;
  step_log_scale steps_;
  Matrix matrix_;
};

}  // namespace zoqat::nn
