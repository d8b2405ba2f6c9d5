// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/numeric.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI {

/// How the masters of a tensor are stored. Every format trains: an update is computed in fp32 from the value a master
/// stands for, and rounded back stochastically, so that steps far below what the format resolves still move it in
/// expectation.
enum class master_format : std::uint8_t {
  fp32,
  bf16,  ///< 16 bits
  int8,  ///< 8.125 bits: codes on a symmetric grid for each block of 128
};
inline constexpr std::array<std::string_view, 3> master_format_names{"fp32", "bf16", "int8"};

/// Masters of fewer than 32 bits where they lie: a view. Either `halves` or `codes` with `scales`, or nothing.
struct compact_masters {
  /// Codes that share a scale: elements [block * i, block * (i + 1)) of the tensor, whatever its rows.
  static constexpr std::size_t block = 128;
  /// The code of 0: code c stands for scale * (c - zero).
  static constexpr std::int32_t zero = 128;

  std::span<bf16> halves{};
  std::span<std::uint8_t> codes{};
  std::span<const bf16> scales{};  ///< positive; one for each block of codes

  [[nodiscard]] static constexpr std::size_t blocks(std::size_t n) noexcept { return (n + block - 1) / block; }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return halves.size() + codes.size(); }
};

}  // namespace zoqat
