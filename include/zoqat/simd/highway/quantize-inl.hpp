// SPDX-License-Identifier: Apache-2.0

// Quantization of rows.
//
// A vector of weights with direction and smoothing takes 3 loads, 3 products, 4 operations of the adders and, with
// AVX-512 VBMI, less than 2 more to narrow, sum up and store: 3 cycles for 16 weights. Measured on Zen 5 by
// `bench/rows --benchmark_filter='quantize|min_max'`, rows of 768 and 3072 smoothed weights in cache, in 10⁹ weights
// a second, with AVX-512 (AVX2): 25 to 29 (13 to 14) without a direction, 19 to 21 (9.5 to 9.9) with numbers, 16 to
// 18 (7.6 to 7.7) with signs, which nobody had to write out; of a pair, either row counted, 18 to 21 (8.9 to 9.4)
// with numbers, 18 to 19 (8.2 to 8.9) with signs. min_max: 46 to 59 (27 to 31), 33 to 40 (21 to 22), 24 to 27 (13).
// What limits: the ports of the adders; at 768 the calls' ends too.

#if defined(ZOQAT_SIMD_HIGHWAY_QUANTIZE_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_QUANTIZE_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_QUANTIZE_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_QUANTIZE_INL_HPP
#endif

#include <zoqat/simd/highway/directions-inl.hpp>
#include <zoqat/simd/highway/signs-inl.hpp>
#include <zoqat/simd/highway/vectors-inl.hpp>
#include <zoqat/simd/kernels.hpp>

#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace zoqat::inline ZOQAT_ABI::simd::HWY_NAMESPACE {

/// The weights of a row or a pair are used as they are.
struct unperturbed {
  struct step {};

  explicit HWY_INLINE unperturbed(const weight_row&) {}

  template <class Access>
  HWY_INLINE step load(Access, std::size_t) const {
    return {};
  }
  HWY_INLINE void load_four(std::size_t, step*) const {}
};
/// Each weight is perturbed by scale * direction[i].
class number_steps {
 public:
  using step = vector<float>;

  template <class Weights>
  explicit HWY_INLINE number_steps(const Weights& w)
      : direction_(w.direction), scale_(hn::Set(tag<float>{}, w.scale)) {}

  template <class Access>
  HWY_INLINE step load(Access at, std::size_t i) const {
    return directions::rounded(hn::Mul(at.load(direction_ + i), scale_));
  }
  HWY_INLINE void load_four(std::size_t i, step* of) const {
    unroll<4>([&](auto u) ZOQAT_INLINE_LAMBDA { of[u] = load(whole{}, i + u * vector_length); });
  }

 private:
  const float* direction_;
  vector<float> scale_;
};
/// Each weight is perturbed by scale * signs[i]. The words of the signs cover whole vectors; elements beyond the end
/// of the row are not perturbed.
class sign_steps {
 public:
  using step = vector<float>;

  template <class Weights>
  explicit HWY_INLINE sign_steps(const Weights& w) : steps_(w.signs, w.scale) {}

  template <class Access>
  HWY_INLINE step load(Access at, std::size_t i) const {
    return at.keep(steps_.load(i));
  }
  HWY_INLINE void load_four(std::size_t i, step* of) const { steps_.load_four(i, of); }

 private:
  signed_scale steps_;
};

/// The vectors of a row of weights, specialized on what it has beside values.
template <class Steps, bool HasSmoothing>
struct weight_vectors {
  static constexpr std::size_t rows = 1;
  using step = typename Steps::step;
  const float *values, *smoothing;
  Steps steps;

  explicit HWY_INLINE weight_vectors(const weight_row& w) : values(w.values), smoothing(w.smoothing), steps(w) {}

  /// Loads the vectors at i, moved by their step.
  template <class Access>
  HWY_INLINE void load(Access at, std::size_t i, step by, vector<float>* of) const {
    of[0] = at.load(values + i);
    if constexpr (!std::is_same_v<Steps, unperturbed>) of[0] = hn::Add(of[0], by);
    if constexpr (HasSmoothing) of[0] = hn::Mul(of[0], at.load(smoothing + i));
  }
  template <class Access>
  HWY_INLINE vector<float> load(Access at, std::size_t i) const {
    vector<float> v;
    load(at, i, steps.load(at, i), &v);
    return v;
  }
};

