// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/linear/linear_input.hpp>
#include <zoqat/quant/packed_matrix.hpp>
#include <zoqat/quant/row.hpp>
#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::nn {

/// Output channels that are made ready and multiplied at a time: two panels, what the registers of the widest target
/// hold. Their codes stay in a core's cache while every token passes by.
inline constexpr std::size_t tile_width = 2 * simd::panel_width;

/// How the product is added to the outputs C: C is accumulated into or overwritten, and an optional bias [columns] is
/// added.
struct epilogue {
  const float* bias = nullptr;
  bool accumulate = false;
  [[nodiscard]] float of(matrix_view<const float> c, std::size_t m, std::size_t j) const noexcept {
    return (accumulate ? c(m, j) : 0.0f) + (bias ? bias[j] : 0.0f);
  }
};

/// A tile of `count` <= tile_width rows of weights [count, in] on each of `lanes` lanes, between the masters (or the
/// packed codes) and a product. Scratch of a thread, kept from tile to tile; nothing in it outlives a tile.
///
/// `Weight` and `Activation` are parts of a scheme, the latter void for products in floats, which dequantize. From
/// codes that are multiplied in integers simd::panel_offset is taken.
template <class Weight, class Activation>
class code_tile {
  static constexpr bool in_integers = !std::is_void_v<Activation>;

 public:
  [[nodiscard]] static code_tile& of_this_thread() {
    thread_local code_tile tile;
    return tile;
  }
  void reset(std::size_t lanes, std::size_t count, std::size_t in) {
    lanes_ = lanes, count_ = count, in_ = in, groups_ = Weight::groups(in);
    parts_ = quant::parts<Weight, Activation>(in);
    packed_ = source_ = nullptr;
    factors_ = nullptr;
    codes_.resize(lanes * simd::panel_width * in);
    grids_.resize(lanes * groups_ * tile_width);
    sums_.resize(lanes * parts_ * tile_width);
    panels_.resize(lanes * lane_size());
  }
  [[nodiscard]] std::size_t panels() const noexcept { return (count_ + simd::panel_width - 1) / simd::panel_width; }
  [[nodiscard]] std::size_t panel_rows(std::size_t p) const noexcept {
    return std::min(simd::panel_width, count_ - p * simd::panel_width);
  }

  /// The codes of a row on a lane, less their offsets: of the panel in the making, which `pack_panels` takes over.
  [[nodiscard]] std::uint8_t* codes(std::size_t lane, std::size_t row) noexcept {
    return codes_.data() + (lane * simd::panel_width + row % simd::panel_width) * in_;
  }
  [[nodiscard]] simd::grid& grid(std::size_t lane, std::size_t row, std::size_t group) noexcept {
    return grids_[(lane * groups_ + group) * tile_width + row];
  }
  /// Depth of the parts that are multiplied apart, and have sums.
  [[nodiscard]] std::size_t part_size() const noexcept { return quant::part_size<Weight, Activation>(in_); }
  /// The sum of a part's bytes in `codes`.
  [[nodiscard]] std::int32_t& sum(std::size_t lane, std::size_t row, std::size_t part) noexcept {
    return sums_[(lane * parts_ + part) * tile_width + row];
  }
  [[nodiscard]] static constexpr std::int32_t offset(std::int32_t zero_point) noexcept {
    return in_integers ? simd::panel_offset(Weight::bits, zero_point) : 0;
  }

