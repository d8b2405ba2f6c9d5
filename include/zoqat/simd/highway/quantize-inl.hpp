// SPDX-License-Identifier: Apache-2.0

// Quantization of rows.

#if defined(ZOQAT_SIMD_HIGHWAY_QUANTIZE_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_QUANTIZE_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_QUANTIZE_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_QUANTIZE_INL_HPP
#endif

#include <zoqat/simd/highway/vectors-inl.hpp>
#include <zoqat/simd/kernels.hpp>

#include <limits>

HWY_BEFORE_NAMESPACE();
namespace zoqat::simd::HWY_NAMESPACE {

struct quantize_kernels {
  static range min_max(const float* x, std::size_t n) noexcept {
    struct bounds {
      vector<float> min, max;
    };
    const auto zero = hn::Zero(tag<float>{});
    // Min and Max return their second operand where the first is NaN.
    const bounds b = fold(
        n, bounds{zero, zero},
        [x](bounds sofar, auto at, std::size_t i) HWY_ATTR {
          const auto v = at.load(x + i);
          return bounds{hn::Min(v, sofar.min), hn::Max(v, sofar.max)};
        },
        [](bounds l, bounds r) HWY_ATTR { return bounds{hn::Min(l.min, r.min), hn::Max(l.max, r.max)}; });
    return {hn::GetLane(hn::MinOfLanes(tag<float>{}, b.min)), hn::GetLane(hn::MaxOfLanes(tag<float>{}, b.max))};
  }

  static void quantize(const float* x, std::size_t n, grid g, int bits, std::uint8_t* codes) noexcept {
    quantize_and_sum(x, n, g, bits, codes);
  }

  static void dequantize(const std::uint8_t* codes, std::size_t n, grid g, float* out) noexcept {
    const auto scale = hn::Set(tag<float>{}, g.scale);
    const auto zero_point = hn::Set(tag<std::int32_t>{}, g.zero_point);
    for_each_vector(n, [=](auto at, std::size_t i) HWY_ATTR {
      const auto code = hn::PromoteTo(tag<std::int32_t>{}, at.load(codes + i));
      at.store(hn::Mul(scale, hn::ConvertTo(tag<float>{}, hn::Sub(code, zero_point))), out + i);
    });
  }

  static std::int32_t sum(const std::uint8_t* codes, std::size_t n) noexcept {
    return sum_of<std::int32_t>(n, [codes](auto total, auto at, std::size_t i) HWY_ATTR {
      return hn::Add(total, hn::PromoteTo(tag<std::int32_t>{}, at.load(codes + i)));
    });
  }

  static quantized_row quantize_row(const float* x, std::size_t n, int bits, bool symmetric,
                                    std::uint8_t* codes) noexcept {
    const grid g = grid_of(min_max(x, n), bits, symmetric);
    return {g, quantize_and_sum(x, n, g, bits, codes)};
  }

 private:
  // Clamping to integers before rounding gives what clamping after it does, and keeps every x in the range of an
  // integer. It also stands between the product and the sum that rounds, so that no compiler fuses them.
  static std::int32_t quantize_and_sum(const float* x, std::size_t n, grid g, int bits,
                                       std::uint8_t* codes) noexcept {
    const auto inverse = hn::Set(tag<float>{}, 1.0f / g.scale);
    const auto low = hn::Set(tag<float>{}, static_cast<float>(-g.zero_point));
    const auto high = hn::Set(tag<float>{}, static_cast<float>((1 << bits) - 1 - g.zero_point));
    const auto to_code = hn::Set(tag<std::int32_t>{}, g.zero_point - rounder_bits);
    constexpr float code_zero = -std::numeric_limits<float>::infinity();  // so missing lanes add nothing to the sum
    return sum_of<std::int32_t>(n, [=](auto total, auto at, std::size_t i) HWY_ATTR {
      const auto scaled = hn::Mul(at.load(x + i, code_zero), inverse);
      const auto rounded = hn::Add(hn::Min(hn::Max(scaled, low), high), hn::Set(tag<float>{}, rounder));
      const auto code = hn::Add(hn::BitCast(tag<std::int32_t>{}, rounded), to_code);
      at.store(hn::DemoteTo(tag<std::uint8_t>{}, code), codes + i);
      return hn::Add(total, code);
    });
  }
};

}  // namespace zoqat::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