/// The vectors of both rows of a pair.
template <class Steps, bool HasSmoothing>
struct pair_vectors {
  static constexpr std::size_t rows = 2;
  using step = typename Steps::step;
  weight_pair pair;
  Steps steps;

  explicit HWY_INLINE pair_vectors(const weight_pair& w) : pair(w), steps(w) {}

  template <class Access>
  HWY_INLINE void load(Access at, std::size_t i, step by, vector<float>* of) const {
    const auto v = at.load(pair.values + i);
    of[0] = hn::Add(v, by);
    of[1] = hn::Sub(v, by);
    if constexpr (HasSmoothing)
      unroll<2>([&](auto r) ZOQAT_INLINE_LAMBDA { of[r] = hn::Mul(of[r], at.load(pair.smoothing[r] + i)); });
  }
};

/// f of the Vectors for w, a row or a pair: what w lacks is known before the loop over it.
template <template <class, bool> class Vectors, class Steps, class Weights, class F>
HWY_INLINE auto specialize(const Weights& w, bool smooth, F f) {
  return smooth ? f(Vectors<Steps, true>(w)) : f(Vectors<Steps, false>(w));
}
template <class F>
HWY_INLINE auto specialize(const weight_row& w, F f) {
  const bool smooth = w.smoothing;
  if (w.direction) return specialize<weight_vectors, number_steps>(w, smooth, f);
  if (w.signs) return specialize<weight_vectors, sign_steps>(w, smooth, f);
  return specialize<weight_vectors, unperturbed>(w, smooth, f);
}

/// Makes codes of the weights of a row and sums them up: codes less `least`, unsigned bytes whatever the range, which
/// move to where they belong when they are stored.
class row_coder {
 public:
  HWY_INLINE row_coder() {}
  HWY_INLINE row_coder(const code_range& r, std::uint8_t* to)
      : to_(to),
        inverse_(hn::Set(tag<float>{}, r.factor())),
        low_(hn::Set(tag<float>{}, static_cast<float>(r.least - r.grid.zero_point))),
        high_(hn::Set(tag<float>{}, static_cast<float>(r.greatest - r.grid.zero_point))),
        above_(r.grid.zero_point - r.least),
        up_(r.least - r.offset),
        rest_(hn::Zero(tag<std::int32_t>{})) {
#if HWY_TARGET != HWY_SCALAR
    sums_ = hn::Zero(sums64{});
#endif
  }

#if HWY_TARGET != HWY_SCALAR
  /// Weights [i, i + 4 * vector_length).
  HWY_INLINE void write(vector<float> v0, vector<float> v1, vector<float> v2, vector<float> v3, std::size_t i) {
    const auto c = low_bytes(round(v0), round(v1), round(v2), round(v3), above_);
    sums_ = hn::Add(sums_, hn::SumsOf8(c));
    hn::StoreU(hn::Add(c, hn::Set(bytes{}, static_cast<std::uint8_t>(up_))), bytes{}, to_ + i);
  }
#endif
  /// Writes the codes of the weights at i of one access.
  template <class Access>
  HWY_INLINE void write(Access at, vector<float> v, std::size_t i) {
    constexpr tag<std::int32_t> d;
    constexpr tag<std::uint32_t> du;
    const auto code = hn::Add(hn::BitCast(d, round(v)), hn::Set(d, above_ - rounder_bits));
    const auto moved = hn::BitCast(du, hn::Add(code, hn::Set(d, up_)));
    at.store(hn::U8FromU32(hn::And(moved, hn::Set(du, 0xff))), to_ + i);
    rest_ = hn::Add(rest_, at.keep(code));
  }
  /// The sum of all n codes.
  [[nodiscard]] HWY_INLINE std::int32_t sum(std::size_t n) const {
    std::int32_t total = hn::GetLane(hn::SumOfLanes(tag<std::int32_t>{}, rest_));
#if HWY_TARGET != HWY_SCALAR
    total += static_cast<std::int32_t>(hn::GetLane(hn::SumOfLanes(sums64{}, sums_)));
#endif
    return total + static_cast<std::int32_t>(n) * up_;
  }

 private:
  /// Clamping to integers before rounding gives what clamping after it does, and keeps every x in the range of an
  /// integer. It also stands between the product and the sum that rounds, so that no compiler fuses them.
  HWY_INLINE vector<float> round(vector<float> v) const {
    return hn::Add(hn::Min(hn::Max(hn::Mul(v, inverse_), low_), high_), hn::Set(tag<float>{}, rounder));
  }

#if HWY_TARGET != HWY_SCALAR
  using bytes = hn::Repartition<std::uint8_t, tag<float>>;
  using sums64 = hn::Repartition<std::uint64_t, bytes>;

