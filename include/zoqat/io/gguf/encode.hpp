// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/io/gguf/blocks.hpp>
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
  constexpr std::size_t long_row = std::size_t{1} << 20;
  if (Weight::whole_tensor || Weight::bits != B::bits || Weight::group_size(long_row) != B::group ||
      B::group != B::elements)
    return false;
  if constexpr (B::has_minima)
    return std::same_as<typename Weight::scale_format, quant::short_fp16_scale<B::bits>>;
  else
    return std::same_as<typename Weight::scale_type, fp16> && Weight::zeros != quant::zero_points::any;
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
  return type;
}

namespace detail {

/// Puts a grid and its codes into a block of one group.
template <block B>
void encode_group(std::span<const std::uint8_t> codes, const simd::grid& grid, B& to) noexcept {
  constexpr int top = (1 << B::bits) - 1;
  bool mirrored = false;
  if constexpr (B::has_minima) {
    to.d = fp16(grid.scale);
    to.m = fp16(-grid.scale * static_cast<float>(grid.zero_point));
  } else {
    mirrored = grid.zero_point != B::zero_point;
    to.d = fp16(mirrored ? -grid.scale : grid.scale);
  }
  for (std::size_t i = 0; i != B::elements; ++i) {
    const int code = i < codes.size() ? codes[i] : grid.zero_point;
    to.set_code(i, static_cast<unsigned>(mirrored ? top - code : code));
  }
}

}  // namespace detail

/// Writes a row of codes and their grids as blocks. A row that ends within a block is filled up with zeros; `out` has
/// room for whole blocks, and whatever more it has becomes blocks of zeros.
template <block B>
void encode_row(std::span<const std::uint8_t> codes, const simd::grid* grids, std::span<std::byte> out) noexcept {
  for (std::size_t b = 0; b != out.size() / sizeof(B); ++b) {
    const std::size_t first = std::min(codes.size(), b * B::elements);
    const auto part = codes.subspan(first, std::min(B::elements, codes.size() - first));
    B to{};
    detail::encode_group(part, part.empty() ? simd::grid{1, B::zero_point} : grids[b], to);
    std::memcpy(out.data() + b * sizeof(B), &to, sizeof(B));
  }
}

}  // namespace zoqat::io::gguf
