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
#include <zoqat/nn/trainable.hpp>
#include <zoqat/nn/visit.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/params/lanes.hpp>
#include <zoqat/quant/packed_matrix.hpp>
#include <zoqat/quant/row.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::nn {

/// The weights [out, in] of a linear layer in deployment: packed codes and their grids, which all lanes share.
/// Nothing of them trains, unless `train_steps` says that the grids' step sizes do while codes stay (PEQA,
/// arXiv 2305.14152; QZO, arXiv 2505.13430).
template <class Scheme>
class packed_weight {
 public:
  using part = typename Scheme::weight_type;
  using tile = code_tile<part, typename Scheme::activation_type>;
  struct scratch : detail::tile_scratch {
    matrix<float> factors;  ///< [lanes * count, groups]
  };
  /// Codes and grids are, as long as steps do not train.
  static constexpr bool shared_by_lanes = true;

  /// Makes room, which `set_rows` or a file fills; `sum_codes` comes after that.
  packed_weight(std::size_t out, std::size_t in) : packed_(out, in) {}

  /// Stores rows from `first` on, as quant::packed_matrix::set_rows does.
  void set_rows(std::size_t first, matrix_view<const std::uint8_t> codes, const simd::grid* grids) {
    packed_.set_rows(first, codes, grids);
  }
  [[nodiscard]] const quant::packed_matrix<part>& codes() const noexcept { return packed_; }
  /// Sums the codes for products in integers.
  void sum_codes() {
    if constexpr (Scheme::quantizes_activations) {
      const std::size_t in = packed_.cols(), parts = parts_in_row();
      sums_.assign(detail::tiles_in(packed_.rows()) * parts * tile_width, 0);
      matrix<std::uint8_t> codes;
      detail::for_each_weight_tile(sequential{}, packed_.rows(), [&](std::size_t first, std::size_t count) {
        codes.reshape(count, in);
        packed_.read_rows(first, codes);
        for (std::size_t r = 0; r != count; ++r)
          quant::for_each_part<part, activation>(in, [&](const quant::product_part& p) {
            const std::int32_t offset = tile::offset(packed_.grid(first + r, p.weights).zero_point);
            sums_[first * parts + p.index * tile_width + r] =
                simd::default_kernels::sum(codes.row(r).data() + p.first, p.count) -
                static_cast<std::int32_t>(p.count) * offset;
          });
      });
    }
  }

  /// The logarithms of step sizes train from now on, as those of `step_log_scale`: a pass multiplies the grids by
  /// their factors, rounded as the scheme stores them. Throws value_error for a scheme whose grids are not stored one
  /// by one.
  void train_steps(parameter_ids& ids, const std::string& name) {
    require(!part::whole_tensor && !part::shares_scales,
            "{}: step sizes train where each grid has its own, and this scheme's share one", name);
    if (scaled()) return;
    steps_ = {ids, name, packed_.rows(), packed_.groups()};
    steps_.allocate();
  }
  [[nodiscard]] bool scaled() const noexcept { return !steps_.empty(); }
  /// Multiplies the grids by the factors that were trained: what is computed stays the same, and nothing trains.
  void fold_steps() {
    if (!scaled()) return;
    matrix<float> factors;
    steps_.factors(inference_lane{}, 0, packed_.rows(), packed_.groups(), factors);
    for (std::size_t r = 0; r != packed_.rows(); ++r)
      for (std::size_t g = 0; g != packed_.groups(); ++g)
        packed_.set_grid(r, g, quant::scaled<part>(packed_.grid(r, g), factors(r, g)));
    steps_ = {};
  }

  [[nodiscard]] std::size_t held_bytes() const noexcept { return packed_.bytes() + steps_.bytes(); }
  /// Shows a visitor what a file holds of the weights of the layer `name`.
  template <class V>
  void visit(const std::string& name, V&& v) {
    steps_.visit(v);
    if constexpr (visits_packed<V>) {
      std::vector<std::size_t> grids{packed_.panels(), packed_.groups(), simd::panel_width};
      if constexpr (part::whole_tensor) grids = {packed_.scales().size()};
      v.packed(name + ".codes", {packed_.panels(), packed_.panel_bytes()}, packed_.code_storage());
      v.packed(name + ".scales", grids, packed_.scales());
      if (!packed_.zero_points().empty()) v.packed(name + ".zero_points", grids, packed_.zero_points());
      if (!packed_.minima().empty()) v.packed(name + ".minima", grids, packed_.minima());
    }
  }

  /// Nothing has to be known before the tiles of a pass.
  template <class Kernels, lane_reader Lanes>
  [[nodiscard]] std::monostate pass_grids(const Lanes&, const matrix<float>&) const noexcept {
    return {};
  }
  /// Makes the rows [first, first + count) ready in this thread's tile.
  template <class Kernels, lane_reader Lanes>
  void make_tile(const Lanes& lanes, const linear_input<Scheme>& input, std::monostate, std::size_t first,
                 std::size_t count, scratch& work) const {
    if (scaled()) steps_.factors(lanes, first, count, packed_.groups(), work.factors);
    auto& to = tile::of_this_thread();
    to.reset(1, count, packed_.cols());
    to.template load_packed<Kernels>(packed_, first);
    if constexpr (Scheme::quantizes_activations)
      if (scaled() || !to.multiplies_packed_codes(input.codes.rows() / lanes.count()))
        std::copy_n(sums_.data() + first * parts_in_row(), parts_in_row() * tile_width, &to.sum(0, 0, 0));
  }
  /// out [rows, count] = x · tile, and the epilogue, where x are the rows of the input from `row` on.
  template <class Kernels>
  void multiply(const linear_input<Scheme>& input, std::size_t row, std::size_t tokens, std::size_t lane,
                epilogue finish, matrix_view<float> out, scratch& work, simd::prefetch_hint next) const {
    auto& from = tile::of_this_thread();
    if (scaled()) from.scale_packed(work.factors.row(lane * out.cols()).data());
    from.template multiply<Kernels>(input, row, tokens, 0, finish, out, next);
  }
  [[nodiscard]] simd::prefetch_hint memory(std::size_t first, std::size_t count) const noexcept {
    const std::size_t panels = (count + simd::panel_width - 1) / simd::panel_width;
    return {packed_.panel(first / simd::panel_width), panels * packed_.panel_bytes()};
  }

 private:
  using activation = typename Scheme::activation_type;

  [[nodiscard]] std::size_t parts_in_row() const noexcept { return quant::parts<part, activation>(packed_.cols()); }

  quant::packed_matrix<part> packed_;
  step_log_scale steps_;       // empty unless they train
  buffer<std::int32_t> sums_;  // of the codes, for products in integers: [tiles][parts][tile_width]
};

}  // namespace zoqat::nn