  /// The integers that `rounder` left in the floats, plus `above`, one vector after the other: in [0, 255].
  static HWY_INLINE hn::Vec<bytes> low_bytes(vector<float> v0, vector<float> v1, vector<float> v2, vector<float> v3,
                                             std::int32_t above) noexcept {
#if HWY_TARGET <= HWY_AVX3_DL
    alignas(64) static constexpr auto lowest = [] {  // of 16 floats and of the next 16
      std::array<std::uint8_t, 64> places{};
      for (std::size_t i = 0; i != 32; ++i) places[i] = static_cast<std::uint8_t>(4 * i);
      return places;
    }();
    const auto from = _mm512_load_si512(lowest.data());
    const auto v01 = _mm512_permutex2var_epi8(_mm512_castps_si512(v0.raw), from, _mm512_castps_si512(v1.raw));
    const auto v23 = _mm512_permutex2var_epi8(_mm512_castps_si512(v2.raw), from, _mm512_castps_si512(v3.raw));
    const hn::Vec<bytes> v{_mm512_inserti64x4(v01, _mm512_castsi512_si256(v23), 1)};
    return hn::Add(v, hn::Set(bytes{}, static_cast<std::uint8_t>(above)));
#else
    constexpr tag<std::int32_t> d;
    constexpr hn::Repartition<std::int16_t, decltype(d)> d16;
    const auto integer = [=](auto v) ZOQAT_INLINE_LAMBDA {
      return hn::Add(hn::BitCast(d, v), hn::Set(d, above - rounder_bits));
    };
    const auto v01 = hn::ReorderDemote2To(d16, integer(v0), integer(v1));
    const auto v23 = hn::ReorderDemote2To(d16, integer(v2), integer(v3));
    // Each 128 bits of these hold four integers of each vector.
#if HWY_TARGET <= HWY_AVX3
    const auto order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return hn::Vec<bytes>{_mm512_permutexvar_epi32(order, _mm512_packus_epi16(v01.raw, v23.raw))};
#elif HWY_TARGET <= HWY_AVX2
    const auto order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    return hn::Vec<bytes>{_mm256_permutevar8x32_epi32(_mm256_packus_epi16(v01.raw, v23.raw), order)};
#else
    constexpr hn::Half<bytes> half;
    return hn::Combine(bytes{}, hn::DemoteTo(half, v23), hn::DemoteTo(half, v01));
#endif
#endif
  }
#endif

  std::uint8_t* to_;
  vector<float> inverse_, low_, high_;
  std::int32_t above_, up_;
  vector<std::int32_t> rest_;
#if HWY_TARGET != HWY_SCALAR
  hn::Vec<sums64> sums_;
#endif
};

struct quantize_kernels {
  static range min_max(const float* x, std::size_t n) noexcept { return min_max(weight_row{x}, n); }
  static range min_max(const weight_row& w, std::size_t n) noexcept {
    return specialize(w, [n](const auto& weights) HWY_ATTR { return bounds(weights, n); });
  }

  static void materialize(const weight_row& w, std::size_t n, float* out) noexcept {
    specialize(w, [=](const auto& weights) HWY_ATTR {
      for_each_vector(n, [=](auto at, std::size_t i) HWY_ATTR { at.store(weights.load(at, i), out + i); });
    });
  }

  static void quantize(const float* x, std::size_t n, grid g, int bits, std::uint8_t* codes) noexcept {
    plain_codes(x, n, g, bits, codes);
  }
  static std::int32_t quantize(const weight_row& w, std::size_t n, const code_range& r,
                               std::uint8_t* codes) noexcept {
    return specialize(w, [&](const auto& weights) HWY_ATTR { return to_codes(weights, n, &r, {codes})[0]; });
  }
  static std::array<std::int32_t, 2> quantize(const weight_pair& w, std::size_t n, const code_range* ranges,
                                              std::uint8_t* forward, std::uint8_t* back) noexcept {
    const bool smooth = w.smoothing[0];
    if (smooth != static_cast<bool>(w.smoothing[1]))
      return {quantize(w.row(0), n, ranges[0], forward), quantize(w.row(1), n, ranges[1], back)};
    const auto both = [&](const auto& weights) HWY_ATTR { return to_codes(weights, n, ranges, {forward, back}); };
    if (w.direction) return specialize<pair_vectors, number_steps>(w, smooth, both);
    return specialize<pair_vectors, sign_steps>(w, smooth, both);
  }
  static quantized_row quantize_row(const float* x, std::size_t n, int bits, bool symmetric,
                                    std::uint8_t* codes) noexcept {
    const grid g = grid_of(min_max(x, n), bits, symmetric);
    return {g, plain_codes(x, n, g, bits, codes)};
  }

