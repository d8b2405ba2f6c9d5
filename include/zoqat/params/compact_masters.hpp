// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/numeric.hpp>

#include <algorithm>
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
  fp16,  ///< 16 bits: eight times as fine as bf16, but no further than ±65504, where it saturates
};
inline constexpr std::array<std::string_view, 4> master_format_names{"fp32", "bf16", "int8", "fp16"};

/// Masters that are not one run of fp32, where they lie: a view. One of `halves`, `codes` with scales, `fp16s` or
/// `floats`, or nothing.
///
/// Rows may lie apart, as those of a part of a fused matrix do: with a `stride`, each row of `cols` elements begins
/// that many after the one before, and what is between belongs to somebody else. Elements are counted without it.
struct compact_masters {
  /// Codes that share a scale: elements [block * i, block * (i + 1)) of the tensor, whatever its rows.
  static constexpr std::size_t block = 128;
  /// The code of 0: code c stands for scale * (c - zero).
  static constexpr std::int32_t zero = 128;

  std::span<bf16> halves{};
  std::span<std::uint8_t> codes{};
  std::span<const bf16> scales{};  ///< positive; one for each block of codes
  std::span<fp16> fp16s{};
  std::span<float> floats{};  ///< of rows that lie apart; others are the `values` of their parameter
  /// Instead of `scales`, where the codes are an engine's: signed bytes that stand for scale * byte, in [-127, 127].
  std::span<const float> host_scales{};
  std::size_t scale_size = block;    ///< elements that share a scale
  std::size_t cols = 0, stride = 0;  ///< of rows that lie apart; 0 for one run

  [[nodiscard]] static constexpr std::size_t blocks(std::size_t n) noexcept { return (n + block - 1) / block; }
  [[nodiscard]] constexpr std::size_t size() const noexcept {
    const std::size_t spanned = halves.size() + codes.size() + fp16s.size() + floats.size();
    return stride == 0 || spanned == 0 ? spanned : ((spanned - cols) / stride + 1) * cols;
  }
};

namespace detail {

/// Calls f(first, n, at) for the longest runs of elements [first, first + n) that lie together; `at` is where the
/// storage has the first of them.
template <class F>
void for_each_run(const compact_masters& m, std::size_t first, std::size_t n, F&& f) {
  if (m.stride == 0 || n == 0) return f(first, n, first);
  for (const std::size_t end = first + n; first != end;) {
    const std::size_t row = first / m.cols, run = std::min(end, (row + 1) * m.cols) - first;
    f(first, run, row * m.stride + first % m.cols);
    first += run;
  }
}

}  // namespace detail

}  // namespace zoqat
