// SPDX-License-Identifier: Apache-2.0

// Products of few rows of codes and a packed panel, unpacked in registers.
//
// The codes of weights are the unsigned operand of the multiply-add and those of inputs, less their zero points, the
// signed one: then a word of codes takes no subtraction, and no sums of weights are read. Measured with AVX2 by
// `bench/report --quick --filter gemv.a`, one thread on a machine that was shared, of the bandwidth of reading: 0.62
// with 4 bits on 4, 0.45 to 0.50 with 3 to 8 bits on blocks of 8, 0.31 with 2 bits. What limits: memory at 4 bits and
// more, instructions below (bench/README.md).

#if defined(ZOQAT_SIMD_HIGHWAY_PACKED_PARTS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_PACKED_PARTS_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_PACKED_PARTS_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_PACKED_PARTS_INL_HPP
#endif

#include <zoqat/core/matrix.hpp>
#include <zoqat/simd/highway/directions-inl.hpp>
#include <zoqat/simd/highway/dot4-inl.hpp>
#include <zoqat/simd/highway/gemm-inl.hpp>
#include <zoqat/simd/highway/packing-inl.hpp>
#include <zoqat/simd/highway/vectors-inl.hpp>
#include <zoqat/simd/kernels.hpp>
#include <zoqat/simd/packing.hpp>
#include <zoqat/simd/reference.hpp>

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace zoqat::inline ZOQAT_ABI::simd::HWY_NAMESPACE::inline ZOQAT_DOT4_NAMESPACE {

struct packed_parts_kernels {
  template <int ActivationBits, int WeightBits>
  static void add_packed_parts(const packed_parts& parts, matrix_view<float> c) noexcept {
#if HWY_TARGET == HWY_SCALAR
    reference::add_packed_parts<ActivationBits, WeightBits>(parts, c);
#else
    for_each_row_tile<most_rows>(c.rows(), [&]<std::size_t Rows>(std::size_t m) HWY_ATTR {
      add_rows<dot4<WeightBits, ActivationBits>, WeightBits, Rows>(parts, m, c);
    });
#endif
  }

#if HWY_TARGET != HWY_SCALAR
 private:
  static constexpr std::size_t word = 4, half = block_depth / 2;
  /// Rows that share the unpacking. More of them are more code for what memory limits.
  static constexpr std::size_t most_rows = 2;
  /// Bytes from what is multiplied to what is fetched from memory meanwhile, the panels that follow included: to the
  /// second level of the cache, since a core waits for fewer lines of the first than memory can send.
  static constexpr std::size_t ahead = 8192;
  static constexpr int to_second_level = 2;

  /// Rows of a tile of `a`, and their zero points in every byte.
  template <std::size_t Rows>
  struct centered_rows {
    const std::uint8_t* first;
    std::size_t stride;
    const codes8* zero_points;

    /// Four codes of a row from column k on, less their zero point.
    HWY_INLINE codes8 load(std::size_t row, std::size_t k) const {
      std::int32_t four;
      std::memcpy(&four, first + row * stride + k, word);
      return hn::Sub(hn::BitCast(hn::DFromV<codes8>{}, hn::Set(tag<std::int32_t>{}, four)), zero_points[row]);
    }
  };

  /// Rows [m, m + Rows) of c, through all parts.
  template <class Dot, int Bits, std::size_t Rows>
  static HWY_NOINLINE void add_rows(const packed_parts& p, std::size_t m, matrix_view<float> c) noexcept {
    constexpr std::size_t size = Rows * panel_vectors;
    constexpr tag<float> d;
    constexpr tag<std::int32_t> di;
    const std::size_t k = p.a.cols();
    vector<float> totals[size];
    unroll<size>([&](auto i) ZOQAT_INLINE_LAMBDA {
      totals[i] =
          hn::Add(hn::LoadU(d, c.row(m + i / panel_vectors).data() + i % panel_vectors * vector_length), hn::Zero(d));
    });
    std::size_t group = 0, of_weights = 0;  // of a part: counted, since a part may be less work than a division
    for (std::size_t first = 0, part = 0; first < k; first += p.depth, ++part) {
      if (first == (group + 1) * p.group) ++group;
      if (first == (of_weights + 1) * p.weight_group) ++of_weights;
      const std::size_t depth = std::min(p.depth, k - first);
      const grid* const grids = p.grids.row(group).data() + m;
      sums32 sums[size];
      sum_products<Dot, Bits, Rows>(p, m, grids, first, depth, sums);
      unroll<Rows>([&](auto r) ZOQAT_INLINE_LAMBDA {
        const std::int32_t of_row = p.row_sums(part, m + r) - static_cast<std::int32_t>(depth) * grids[r].zero_point;
        const auto of_all = hn::Set(di, of_row * ((p.zero_points ? 0 : p.zero_point) - Dot::activation_offset));
        unroll<panel_vectors>([&](auto v) ZOQAT_INLINE_LAMBDA {
          const std::size_t at = of_weights * panel_width + v * vector_length;
          auto exact = hn::Sub(sums[r * panel_vectors + v], of_all);
          if (p.zero_points)
            exact = hn::Sub(exact, hn::Mul(hn::Set(di, of_row),
                                           hn::PromoteTo(di, hn::LoadU(tag<std::uint8_t>{}, p.zero_points + at))));
          const auto scale = hn::Mul(hn::Set(d, grids[r].scale), hn::LoadU(d, p.scales + at));
          auto& total = totals[r * panel_vectors + v];
          total = hn::Add(total, directions::rounded(hn::Mul(hn::ConvertTo(d, exact), scale)));
        });
      });
    }
    unroll<size>([&](auto i) ZOQAT_INLINE_LAMBDA {
      hn::StoreU(totals[i], d, c.row(m + i / panel_vectors).data() + i % panel_vectors * vector_length);
    });
  }

  /// sums[Rows][16] = (a[Rows, depth] - zero points) * codes less Dot::activation_offset, of a part from column
  /// `first` on.
  template <class Dot, int Bits, std::size_t Rows>
  static HWY_INLINE void sum_products(const packed_parts& p, std::size_t m, const grid* grids, std::size_t first,
                                      std::size_t depth, sums32* sums) noexcept {
    constexpr hn::DFromV<codes8> d;
    codes8 zero_points[Rows];
    unroll<Rows>([&](auto r) ZOQAT_INLINE_LAMBDA {
      zero_points[r] = hn::Set(d, static_cast<std::uint8_t>(grids[r].zero_point));
    });
    unroll<Rows * panel_vectors>([&](auto i) ZOQAT_INLINE_LAMBDA { sums[i] = hn::Zero(tag<std::int32_t>{}); });
    const std::uint8_t* const a = p.a.row(m).data();
    const auto block_of = [&](std::size_t k) { return p.panel + k / block_depth * sizeof(packed_block<Bits>); };
    const std::size_t end = first + depth;
    for (std::size_t k = first; k != end;) {
      const std::size_t before = k % block_depth, count = std::min(block_depth - before, end - k);
      const std::uint8_t* const block = block_of(k);
      const centered_rows<Rows> x{a + k, p.a.stride(), zero_points};
      k += count;
      if (before == 0)
        for (std::size_t line = 0; line < sizeof(packed_block<Bits>); line += 64)
          __builtin_prefetch(block + ahead + line, 0, to_second_level);
      if (count == half && before == 0) {
        multiply_block<Dot, Bits, Rows, 0, half / word>(x, block, sums);
      } else if (count == half && before == half) {
        multiply_block<Dot, Bits, Rows, half / word, half / word>(x, block, sums);
      } else {  // Columns of the block that are not among these come to zero, whatever the panel has there.
        std::uint8_t filled[Rows * block_depth];
        const bool whole_block = count == block_depth;
        for (std::size_t r = 0; r != Rows && !whole_block; ++r) {
          std::fill_n(filled + r * block_depth, block_depth, static_cast<std::uint8_t>(grids[r].zero_point));
          std::memcpy(filled + r * block_depth + before, x.first + r * x.stride, count);
        }
        multiply_block<Dot, Bits, Rows, 0, block_depth / word>(
            whole_block ? x : centered_rows<Rows>{filled, block_depth, zero_points}, block, sums);
      }
    }
  }

  /// sums[Rows][16] += a * rows [First, First + Count) of a block.
  template <class Dot, int Bits, std::size_t Rows, std::size_t First, std::size_t Count>
  static HWY_INLINE void multiply_block(centered_rows<Rows> a, const std::uint8_t* block, sums32* sums) noexcept {
    // Where a multiply-add takes long, in two chains.
    constexpr std::size_t size = Rows * panel_vectors, chains = size < 4 && Dot::steps > 0x7fff ? 2 : 1;
    constexpr std::size_t period = std::min(Count, Dot::steps * chains);  // of words between widened sums
    decltype(Dot::zero()) products[chains * size];
    unroll<Count>([&](auto i) ZOQAT_INLINE_LAMBDA {
      if constexpr (i % period == 0)
        unroll<chains * size>([&](auto s) ZOQAT_INLINE_LAMBDA { products[s] = Dot::zero(); });
      decltype(Dot::activations(codes8{})) w[panel_vectors];
      unroll<panel_vectors>([&](auto v) ZOQAT_INLINE_LAMBDA {
        w[v] = Dot::activations(
            hn::BitCast(hn::DFromV<codes8>{}, row_of_block<Bits, First + i>(block + v * vector_bytes)));
      });
      unroll<Rows>([&](auto r) ZOQAT_INLINE_LAMBDA {
        const auto x = Dot::weights(a.load(r, i * word));
        unroll<panel_vectors>([&](auto v) ZOQAT_INLINE_LAMBDA {
          auto& product = products[i % chains * size + r * panel_vectors + v];
          product = Dot::accumulate(product, w[v], x);
          keep_in_register(product);
        });
      });
      if constexpr ((i + 1) % period == 0 || i + 1 == Count)
        unroll<chains * size>(
            [&](auto s) ZOQAT_INLINE_LAMBDA { sums[s % size] = hn::Add(sums[s % size], Dot::widen(products[s])); });
    });
  }
#endif
};

}  // namespace zoqat::simd::HWY_NAMESPACE::inline ZOQAT_DOT4_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