  /// Makes panel `p` of the rows in `codes` on all lanes, while they are in the first level of the cache.
  template <simd::kernels Kernels>
  void pack_panels(std::size_t p) {
    for (std::size_t lane = 0; lane != lanes_; ++lane) {
      const matrix_view<const std::uint8_t> rows(codes(lane, 0), panel_rows(p), in_);
      for_each_panel([&](std::size_t part, std::size_t k, std::size_t n) {
        Kernels::pack_panel(rows.col_block(k, n), panel(lane, part, p, n));
      });
    }
  }
  /// Takes packed rows for lane 0. If they can be unpacked part by part they stay where they are until they are
  /// multiplied.
  template <simd::kernels Kernels>
  void load_packed(const quant::packed_matrix<Weight>& packed, std::size_t first) {
    source_ = &packed, first_panel_ = first / simd::panel_width;
    if (blocks_hold_groups() || (in_integers && part_size() % 4 == 0)) {
      packed_ = &packed;
      return;
    }
    read_grids(packed, first);
    for (std::size_t p = 0; p != panels(); ++p) {
      const std::size_t row = p * simd::panel_width;
      packed.template read_rows<Kernels>(first + row, {codes(0, 0), panel_rows(p), in_});
      for (std::size_t r = row; r != row + panel_rows(p); ++r)
        quant::for_each_group<Weight>(in_, [&](std::size_t g, std::size_t k, std::size_t n) {
          for (std::size_t i = k; i != k + n; ++i)
            codes(0, r)[i] = static_cast<std::uint8_t>(codes(0, r)[i] - offset(grid(0, r, g).zero_point));
        });
      pack_panels<Kernels>(p);
    }
  }

  /// The products that follow are of packed rows whose grids are scaled by `factors` [count, groups], which must stay
  /// until then.
  void scale_packed(const float* factors) noexcept {
    factors_ = factors;
    if (!packed_) read_grids(*source_, first_panel_ * simd::panel_width);
  }
  /// The grids of packed rows, for products that do not read them where they are.
  void read_grids(const quant::packed_matrix<Weight>& packed, std::size_t first) noexcept {
    for (std::size_t r = 0; r != count_; ++r)
      for (std::size_t g = 0; g != groups_; ++g) {
        grid(0, r, g) = packed.grid(first + r, g);
        if (factors_) grid(0, r, g) = quant::scaled<Weight>(grid(0, r, g), factors_[r * groups_ + g]);
      }
  }

  /// Every group, and every part, starts with a block of its packed panel, so that it can be used where it is.
  [[nodiscard]] bool blocks_hold_groups() const noexcept {
    return parts_ == 1 || part_size() % simd::block_depth == 0;
  }

  /// Whether a product of so many tokens on a lane reads codes where they are packed: then it needs no sums of
  /// theirs.
  [[nodiscard]] bool multiplies_packed_codes(std::size_t tokens) const noexcept {
    return fits_packed_codes && packed_ && !factors_ && tokens <= few_tokens &&
           (parts_ == 1 || part_size() % (simd::block_depth / 2) == 0);
  }

  /// c = a · tile, and the epilogue, for a scheme with quantized weights, by that product of the four below which
  /// suits it.
  template <simd::kernels Kernels, class Scheme>
  void multiply(const linear_input<Scheme>& input, std::size_t row, std::size_t tokens, std::size_t lane,
                epilogue finish, matrix_view<float> c, [[maybe_unused]] simd::prefetch_hint next) {
    if constexpr (in_integers) {
      if constexpr (fits_packed_codes)
        if (multiplies_packed_codes(tokens)) return multiply_packed_codes<Kernels>(input, row, finish, c);
      multiply_codes<Kernels>(input, row, lane, finish, c, next);
    } else if (tokens <= few_tokens && blocks_hold_groups())
      multiply_packed<Kernels>(input, row, lane, finish, c);
    else
      multiply_values<Kernels>(input, row, tokens, lane, finish, c);
  }

  /// c = a · tile, and the epilogue, in integers, part by part from the first on: c is [rows, count], `row` the first
  /// row of the input, `next` what to ask memory for meanwhile. For tiles with offsets.
  template <simd::kernels Kernels, class Scheme>
  void multiply_codes(const linear_input<Scheme>& input, std::size_t row, std::size_t lane, epilogue finish,
                      matrix_view<float> c, simd::prefetch_hint next) {
    if (packed_) unpack_parts<Kernels>();
    if constexpr (quant::detail::is_grouped<Activation>)
      multiply_groups<Kernels>(input, row, lane, finish, c);
    else
      multiply_parts<Kernels>(input, row, lane, finish, c, next);
  }