  static void dequantize(const std::uint8_t* codes, std::size_t n, grid g, float* out) noexcept {
    const auto scale = hn::Set(tag<float>{}, g.scale);
    const auto zero_point = hn::Set(tag<std::int32_t>{}, g.zero_point);
    const auto minimum = hn::Set(tag<float>{}, g.minimum);
    for_each_vector(n, [=](auto at, std::size_t i) HWY_ATTR {
      const auto code = hn::PromoteTo(tag<std::int32_t>{}, at.load(codes + i));
      at.store(hn::MulSub(scale, hn::ConvertTo(tag<float>{}, hn::Sub(code, zero_point)), minimum), out + i);
    });
  }

  static std::int32_t sum(const std::uint8_t* codes, std::size_t n) noexcept {
    return sum_of<std::int32_t>(n, [codes](auto total, auto at, std::size_t i) HWY_ATTR {
      return hn::Add(total, hn::PromoteTo(tag<std::int32_t>{}, at.load(codes + i)));
    });
  }

 private:
  template <class Weights>
  static HWY_INLINE range bounds(const Weights& weights, std::size_t n) noexcept {
    struct extremes {
      vector<float> min, max;
    };
    const auto zero = hn::Zero(tag<float>{});
    // Min and Max return their second operand where the first is NaN.
    const extremes e = fold(
        n, extremes{zero, zero},
        [&](extremes sofar, auto at, std::size_t i) HWY_ATTR {
          const auto v = weights.load(at, i);
          return extremes{hn::Min(v, sofar.min), hn::Max(v, sofar.max)};
        },
        [](extremes l, extremes r) HWY_ATTR {
          return extremes{hn::Min(l.min, r.min), hn::Max(l.max, r.max)};
        });
    return {hn::GetLane(hn::MinOfLanes(tag<float>{}, e.min)), hn::GetLane(hn::MaxOfLanes(tag<float>{}, e.max))};
  }

  static HWY_INLINE std::int32_t plain_codes(const float* x, std::size_t n, grid g, int bits,
                                             std::uint8_t* codes) noexcept {
    const code_range all{g, 0, (1 << bits) - 1};
    return to_codes(weight_vectors<unperturbed, false>({x}), n, &all, {codes})[0];
  }

  template <class Weights>
  static HWY_INLINE std::array<std::int32_t, Weights::rows> to_codes(
      const Weights& weights, std::size_t n, const code_range* ranges,
      const std::array<std::uint8_t*, Weights::rows>& codes) noexcept {
    constexpr std::size_t rows = Weights::rows;
    row_coder coders[rows];
    unroll<rows>([&](auto r) ZOQAT_INLINE_LAMBDA { coders[r] = row_coder(ranges[r], codes[r]); });
    std::size_t i = 0;
#if HWY_TARGET != HWY_SCALAR
    for (; i + 4 * vector_length <= n; i += 4 * vector_length) {
      typename Weights::step steps[4];
      weights.steps.load_four(i, steps);
      vector<float> v[4][rows];
      unroll<4>([&](auto u) ZOQAT_INLINE_LAMBDA { weights.load(whole{}, i + u * vector_length, steps[u], v[u]); });
      unroll<rows>([&](auto r) ZOQAT_INLINE_LAMBDA { coders[r].write(v[0][r], v[1][r], v[2][r], v[3][r], i); });
    }
#endif
    for_each_vector(n - i, [&](auto at, std::size_t j) ZOQAT_INLINE_LAMBDA {
      vector<float> v[rows];
      weights.load(at, i + j, weights.steps.load(at, i + j), v);
      unroll<rows>([&](auto r) ZOQAT_INLINE_LAMBDA { coders[r].write(at, v[r], i + j); });
    });
    std::array<std::int32_t, rows> sums;
    unroll<rows>([&](auto r) ZOQAT_INLINE_LAMBDA { sums[r] = coders[r].sum(n); });
    return sums;
  }
};

}  // namespace zoqat::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
