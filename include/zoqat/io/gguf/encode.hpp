// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/io/gguf/blocks.hpp>
#include <zoqat/quant/row.hpp>
#include <zoqat/quant/scheme.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// Whether every grid that weights of a scheme may have is one of a block, and groups are of one size: then a block
/// holds their values bit for bit (but for the sign of a zero where its scale is negative).
template <class Weight, block B>
[[nodiscard]] constexpr bool holds() noexcept {
  using format = typename Weight::scale_format;
  constexpr std::size_t long_row = std::size_t{1} << 20;
  if constexpr (Weight::whole_tensor || Weight::bits != B::bits || Weight::group_size(long_row) != B::group ||
                Weight::shares_scales != (B::group != B::elements))
    return false;
  else if constexpr (Weight::has_minima != B::has_minima || Weight::zeros == quant::zero_points::any)
    return false;
  else if constexpr (Weight::shares_scales)
    return format::greatest == greatest_factor<B> && format::groups == B::elements / B::group;
  else
    return std::same_as<format, quant::fp16_scale>;
}

/// The tensor type that holds weights of a scheme exactly, or nothing.
template <class Weight>
[[nodiscard]] constexpr std::optional<tensor_type> type_of() noexcept {
  std::optional<tensor_type> type;
  const auto attempt = [&]<block B>() {
    if (holds<Weight, B>()) type = B::type;
  };
  attempt.template operator()<q8_0_block>();
  attempt.template operator()<q5_0_block>();
  attempt.template operator()<q5_1_block>();
  attempt.template operator()<q4_0_block>();
  attempt.template operator()<q4_1_block>();
  attempt.template operator()<q2_0_block>();
  attempt.template operator()<q6_k_block>();
  attempt.template operator()<q5_k_block>();
  attempt.template operator()<q4_k_block>();
  attempt.template operator()<q3_k_block>();
  attempt.template operator()<q2_k_block>();
  return type;
}

namespace detail {

/// Whether the steps of a grid run the other way in a block, which then has the codes from the other end.
template <block B>
[[nodiscard]] constexpr bool is_mirrored(const simd::grid& grid) noexcept {
  return !B::has_minima && grid.zero_point != B::zero_point;
}

/// Puts the grids of a block into it.
template <class Weight, block B>
void encode_grids(std::span<const simd::grid> grids, B& to) noexcept {
  if constexpr (B::group != B::elements) {
    const quant::shared_units units = quant::units_of<Weight>(grids);
    to.d = fp16(units.scale);
    if constexpr (B::has_minima) to.dmin = fp16(units.minimum);
    for (std::size_t g = 0; g != grids.size(); ++g) {
      const quant::shared_factors factors = quant::factors_of<Weight>(grids[g], units);
      if constexpr (B::has_minima)
        to.set_factors(g, static_cast<unsigned>(factors.scale), static_cast<unsigned>(factors.minimum));
      else
        to.set_factor(g, is_mirrored<B>(grids[g]) ? -factors.scale : factors.scale);
    }
  } else if constexpr (B::has_minima) {
    to.d = fp16(grids[0].scale);
    to.m = fp16(-grids[0].minimum);
  } else {
    to.d = fp16(is_mirrored<B>(grids[0]) ? -grids[0].scale : grids[0].scale);
  }
}

/// The code of what is nearest to zero on a grid.
template <block B>
[[nodiscard]] int code_of_zero(const simd::grid& g) noexcept {
  const float code = static_cast<float>(g.zero_point) + round_half_even(g.minimum / g.scale);
  return static_cast<int>(std::clamp(code, 0.0f, static_cast<float>((1 << B::bits) - 1)));
}

}  // namespace detail

/// Writes a row of codes and their grids as blocks. A row that ends within a block is filled up with zeros, or with
/// what its last grid has nearest to zero; `out` has room for whole blocks, and whatever more it has becomes blocks
/// of zeros.
template <class Weight, block B>
  requires(holds<Weight, B>())
void encode_row(std::span<const std::uint8_t> codes, std::span<const simd::grid> grids,
                std::span<std::byte> out) noexcept {
  constexpr std::size_t groups = B::elements / B::group;
  constexpr int top = (1 << B::bits) - 1;
  for (std::size_t b = 0; b != out.size() / sizeof(B); ++b) {
    B to{};
    const std::size_t first = std::min(grids.size(), b * groups);
    const auto of_block = grids.subspan(first, std::min(groups, grids.size() - first));
    if (!of_block.empty()) detail::encode_grids<Weight>(of_block, to);
    for (std::size_t i = 0; i != B::elements; ++i) {
      const std::size_t at = b * B::elements + i, group = i / B::group;
      if (at >= codes.size() && group >= of_block.size()) {
        to.set_code(i, B::zero_point);
      } else {
        const simd::grid& g = of_block[group];
        const int code = at < codes.size() ? codes[at] : detail::code_of_zero<B>(g);
        to.set_code(i, static_cast<unsigned>(detail::is_mirrored<B>(g) ? top - code : code));
      }
    }
    std::memcpy(out.data() + b * sizeof(B), &to, sizeof(B));
  }
}

}  // namespace zoqat::io::gguf