  /// The same for few tokens, with weights as they are packed: the same bits.
  template <simd::kernels Kernels, class Scheme>
  void multiply_packed_codes(const linear_input<Scheme>& input, std::size_t row, epilogue finish,
                             matrix_view<float> c) {
    for (std::size_t p = 0; p != panels(); ++p) {
      const std::size_t j = p * simd::panel_width;
      const panel_grids g = grids_of_panel<Kernels>(0, p);
      for (std::size_t first = 0; first < c.rows(); first += few_tokens) {
        const std::size_t count = std::min(few_tokens, c.rows() - first), at = row + first;
        float sums[few_tokens * simd::panel_width] = {};
        const matrix_view<float> grown(sums, count, simd::panel_width);
        for (std::size_t m = 0; m != count; ++m)
          for (std::size_t i = 0; i != panel_rows(p); ++i) grown(m, i) = finish.of(c, first + m, j + i);
        Kernels::template add_packed_parts<Activation::bits, bits>(
            {input.codes.row_block(at, count), input.grids.view().col_block(at, count),
             input.code_sums.view().col_block(at, count), part_size(), Activation::group_size(in_),
             packed_->panel(first_panel_ + p), Weight::group_size(in_), g.scales, g.zero_points, g.zero_point},
            grown);
        if constexpr (Weight::has_minima)
          Kernels::subtract_products(input.part_sums.view().row_block(at, count), part_minima(g.minima), grown);
        for (std::size_t m = 0; m != count; ++m)
          std::copy_n(grown.row(m).data(), panel_rows(p), c.row(first + m).data() + j);
      }
    }
  }

  /// The same in floats, with dequantized weights. Rows come in lanes of `tokens`: each is a product of its own, so
  /// that equal lanes have equal sums. For tiles without offsets.
  template <simd::kernels Kernels, class Scheme>
  void multiply_values(const linear_input<Scheme>& input, std::size_t row, std::size_t tokens, std::size_t lane,
                       epilogue finish, matrix_view<float> c) {
    if (packed_) read_grids(*packed_, first_panel_ * simd::panel_width);
    float_panels_.resize(panels() * simd::float_panel_size(in_));
    for (std::size_t p = 0; p != panels(); ++p) {
      if (packed_) unpack_panel<Kernels>(p);
      quant::for_each_group<Weight>(in_, [&](std::size_t group, std::size_t k, std::size_t n) {
        Kernels::dequantize_panel(panel(lane, 0, p, in_), k, n, &grid(lane, p * simd::panel_width, group),
                                  float_panels_.data() + p * simd::float_panel_size(in_) + k * simd::panel_width);
      });
    }
    for (std::size_t m = 0; m != c.rows(); m += tokens)
      Kernels::gemm(input.values.row_block(row + m, tokens), float_panels_.data(), finish.bias, finish.accumulate,
                    c.row_block(m, tokens));
  }

  /// The same for few tokens, with weights as they are packed: Σ_k x (c − z) s = s (Σ x c − z Σ x), group by group,
  /// less m Σ x for minima m.
  /// For tiles without offsets whose blocks hold the groups.
  template <simd::kernels Kernels, class Scheme>
  void multiply_packed(const linear_input<Scheme>& input, std::size_t row, std::size_t lane, epilogue finish,
                       matrix_view<float> c) {
    for (std::size_t p = 0; p != panels(); ++p) {
      const std::uint8_t* const panel = packed_panel<Kernels>(lane, p);
      const panel_grids g = grids_of_panel<Kernels>(lane, p);
      const std::size_t first = p * simd::panel_width;
      for (std::size_t m = 0; m != c.rows(); ++m) {
        float totals[simd::panel_width] = {};
        Kernels::template add_groups<bits>({input.values.row(row + m).data(), in_, Weight::group_size(in_), panel,
                                            input.value_sums.row(0).data() + row + m, input.value_sums.cols(),
                                            g.scales, g.zero_points, g.zero_point, g.minima},
                                           totals);
        for (std::size_t j = 0; j != panel_rows(p); ++j) c(m, first + j) = finish.of(c, m, first + j) + totals[j];
      }
    }
  }

 private:
  static constexpr int bits = Weight::bits;
  /// Whether codes of inputs are so near to their zero points that their differences are signed bytes.
  static constexpr bool fits_packed_codes = [] {
    if constexpr (in_integers)
      return Activation::symmetric || Activation::bits < 8;
    else
      return false;
  }();

