// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/io/gguf/blocks.hpp>
#include <zoqat/io/gguf/decode.hpp>
#include <zoqat/io/gguf/tensor_type.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

namespace detail {

/// The least and the greatest of some values, zero included.
struct extremes {
  float least = 0, greatest = 0;
  explicit extremes(std::span<const float> x) {
    for (const float value : x) least = std::min(least, value), greatest = std::max(greatest, value);
  }
};

/// Half precision at its widest rather than infinite.
[[nodiscard]] inline fp16 finite_half(float x) noexcept { return fp16(std::clamp(x, -65504.0f, 65504.0f)); }

/// The code nearest to a value.
template <block B>
[[nodiscard]] unsigned nearest(float x, float scale, float minimum) noexcept {
  constexpr auto top = static_cast<float>((1 << B::bits) - 1);
  const float steps = scale == 0 ? 0.0f : round_half_even((x + minimum) * (1.0f / scale));
  return static_cast<unsigned>(std::clamp(steps + static_cast<float>(B::zero_point), 0.0f, top));
}

/// The scale with which codes reach from the least value to the greatest: negative where that takes smaller steps.
template <block B>
[[nodiscard]] float signed_scale(const extremes& of) noexcept {
  constexpr auto below = static_cast<float>(B::zero_point), above = static_cast<float>((1 << B::bits) - 1) - below;
  const float up = std::max(of.greatest / above, -of.least / below);
  const float down = std::max(of.greatest / below, -of.least / above);
  return down < up ? -down : up;
}

/// x as a multiple of a unit.
[[nodiscard]] inline float in_units(float x, fp16 unit) noexcept {
  const auto u = static_cast<float>(unit);
  return u == 0 ? 0.0f : round_half_even(x / u);
}

/// Chooses the grids of a block.
template <block B>
void fit_grids(std::span<const float, B::elements> x, B& to) noexcept {
  constexpr std::size_t groups = B::elements / B::group;
  std::array<float, groups> scales{}, minima{};
  float greatest_scale = 0, greatest_minimum = 0;
  for (std::size_t g = 0; g != groups; ++g) {
    const extremes of(x.subspan(g * B::group, B::group));
    scales[g] =
        B::has_minima ? (of.greatest - of.least) / static_cast<float>((1 << B::bits) - 1) : signed_scale<B>(of);
    minima[g] = -of.least;
    greatest_scale = std::max(greatest_scale, std::abs(scales[g]));
    greatest_minimum = std::max(greatest_minimum, minima[g]);
  }
  if constexpr (groups == 1) {
    to.d = finite_half(scales[0]);
    if constexpr (B::has_minima) to.m = finite_half(-minima[0]);
  } else {
    constexpr int most = greatest_factor<B>;
    to.d = finite_half(greatest_scale / most);
    if constexpr (B::has_minima) to.dmin = finite_half(greatest_minimum / most);
    for (std::size_t g = 0; g != groups; ++g) {
      const int factor = std::clamp(static_cast<int>(in_units(scales[g], to.d)), -most, most);
      if constexpr (B::has_minima) {
        const auto minimum = std::min(static_cast<unsigned>(in_units(minima[g], to.dmin)), unsigned{most});
        to.set_factors(g, static_cast<unsigned>(factor), minimum);
      } else {
        to.set_factor(g, factor);
      }
    }
  }
}

}  // namespace detail

/// Rounds the values of a block to nearest, on grids that reach from its least value to its greatest.
template <block B>
[[nodiscard]] B round_to_block(std::span<const float, B::elements> x) noexcept {
  B to{};
  detail::fit_grids<B>(x, to);
  for (std::size_t i = 0; i != B::elements; ++i) {
    const std::size_t g = i / B::group;
    float minimum = 0;
    if constexpr (B::has_minima) minimum = to.minimum(g);
    to.set_code(i, detail::nearest<B>(x[i], to.scale(g), minimum));
  }
  return to;
}

/// Whether values can be rounded to that type: all that are read.
[[nodiscard]] inline bool is_encodable(tensor_type type) { return is_decodable(type); }

/// Rounds a row of values to a type, to nearest. `row` is a multiple of the elements of a block, and `out` has the
/// bytes that it takes. Throws value_error for a type that is not written.
inline void round_row(tensor_type type, std::span<const float> row, std::span<std::byte> out) {
  const auto narrow = [&]<class T>() {
    for (std::size_t i = 0; i != row.size(); ++i) {
      const T x(row[i]);
      std::memcpy(out.data() + i * sizeof(T), &x, sizeof(T));
    }
    return true;
  };
  const auto rounded = [&]<block B>() {
    for (std::size_t b = 0; b != row.size() / B::elements; ++b) {
      const B to = round_to_block<B>(row.subspan(b * B::elements).template first<B::elements>());
      std::memcpy(out.data() + b * sizeof(B), &to, sizeof(B));
    }
  };
  const bool done = type == tensor_type::f32    ? narrow.template operator()<float>()
                    : type == tensor_type::f16  ? narrow.template operator()<fp16>()
                    : type == tensor_type::bf16 ? narrow.template operator()<bf16>()
                                                : with_block(type, rounded);
  require(done, "{} is not written by this version of the library", info_of(type).name);
}

}  // namespace zoqat::io::gguf
