// SPDX-License-Identifier: Apache-2.0

// Directions whose elements are signs, as vectors of floats.
//
// A word serves 32 vectors, each of which wants another of its bits as a sign: a shift, and with AVX-512 one more
// operation (vpternlog), for sixteen floats. What is left is finding the word, once for four vectors: without that it
// costs more than reading floats.

#if defined(ZOQAT_SIMD_HIGHWAY_SIGNS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_SIGNS_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_SIGNS_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_SIGNS_INL_HPP
#endif

#include <zoqat/core/numeric.hpp>
#include <zoqat/core/packed_signs.hpp>
#include <zoqat/simd/highway/vectors-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace zoqat::inline ZOQAT_ABI::simd::HWY_NAMESPACE {

/// scale * u[i], vector by vector; every i is a multiple of `vector_length`.
class signed_scale {
 public:
  HWY_INLINE signed_scale(packed_signs u, float scale)
      : words_(u.words), first_(u.first), minus_(hn::BitCast(tag<std::uint32_t>{}, hn::Set(tag<float>{}, -scale))) {}

  HWY_INLINE vector<float> load(std::size_t i) const {
    const std::size_t e = first_ + i;
    return signed_by(hn::ShiftLeftSame(word(e, e % unit), static_cast<int>(bit(e))));
  }
  /// Loads the vectors at i, i + vector_length, i + 2 vector_length and i + 3 vector_length.
  HWY_INLINE void load_four(std::size_t i, vector<float>* of) const {
    constexpr std::size_t vectors = vector_length < unit ? unit / vector_length : 1;  // of a unit
    if constexpr (vectors <= 4) {
      constexpr std::size_t units = 4 / vectors;
      const std::size_t e = first_ + i;
      if (HWY_LIKELY(bit(e) + units <= 32)) {
        unroll<vectors>([&](auto v) ZOQAT_INLINE_LAMBDA {
          auto words = hn::ShiftLeftSame(word(e, v * vector_length), static_cast<int>(bit(e)));
          unroll<units>([&](auto u) ZOQAT_INLINE_LAMBDA {
            of[u * vectors + v] = signed_by(words);
            words = hn::Add(words, words);
          });
        });
        return;
      }
    }
    unroll<4>([&](auto u) ZOQAT_INLINE_LAMBDA { of[u] = load(i + u * vector_length); });
  }

 private:
  static constexpr std::size_t unit = packed_signs::granularity;

  static HWY_INLINE std::size_t bit(std::size_t e) { return e / unit % 32; }
  HWY_INLINE vector<std::uint32_t> word(std::size_t e, std::size_t lane) const {
    return hn::LoadU(tag<std::uint32_t>{}, words_ + e / (32 * unit) * unit + lane);
  }
  HWY_INLINE vector<float> signed_by(vector<std::uint32_t> highest) const {
    const auto sign = hn::And(highest, hn::Set(tag<std::uint32_t>{}, 0x80000000u));
    return hn::BitCast(tag<float>{}, hn::Xor(minus_, sign));
  }

  const std::uint32_t* words_;
  std::size_t first_;
  vector<std::uint32_t> minus_;
};

/// out = x + s * u, the bits of add_scaled; out may be x.
inline void add_signs(const float* x, packed_signs u, float s, float* out, std::size_t n) noexcept {
  const signed_scale steps(u, s);
  std::size_t i = 0;
  for (; i + 4 * vector_length <= n; i += 4 * vector_length) {
    vector<float> step[4];
    steps.load_four(i, step);
    unroll<4>([&](auto v) ZOQAT_INLINE_LAMBDA {
      whole::store(hn::Add(whole::load(x + i + v * vector_length), step[v]), out + i + v * vector_length);
    });
  }
  for_each_vector(n - i, [=, &steps](auto at, std::size_t j)
                             HWY_ATTR { at.store(hn::Add(at.load(x + i + j), steps.load(i + j)), out + i + j); });
}

}  // namespace zoqat::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