  /// Where the storage of the packed matrix has the grids of panel p.
  [[nodiscard]] std::size_t first_grid(std::size_t p) const noexcept {
    return packed_->grid_index((first_panel_ + p) * simd::panel_width, 0);
  }
  /// The grids of a panel as products with packed weights read them, each [groups][16]. Zero points may be null, and
  /// then they are all `zero_point`; minima are null where there are none.
  struct panel_grids {
    const float* scales;
    const std::uint8_t* zero_points;
    std::int32_t zero_point;
    const float* minima;
  };
  /// Those of panel p: where they are stored, as far as they are stored so, or in this tile's scratch.
  template <simd::kernels Kernels>
  [[nodiscard]] panel_grids grids_of_panel(std::size_t lane, std::size_t p) {
    if (!packed_ || Weight::whole_tensor || factors_) return copied_grids(lane, p);
    panel_grids g{stored<Kernels>(packed_->scales(), p, scales_), nullptr, 1 << (bits - 1), nullptr};
    if constexpr (Weight::has_minima)
      g.zero_point = 0, g.minima = stored<Kernels>(packed_->minima(), p, minima_);
    else if constexpr (!Weight::symmetric)
      g.zero_points = packed_->zero_points().data() + first_grid(p);
    return g;
  }
  template <simd::kernels Kernels, class T>
  [[nodiscard]] const float* stored(std::span<const T> all, std::size_t p, buffer<float>& scratch) const {
    if constexpr (std::same_as<T, float>) {
      return all.data() + first_grid(p);
    } else {
      scratch.resize(groups_ * simd::panel_width);
      Kernels::widen(all.data() + first_grid(p), scratch.size(), scratch.data());
      return scratch.data();
    }
  }
  [[nodiscard]] panel_grids copied_grids(std::size_t lane, std::size_t p) {
    const std::size_t count = groups_ * simd::panel_width;
    scales_.resize(count), minima_.resize(count), grid_codes_.resize(count);
    for (std::size_t i = 0; i != count; ++i) {
      const std::size_t row = p * simd::panel_width + i % simd::panel_width;
      const simd::grid g = copied_grid(lane, row, i / simd::panel_width);
      scales_[i] = g.scale, minima_[i] = g.minimum, grid_codes_[i] = static_cast<std::uint8_t>(g.zero_point);
    }
    return {scales_.data(), grid_codes_.data(), 0, Weight::has_minima ? minima_.data() : nullptr};
  }
  [[nodiscard]] simd::grid copied_grid(std::size_t lane, std::size_t row, std::size_t group) {
    if (!packed_) return grid(lane, row, group);
    if (Weight::whole_tensor) return packed_->grid(0, 0);
    if (row >= count_) return {};
    return quant::scaled<Weight>(packed_->grid(first_panel_ * simd::panel_width + row, group),
                                 factors_[row * groups_ + group]);
  }
  /// The minima of parts, [parts][16], from those of groups.
  [[nodiscard]] const float* part_minima(const float* minima) {
    if (parts_ == groups_) return minima;
    float_panels_.resize(parts_ * simd::panel_width);
    quant::for_each_part<Weight, Activation>(in_, [&](const quant::product_part& part) {
      std::copy_n(minima + part.weights * simd::panel_width, simd::panel_width,
                  float_panels_.data() + part.index * simd::panel_width);
    });
    return float_panels_.data();
  }

