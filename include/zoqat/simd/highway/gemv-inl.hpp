// SPDX-License-Identifier: Apache-2.0

// Products of one row of floats and a packed panel, unpacked in registers.
//
// 64 bytes of 4-bit codes take 8 and, conversion and multiply-add each with AVX-512, about 7 cycles; of 2-bit codes
// 8 shifts, shuffles and additions and 16 operations for the tables, about 10. Measured on Zen 5 by `bench/rows
// --benchmark_filter=gemv`, k = 4096: 39 and 26 GB/s of packed codes in cache with AVX-512, 18 and 9.5 with AVX2; by
// `bench/report --filter gemv`, from memory, two threads: 1.04 and 0.71 of the read bandwidth (0.72 and 0.49). What
// limits: memory at 4 bits, the shuffles' and adders' ports at 2 bits, instructions with AVX2.

#if defined(ZOQAT_SIMD_HIGHWAY_GEMV_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_GEMV_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_GEMV_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_GEMV_INL_HPP
#endif

#include <zoqat/simd/highway/packing-inl.hpp>
#include <zoqat/simd/highway/vectors-inl.hpp>
#include <zoqat/simd/packing.hpp>
#include <zoqat/simd/reference.hpp>

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace zoqat::inline ZOQAT_ABI::simd::HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR
struct gemv_kernels {
  template <int Bits>
  static void gemv(const float* x, std::size_t k, const std::uint8_t* bytes, float* sums) noexcept {
    reference::gemv<Bits>(x, k, bytes, sums);
  }
  template <int Bits>
  static void add_groups(const packed_groups& groups, float* totals) noexcept {
    reference::add_groups<Bits>(groups, totals);
  }
};
#else
/// Sums over the planes of `Width` bits of blocks, in several parts whose steps overlap.
template <int Width>
struct plane_sums {
  static constexpr std::size_t fields = 8 / Width;  // in a byte
  vector<float> parts[8];

  HWY_INLINE plane_sums() {
    unroll<8>([&](auto i) ZOQAT_INLINE_LAMBDA { parts[i] = hn::Zero(tag<float>{}); });
  }

#if HWY_TARGET <= HWY_AVX3
  // Of a plane of narrow fields, four bits at a time: they index the 16 sums of products that they may stand for. The
  // shuffle ignores what is above them.
  static constexpr bool by_table = Width < 4;
#else
  static constexpr bool by_table = false;
#endif
  // Otherwise each field stays at its place, and so stands for itself times a power of two, which the sum of all
  // fields at that place is divided by in the end. The places are those in half a lane, or of single bits in a byte.
  static constexpr int places = Width == 4 ? 4 : 8;

  /// Adds x[32] * one vector of columns of a plane.
  HWY_INLINE void multiply_add(const float* x, const std::uint8_t* rows) {
    unroll<Width>([&](auto r) ZOQAT_INLINE_LAMBDA {
      const float* const x_of_row = x + r * 4 * fields;
      const code_words row = load_words(rows + r * panel_row);
      add<by_table>(x_of_row, row);
    });
  }

  [[nodiscard]] HWY_INLINE vector<float> total() const {
    constexpr tag<float> d;
    auto sum = parts[0];
    unroll<7>([&](auto i) ZOQAT_INLINE_LAMBDA {
      constexpr int place = by_table ? 0 : (static_cast<int>(i) + 1) % places * Width;
      sum = hn::MulAdd(parts[i + 1], hn::Set(d, 1.0f / static_cast<float>(1 << place)), sum);
    });
    return sum;
  }

 private:
  template <bool ByTable>
    requires(!ByTable)
  HWY_INLINE void add(const float* x, code_words row) {
    constexpr int part = Width * places;  // bits of a lane in which all places are
    unroll<4 * fields>([&](auto i) ZOQAT_INLINE_LAMBDA {
      constexpr int bit = static_cast<int>(i % 4 * 8 + i / 4 * Width), place = bit % part;
      constexpr tag<std::uint32_t> d;
      const auto field = hn::And(shift<place - bit>(row), hn::Set(d, ((1u << Width) - 1u) << place));
      const auto number = hn::ConvertTo(tag<float>{}, hn::BitCast(tag<std::int32_t>{}, field));
      auto& sum = parts[Width == 4 ? bit / Width : place / Width];
      sum = hn::MulAdd(number, hn::Set(tag<float>{}, x[i]), sum);
      keep_in_register(sum);
    });
  }

#if HWY_TARGET <= HWY_AVX3
  template <bool ByTable>
    requires ByTable
  HWY_INLINE void add(const float* x, code_words row) {
    constexpr std::size_t together = 4 / Width;
    unroll<8>([&](auto i) ZOQAT_INLINE_LAMBDA {
      constexpr std::size_t first = i % 2 * together * 4 + i / 2;
      auto table = hn::Mul(field_of_index<0>(), hn::Set(tag<float>{}, x[first]));
      unroll<together - 1>([&](auto t) ZOQAT_INLINE_LAMBDA {
        table = hn::MulAdd(field_of_index<t + 1>(), hn::Set(tag<float>{}, x[first + 4 * (t + 1)]), table);
      });
      const vector<float> products{_mm512_permutexvar_ps(shift<-4 * static_cast<int>(i)>(row).raw, table.raw)};
      parts[i] = hn::Add(parts[i], products);
      keep_in_register(parts[i]);
    });
  }
  /// Field t of the numbers 0 … 15.
  template <std::size_t T>
  static HWY_INLINE vector<float> field_of_index() {
    constexpr tag<std::int32_t> d;
    const auto shifted = hn::ShiftRight<static_cast<int>(T) * Width>(hn::Iota(d, 0));
    return hn::ConvertTo(tag<float>{}, hn::And(shifted, hn::Set(d, (1 << Width) - 1)));
  }
#endif
};

