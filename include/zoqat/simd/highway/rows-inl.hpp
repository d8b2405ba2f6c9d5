// SPDX-License-Identifier: Apache-2.0

// Rows of floats: sums, norms, softmax and rotary embeddings.

#if defined(ZOQAT_SIMD_HIGHWAY_ROWS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_ROWS_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_ROWS_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_ROWS_INL_HPP
#endif

#include <zoqat/simd/highway/activations-inl.hpp>
#include <zoqat/simd/highway/vectors-inl.hpp>

#include <cmath>
#include <limits>

HWY_BEFORE_NAMESPACE();
namespace zoqat::inline ZOQAT_ABI::simd::HWY_NAMESPACE {

struct row_kernels {
  static float dot(const float* a, const float* b, std::size_t n) noexcept {
    return sum_of<float>(n, [=](floats sum, auto at, std::size_t i)
                                HWY_ATTR { return hn::MulAdd(at.load(a + i), at.load(b + i), sum); });
  }
  static void add(const float* x, float* y, std::size_t n) noexcept {
    for_each_vector(
        n, [=](auto at, std::size_t i) HWY_ATTR { at.store(hn::Add(at.load(y + i), at.load(x + i)), y + i); });
  }
  static void multiply(const float* x, float* y, std::size_t n) noexcept {
    for_each_vector(
        n, [=](auto at, std::size_t i) HWY_ATTR { at.store(hn::Mul(at.load(y + i), at.load(x + i)), y + i); });
  }

  static void rms_norm(const float* x, const float* gain, float epsilon, float* out, std::size_t n) noexcept {
    const auto factor = constant(inverse_root(dot(x, x, n), n, epsilon));
    for_each_vector(n, [=](auto at, std::size_t i) HWY_ATTR {
      at.store(hn::Mul(hn::Mul(at.load(x + i), factor), at.load(gain + i)), out + i);
    });
  }
  static void layer_norm(const float* x, const float* gain, const float* bias, float epsilon, float* out,
                         std::size_t n) noexcept {
    const float total =
        sum_of<float>(n, [=](floats sum, auto at, std::size_t i) HWY_ATTR { return hn::Add(sum, at.load(x + i)); });
    const float mean = total / static_cast<float>(n);
    const float squares = sum_of<float>(n, [=](floats sum, auto at, std::size_t i) HWY_ATTR {
      const auto centered = hn::Sub(at.load(x + i, mean), constant(mean));
      return hn::MulAdd(centered, centered, sum);
    });
    const auto factor = constant(inverse_root(squares, n, epsilon));
    for_each_vector(n, [=](auto at, std::size_t i) HWY_ATTR {
      const auto normal = hn::Mul(hn::Sub(at.load(x + i), constant(mean)), factor);
      at.store(hn::MulAdd(normal, at.load(gain + i), at.load(bias + i)), out + i);
    });
  }

  static void softmax(float* x, std::size_t n) noexcept {
    const auto top = constant(maximum(x, n));
    const float total = sum_of<float>(n, [=](floats sum, auto at, std::size_t i) HWY_ATTR {
      const auto power = exp(hn::Sub(at.load(x + i, lowest), top));
      at.store(power, x + i);
      return hn::Add(sum, power);
    });
    const auto inverse = constant(1 / total);
    for_each_vector(n, [=](auto at, std::size_t i) HWY_ATTR { at.store(hn::Mul(at.load(x + i), inverse), x + i); });
  }
  static float log_sum_exp(const float* x, std::size_t n) noexcept {
    if (n == 0) return lowest;
    const float top = maximum(x, n);
    const float total = sum_of<float>(n, [=](floats sum, auto at, std::size_t i) HWY_ATTR {
      return hn::Add(sum, exp(hn::Sub(at.load(x + i, lowest), constant(top))));
    });
    return top + std::log(total);
  }

  static void rope_half_split(float* head, const float* cos, const float* sin, std::size_t n) noexcept {
    float* const upper = head + n / 2;
    for_each_vector(n / 2, [=](auto at, std::size_t i) HWY_ATTR {
      const auto [x, y] = rotate(at.load(head + i), at.load(upper + i), at.load(cos + i), at.load(sin + i));
      at.store(x, head + i);
      at.store(y, upper + i);
    });
  }
  static void rope_interleaved(float* head, const float* cos, const float* sin, std::size_t n) noexcept {
    for_each_vector(n / 2, [=](auto at, std::size_t i) HWY_ATTR {
      at.on_pairs(head + 2 * i, [=](float* pairs) HWY_ATTR {
        floats x, y;
        hn::LoadInterleaved2(tag<float>{}, pairs, x, y);
        const auto rotated = rotate(x, y, at.load(cos + i), at.load(sin + i));
        hn::StoreInterleaved2(rotated.x, rotated.y, tag<float>{}, pairs);
      });
    });
  }

 private:
  static constexpr float lowest = -std::numeric_limits<float>::infinity();

  struct points {
    floats x, y;
  };
  static HWY_INLINE points rotate(floats x, floats y, floats cos, floats sin) noexcept {
    return {hn::NegMulAdd(y, sin, hn::Mul(x, cos)), hn::MulAdd(x, sin, hn::Mul(y, cos))};
  }
  static float inverse_root(float squares, std::size_t n, float epsilon) noexcept {
    return 1 / std::sqrt(squares / static_cast<float>(n) + epsilon);
  }
  static float maximum(const float* x, std::size_t n) noexcept {
    const floats top = fold(
        n, constant(lowest),
        [=](floats sofar, auto at, std::size_t i) HWY_ATTR { return hn::Max(sofar, at.load(x + i, lowest)); },
        [](floats l, floats r) HWY_ATTR { return hn::Max(l, r); });
    return hn::GetLane(hn::MaxOfLanes(tag<float>{}, top));
  }
};

}  // namespace zoqat::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