  /// The product with inputs that have a grid for each token.
  template <simd::kernels Kernels, class Scheme>
  void multiply_parts(const linear_input<Scheme>& input, std::size_t row, std::size_t lane, epilogue finish,
                      matrix_view<float> c, simd::prefetch_hint next) {
    fill_columns(lane);
    quant::for_each_part<Weight, Activation>(in_, [&](const quant::product_part& part) {
      const bool begins = part.index == 0;
      Kernels::template gemm<Activation::bits, bits>(
          input.codes.row_block(row, c.rows()).col_block(part.first, part.count), input.grids.row(0).data() + row,
          bits == 8 ? input.code_sums.row(part.index).data() + row : nullptr, panel(lane, part.index, 0, part.count),
          columns(lane, part.index), begins ? finish.bias : nullptr, finish.accumulate || !begins, c,
          begins ? next : simd::prefetch_hint{});
    });
  }
  /// The product with inputs that have several grids. Sums of a few rows at a time grow close together, since rows of
  /// c that are far apart may fall on the same lines of a cache.
  template <simd::kernels Kernels, class Scheme>
  void multiply_groups(const linear_input<Scheme>& input, std::size_t row, std::size_t lane, epilogue finish,
                       matrix_view<float> c) {
    constexpr std::size_t rows = 64;
    alignas(alignment) float sums[rows * tile_width] = {};
    fill_columns(lane);
    if constexpr (Weight::has_minima) fill_minima(lane);
    for (std::size_t first = 0; first < c.rows(); first += rows) {
      const std::size_t count = std::min(rows, c.rows() - first), at = row + first;
      const matrix_view<float> grown(sums, count, panels() * simd::panel_width, tile_width);
      for (std::size_t m = 0; m != count; ++m)
        for (std::size_t j = 0; j != count_; ++j) grown(m, j) = finish.of(c, first + m, j);
      matrix_view<const std::int32_t> row_sums;
      if constexpr (bits == 8) row_sums = input.code_sums.view().col_block(at, count);
      Kernels::template add_parts<Activation::bits, bits>(
          {input.codes.row_block(at, count), input.grids.view().col_block(at, count), row_sums, part_size(),
           Activation::group_size(in_), panels_.data() + lane * lane_size(), columns(lane, 0), tile_width},
          grown);
      if constexpr (Weight::has_minima) subtract_minima<Kernels>(input, at, grown);
      for (std::size_t m = 0; m != count; ++m) std::copy_n(grown.row(m).data(), count_, c.row(first + m).data());
    }
  }
  /// Lays out scales, and zero points where the offsets are others, as a product in integers reads them.
  void fill_columns(std::size_t lane) {
    scales_.resize(parts_ * tile_width);
    if constexpr (bits == 8) zero_points_.resize(parts_ * tile_width);
    quant::for_each_part<Weight, Activation>(in_, [&](const quant::product_part& part) {
      const simd::grid* const grids = &grids_[(lane * groups_ + part.weights) * tile_width];
      const std::size_t at = part.index * tile_width;
      for (std::size_t j = 0; j != count_; ++j) {
        scales_[at + j] = grids[j].scale;
        if constexpr (bits == 8) zero_points_[at + j] = grids[j].zero_point - offset(grids[j].zero_point);
      }
    });
  }
  [[nodiscard]] simd::column_dequantization columns(std::size_t lane, std::size_t part) const noexcept {
    return {scales_.data() + part * tile_width, sums_.data() + (lane * parts_ + part) * tile_width,
            bits == 8 ? zero_points_.data() + part * tile_width : nullptr};
  }