struct gemv_kernels {
  template <int Bits>
  static void gemv(const float* x, std::size_t k, const std::uint8_t* bytes, float* sums) noexcept {
    std::fill_n(sums, panel_width, 0.0f);
    if (k == 0) return;
    for (std::size_t j = 0; j != panel_width; j += vector_length)
      hn::StoreU(multiply_columns<Bits>(x, k, bytes + 4 * j), tag<float>{}, sums + j);
  }
  template <int Bits>
  static HWY_NOINLINE void add_groups(const packed_groups& g, float* totals) noexcept {
    constexpr tag<float> d;
    for (std::size_t first = 0, group = 0; first < g.k; first += g.group, ++group) {
      const std::size_t depth = std::min(g.group, g.k - first);
      const std::uint8_t* const bytes = g.panel + packed_panel_size(Bits, first);
      const auto x_sum = hn::Set(d, g.x_sums[group * g.x_sums_stride]);
      for (std::size_t j = 0; j != panel_width; j += vector_length) {
        const std::size_t at = group * panel_width + j;
        const auto zero_point =
            g.zero_points ? hn::PromoteTo(tag<std::int32_t>{}, hn::LoadU(tag<std::uint8_t>{}, g.zero_points + at))
                          : hn::Set(tag<std::int32_t>{}, g.zero_point);
        const auto sum = multiply_columns<Bits>(g.x + first, depth, bytes + 4 * j);
        const auto centered = hn::NegMulAdd(hn::ConvertTo(d, zero_point), x_sum, sum);
        auto total = hn::MulAdd(hn::LoadU(d, g.scales + at), centered, hn::LoadU(d, totals + j));
        if (g.minima) total = hn::NegMulAdd(hn::LoadU(d, g.minima + at), x_sum, total);
        hn::StoreU(total, d, totals + j);
      }
    }
  }

 private:
  /// Bytes from what is multiplied to what is fetched from memory meanwhile, the panels that follow included: to the
  /// second level of the cache, since a core waits for fewer lines of the first than memory can send.
  static constexpr std::size_t ahead = 8192;
  static constexpr int to_second_level = 2;

  /// x[k] * one vector of columns of a panel.
  template <int Bits>
  static HWY_INLINE vector<float> multiply_columns(const float* x, std::size_t k, const std::uint8_t* bytes) {
    auto total = hn::Zero(tag<float>{});
    unroll<plane_count<Bits> >([&](auto p) ZOQAT_INLINE_LAMBDA {
      constexpr int width = planes<Bits>[p].width, field = planes<Bits>[p].shift, from = planes<Bits>[p].offset;
      const auto sum = multiply_plane<width>(x, k, bytes + from, sizeof(packed_block<Bits>));
      total = hn::MulAdd(sum, hn::Set(tag<float>{}, static_cast<float>(1 << field)), total);
    });
    return total;
  }

  /// x[k] * one vector of columns of a plane that blocks have `stride` bytes apart.
  template <int Width>
  static HWY_INLINE vector<float> multiply_plane(const float* x, std::size_t k, const std::uint8_t* rows,
                                                 std::size_t stride) noexcept {
    plane_sums<Width> sums;
    for (; k >= block_depth; k -= block_depth, x += block_depth, rows += stride) {
      for (std::size_t line = 0; line < stride; line += 64)
        __builtin_prefetch(rows + ahead + line, 0, to_second_level);
      sums.multiply_add(x, rows);
    }
    if (k != 0) {
      float last[block_depth] = {};
      std::memcpy(last, x, k * sizeof(float));
      sums.multiply_add(last, rows);
    }
    return sums.total();
  }
};
#endif

}  // namespace zoqat::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
