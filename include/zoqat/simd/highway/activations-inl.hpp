// SPDX-License-Identifier: Apache-2.0

// The exponential, and the activation functions built on it.

#if defined(ZOQAT_SIMD_HIGHWAY_ACTIVATIONS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_ACTIVATIONS_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_ACTIVATIONS_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_ACTIVATIONS_INL_HPP
#endif

#include <zoqat/simd/highway/vectors-inl.hpp>

#include <numbers>

HWY_BEFORE_NAMESPACE();
namespace zoqat::inline ZOQAT_ABI::simd::HWY_NAMESPACE {

using floats = vector<float>;

HWY_INLINE floats constant(float x) { return hn::Set(tag<float>{}, x); }

/// c0 + x (c1 + x (c2 + …)).
HWY_INLINE floats polynomial(floats, float c0) { return constant(c0); }
template <class... Rest>
HWY_INLINE floats polynomial(floats x, float c0, Rest... rest) {
  return hn::MulAdd(x, polynomial(x, rest...), constant(c0));
}

/// e^x within 1 ulp (measured). Results below 2^-125 are zero, those above the largest float infinite; NaN of NaN.
HWY_INLINE floats exp(floats x) {
  constexpr tag<std::int32_t> di;
  // x = k ln 2 + r with |r| <= ln 2 / 2. Only k is bounded: an x beyond makes r, and so the result, overflow.
  constexpr float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;  // k * ln2_high is exact
  const auto shifted =
      hn::Add(hn::Min(hn::Mul(x, constant(std::numbers::log2e_v<float>)), constant(128)), constant(rounder));
  const auto k = hn::Sub(shifted, constant(rounder));
  const auto r = hn::NegMulAdd(k, constant(ln2_low), hn::NegMulAdd(k, constant(ln2_high), x));
  // Minimax for the relative error, which is 3e-9.
  const auto q = polynomial(r, 0.4999999345f, 0.1666652063f, 0.04166838805f, 0.00836871688f, 0.001381459865f);
  const auto power = hn::Add(hn::MulAdd(hn::Mul(r, r), q, r), constant(1));
  // 2^k as 2^(k - 1) twice, since 2^128 is no float. The shift drops the bits of `rounder`.
  const auto exponent = hn::Add(hn::BitCast(di, shifted), hn::Set(di, 127 - 1));
  const auto half = hn::Mul(power, hn::BitCast(tag<float>{}, hn::ShiftLeft<23>(exponent)));
  constexpr float lowest = -125 * std::numbers::ln2_v<float>;
  return hn::IfThenZeroElse(hn::Lt(x, constant(lowest)), hn::Add(half, half));
}

/// x / (1 + e^-y).
HWY_INLINE floats gated(floats x, floats y) { return hn::Div(x, hn::Add(constant(1), exp(hn::Neg(y)))); }

/// 0.5 x (1 + erf(x / √2)) as max(x, 0) - 0.5 |x| erfc(|x| / √2): no cancellation in the tail.
HWY_INLINE floats gelu_by_erf(floats x) {
  // erfc(z) = t P(t) e^(-z²), t = 1 / (1 + p z): the form of Abramowitz and Stegun 7.1.26, refitted; error 5e-9.
  constexpr float p = 0.35f;
  const auto magnitude = hn::Min(constant(16), hn::Abs(x));  // erfc is zero there
  const auto t = hn::Div(constant(1), hn::MulAdd(magnitude, constant(p / std::numbers::sqrt2_v<float>), constant(1)));
  const auto fit = polynomial(t, 0.1945106812f, 0.234646346f, -0.004975490705f, 0.6790561471f, -0.6758177612f,
                              0.7701340823f, -0.1975540091f);
  const auto half = hn::Mul(constant(0.5f), magnitude);
  const auto erfc = hn::Mul(hn::Mul(t, fit), exp(hn::Neg(hn::Mul(half, magnitude))));
  return hn::NegMulAdd(half, erfc, hn::IfThenZeroElse(hn::Lt(x, constant(0)), x));
}

struct activation_kernels {
  static void silu(float* x, std::size_t n) noexcept {
    map(x, n, [](floats v) HWY_ATTR { return gated(v, v); });
  }
  static void gelu_tanh(float* x, std::size_t n) noexcept {
    // 0.5 (1 + tanh u) = 1 / (1 + e^-2u)
    constexpr float factor = 2 * std::numbers::sqrt2_v<float> * std::numbers::inv_sqrtpi_v<float>;  // 2 √(2/π)
    map(x, n, [](floats v) HWY_ATTR {
      return gated(v, hn::Mul(v, polynomial(hn::Mul(v, v), factor, factor * 0.044715f)));
    });
  }
  static void gelu_erf(float* x, std::size_t n) noexcept {
    map(x, n, [](floats v) HWY_ATTR { return gelu_by_erf(v); });
  }
  static void relu(float* x, std::size_t n) noexcept {
    map(x, n, [](floats v) HWY_ATTR { return hn::IfThenZeroElse(hn::Lt(v, constant(0)), v); });
  }

 private:
  template <class F>
  static HWY_INLINE void map(float* x, std::size_t n, F f) noexcept {
    for_each_vector(n, [=](auto at, std::size_t i) HWY_ATTR { at.store(f(at.load(x + i)), x + i); });
  }
};

}  // namespace zoqat::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