  /// Calls f(part, first, depth) for what is laid out apart: the parts where they are multiplied apart, else all.
  template <class F>
  void for_each_panel(F&& f) const {
    if constexpr (in_integers)
      quant::for_each_part<Weight, Activation>(
          in_, [&](const quant::product_part& part) { f(part.index, part.first, part.count); });
    else
      f(std::size_t{0}, std::size_t{0}, in_);
  }
  [[nodiscard]] std::size_t lane_size() const noexcept {
    return in_integers ? parts_ * panels() * simd::code_panel_size(part_size())
                       : panels() * simd::code_panel_size(in_);
  }
  /// The code panel of a part, `depth` deep; those of a part are neighbors.
  [[nodiscard]] std::uint8_t* panel(std::size_t lane, std::size_t part, std::size_t p, std::size_t depth) noexcept {
    return panels_.data() + lane * lane_size() + part * panels() * simd::code_panel_size(part_size()) +
           p * simd::code_panel_size(depth);
  }
  /// Reads the grids and codes of packed rows, for a product in integers.
  template <simd::kernels Kernels>
  void unpack_parts() {
    read_grids(*packed_, first_panel_ * simd::panel_width);
    quant::for_each_part<Weight, Activation>(in_, [&](const quant::product_part& part) {
      for (std::size_t p = 0; p != panels(); ++p) {
        std::uint8_t offsets[simd::panel_width] = {};
        for (std::size_t j = 0; j != panel_rows(p); ++j)
          offsets[j] = static_cast<std::uint8_t>(offset(grid(0, p * simd::panel_width + j, part.weights).zero_point));
        unpack_panel<Kernels>(part, p, offsets);
      }
    });
  }
  /// Unpacks a part of a panel, which may begin within a block.
  template <simd::kernels Kernels>
  void unpack_panel(const quant::product_part& part, std::size_t p, const std::uint8_t* offsets) {
    const std::size_t before = part.first % simd::block_depth, depth = before + part.count;
    const std::uint8_t* const from =
        packed_->panel(first_panel_ + p) + simd::packed_panel_size(bits, part.first - before);
    std::uint8_t* const to = panel(0, part.index, p, part.count);
    if (before == 0) return Kernels::template unpack<bits>(from, depth, offsets, to);
    unpacked_.resize(simd::code_panel_size(depth));
    Kernels::template unpack<bits>(from, depth, offsets, unpacked_.data());
    std::copy(unpacked_.begin() + static_cast<std::ptrdiff_t>(simd::code_panel_size(before)), unpacked_.end(), to);
  }
  /// Lays out minima, as `subtract_minima` reads them.
  void fill_minima(std::size_t lane) {
    const std::size_t panel_size = simd::float_panel_size(parts_);
    float_panels_.resize(panels() * panel_size);
    quant::for_each_part<Weight, Activation>(in_, [&](const quant::product_part& part) {
      for (std::size_t j = 0; j != count_; ++j)
        float_panels_[j / simd::panel_width * panel_size + part.index * simd::panel_width + j % simd::panel_width] =
            grid(lane, j, part.weights).minimum;
    });
  }
  /// c −= sums of the input · minima, part by part. c has the columns of whole panels.
  template <simd::kernels Kernels, class Scheme>
  void subtract_minima(const linear_input<Scheme>& input, std::size_t row, matrix_view<float> c) {
    Kernels::subtract_products(input.part_sums.view().row_block(row, c.rows()), float_panels_.data(), c);
  }
  template <simd::kernels Kernels>
  void unpack_panel(std::size_t p) {
    Kernels::template unpack<bits>(packed_->panel(first_panel_ + p), in_, nullptr, panel(0, 0, p, in_));
  }
  /// A packed panel: that of the matrix, or the same made from codes.
  template <simd::kernels Kernels>
  const std::uint8_t* packed_panel(std::size_t lane, std::size_t p) {
    if (packed_) return packed_->panel(first_panel_ + p);
    repacked_.resize(simd::packed_panel_size(bits, in_));
    Kernels::template pack<bits>(panel(lane, 0, p, in_), in_, repacked_.data());
    return repacked_.data();
  }
  std::size_t lanes_ = 0, count_ = 0, in_ = 0, groups_ = 0, parts_ = 0, first_panel_ = 0;
  const quant::packed_matrix<Weight>* packed_ = nullptr;  // whose panels are multiplied where they are
  const quant::packed_matrix<Weight>* source_ = nullptr;  // of the rows, if they came packed
  const float* factors_ = nullptr;                        // on the grids of these: [count][groups]
  buffer<std::uint8_t> codes_;                            // [lanes][16][in]
  std::vector<simd::grid> grids_;                         // [lanes][groups][tile_width]
  buffer<std::int32_t> sums_;                             // [lanes][parts][tile_width]
  buffer<float> scales_, minima_;                         // [parts][tile_width]
  buffer<std::int32_t> zero_points_;                      // less the offset: [parts][tile_width]
  buffer<std::uint8_t> grid_codes_;                       // zero points of a panel: [groups][16]
  buffer<std::uint8_t> panels_;                           // [lanes][parts][panels]
  buffer<std::uint8_t> unpacked_;                         // a part of a panel, and what is before it in its block
  buffer<std::uint8_t> repacked_;                         // a packed panel
  buffer<float> float_panels_;
};

}  // namespace zoqat::nn
