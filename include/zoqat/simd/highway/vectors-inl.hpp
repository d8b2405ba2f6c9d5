// SPDX-License-Identifier: Apache-2.0

// Highway and what all kernels on it share: arrays as a sequence of vectors with one partial vector at the end.
//
// The headers whose names end in -inl.hpp hold one body of code per target, in the namespace
// zoqat::simd::HWY_NAMESPACE; their guards toggle, so that hwy/foreach_target.h can read them once for each.

#if defined(ZOQAT_SIMD_HIGHWAY_VECTORS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_VECTORS_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_VECTORS_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_VECTORS_INL_HPP
#endif

#include <zoqat/simd/highway/base.hpp>
#include <zoqat/simd/kernels.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#if HWY_HAVE_SCALABLE
#error "zoqat: SVE and RVV are not supported: -DHWY_DISABLED_TARGETS='(HWY_SVE|HWY_SVE2|HWY_SVE_256|HWY_SVE2_128)'"
#endif

// Attributes of a lambda that is part of its caller's loop.
#undef ZOQAT_INLINE_LAMBDA
#if HWY_COMPILER_MSVC
#define ZOQAT_INLINE_LAMBDA HWY_ATTR
#else
#define ZOQAT_INLINE_LAMBDA HWY_ATTR __attribute__((always_inline))
#endif

HWY_BEFORE_NAMESPACE();
namespace zoqat::inline ZOQAT_ABI::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Floats in a vector, and the elements of any type that are processed together.
inline constexpr std::size_t vector_length = HWY_LANES(float);

/// Vectors across a panel.
inline constexpr std::size_t panel_vectors = panel_width / vector_length;

/// Tag of a vector of `vector_length` elements of T: a whole register for 32 bits, a part of one for narrower types.
template <class T>
using tag = hn::Rebind<T, hn::ScalableTag<float>>;
template <class T>
using vector = hn::Vec<tag<T>>;

/// Access to the next `vector_length` elements of an array.
struct whole {
  template <class T>
  static HWY_INLINE vector<T> load(const T* from, T = {}) {
    return hn::LoadU(tag<T>{}, from);
  }
  template <class T>
  static HWY_INLINE void store(vector<T> v, T* to) {
    hn::StoreU(v, tag<T>{}, to);
  }
  /// v, zero in the lanes that are no elements.
  template <class V>
  static HWY_INLINE V keep(V v) {
    return v;
  }
  /// Calls f with a pointer to `vector_length` pairs.
  template <class T, class F>
  static HWY_INLINE void on_pairs(T* pairs, F f) {
    f(pairs);
  }
};

/// Access to the last `count` < `vector_length` elements of an array. Nothing beyond them is read or written; the
/// other lanes are loaded as `fill`.
struct part {
  std::size_t count;

  template <class T>
  HWY_INLINE vector<T> load(const T* from, T fill = {}) const {
#if HWY_MEM_OPS_MIGHT_FAULT
    std::array<T, vector_length> copy;
    copy.fill(fill);
    std::memcpy(copy.data(), from, count * sizeof(T));
    return hn::LoadU(tag<T>{}, copy.data());
#else
    const auto mask = hn::FirstN(tag<T>{}, count);
    return hn::IfThenElse(mask, hn::MaskedLoad(mask, tag<T>{}, from), hn::Set(tag<T>{}, fill));
#endif
  }
  template <class T>
  HWY_INLINE void store(vector<T> v, T* to) const {
#if HWY_MEM_OPS_MIGHT_FAULT
    std::array<T, vector_length> copy;
    hn::StoreU(v, tag<T>{}, copy.data());
    std::memcpy(to, copy.data(), count * sizeof(T));
#else
    hn::BlendedStore(v, hn::FirstN(tag<T>{}, count), tag<T>{}, to);
#endif
  }
  template <class V>
  HWY_INLINE V keep(V v) const {
    return hn::IfThenElseZero(hn::FirstN(hn::DFromV<V>{}, count), v);
  }
  template <class T, class F>
  HWY_INLINE void on_pairs(T* pairs, F f) const {
    std::array<T, 2 * vector_length> copy{};
    std::memcpy(copy.data(), pairs, 2 * count * sizeof(T));
    f(copy.data());
    std::memcpy(pairs, copy.data(), 2 * count * sizeof(T));
  }
};

/// Calls body(at, i) for the vectors at i = 0, vector_length, … that cover n elements; `at` is `whole` or the last
/// `part`.
template <class Body>
HWY_INLINE void for_each_vector(std::size_t n, Body body) {
  std::size_t i = 0;
  for (; i + vector_length <= n; i += vector_length) body(whole{}, i);
  if (i != n) body(part{n - i}, i);
}

/// Calls f with std::integral_constant 0 … N - 1: a loop over registers. Where f refers to vectors of its
/// surroundings it must be ZOQAT_INLINE_LAMBDA, or they live in memory.
template <std::size_t N, class F>
HWY_INLINE void unroll(F f) {
  [&]<std::size_t... I>(std::index_sequence<I...>)
      ZOQAT_INLINE_LAMBDA { (f(std::integral_constant<std::size_t, I>{}), ...); }(std::make_index_sequence<N>{});
}

/// Keeps the sum v in a register: with plain intrinsics GCC reorders the sums of a tile, or spills them.
template <class V>
HWY_INLINE void keep_in_register(V& v) {
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128 && HWY_COMPILER_GCC_ACTUAL
  if constexpr (requires { v.raw; }) asm("" : "+v"(v.raw));
#else
  (void)v;
#endif
}

/// Folds accumulator = step(accumulator, at, i) over the vectors of n elements, in four accumulators that start as
/// `init` and whose steps overlap, and joins them.
template <class Accumulator, class Step, class Join>
HWY_INLINE Accumulator fold(std::size_t n, Accumulator init, Step step, Join join) {
  Accumulator sums[4] = {init, init, init, init};
  std::size_t i = 0;
  for (; i + 4 * vector_length <= n; i += 4 * vector_length)
    unroll<4>([&](auto u) ZOQAT_INLINE_LAMBDA { sums[u] = step(sums[u], whole{}, i + u * vector_length); });
  for_each_vector(n - i, [&](auto at, std::size_t j) HWY_ATTR { sums[0] = step(sums[0], at, i + j); });
  return join(join(sums[0], sums[1]), join(sums[2], sums[3]));
}

/// Sum of step(sum, at, i) over the vectors of n elements.
template <class T, class Step>
HWY_INLINE T sum_of(std::size_t n, Step step) {
  const auto add = [](auto a, auto b) HWY_ATTR { return hn::Add(a, b); };
  return hn::GetLane(hn::SumOfLanes(tag<T>{}, fold(n, hn::Zero(tag<T>{}), step, add)));
}

/// Added to a float below 2^22 in magnitude, this rounds it half to even and leaves the integer in the low bits. The
/// NearestInt of Highway 1.0.3 does not: on its targets without vectors it takes 0.49999997 to 1.
inline constexpr float rounder = 0x1.8p23f;
inline constexpr std::int32_t rounder_bits = 0x4B400000;

}  // namespace zoqat::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
