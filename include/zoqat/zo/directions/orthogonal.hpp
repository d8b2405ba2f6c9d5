// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/packed_signs.hpp>
#include <zoqat/zo/direction.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::zo {

/// The directions of a step are orthogonal: u_i = D · (row i of a Hadamard matrix), with one diagonal D of random
/// signs for all directions of the step. Element j is D_j (−1)^popcount(i & j), a pure function of (i, j): no QR, no
/// memory, no limit but the tensor's size, and the price of Rademacher directions.
///
/// Each u_i by itself is uniform on {−1, 1}ᵈ, because D is. Any two of q directions are exactly orthogonal in every
/// tensor whose size is a multiple of the least power of two N ≥ q; in other tensors all but the last (size mod N)
/// elements are. Tensors are orthogonal one by one, and so all together.
///
/// E‖ĝ‖² = (d / q)‖g‖² on a linear loss, of which (d/q − 1)‖g‖² is error: at q = d the gradient itself
/// (cf. arXiv 2205.14737). Averaged independent directions have about (d/q)‖g‖² of error.
struct orthogonal {
  static constexpr const char* name() noexcept { return "orthogonal"; }

  template <class Kernels>
  static void fill(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
    Kernels::rademacher(diagonal_of(s), first, out, n);
    constexpr std::size_t width = packed_signs::granularity;
    std::array<std::uint32_t, width> flips;
    for (std::uint32_t column = 0; column != width; ++column) flips[column] = odd(s.index & column) ? sign_bit : 0;
    for (std::size_t i = 0; i != n;) {
      const std::uint64_t at = first + i;
      const std::uint32_t flip = odd(s.index & at & ~std::uint64_t{width - 1}) ? sign_bit : 0;
      for (std::size_t column = at % width; column != width && i != n; ++column, ++i)
        out[i] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(out[i]) ^ flips[column] ^ flip);
    }
  }

  static constexpr bool gives_signs() noexcept { return true; }
  template <class Kernels>
  static void fill_signs(rng::stream s, std::uint64_t superblock, std::size_t count, std::uint32_t* words) noexcept {
    Kernels::rademacher_words(diagonal_of(s), superblock, count, words);
    // Element e of a superblock is bit 31 − e / 16 % 32 of words[e / 512][e % 16].
    constexpr std::size_t width = packed_signs::granularity, rows = packed_signs::superblock_words / width;
    std::uint32_t within_word = 0;
    for (std::uint32_t unit = 0; unit != 32; ++unit)
      if (odd(s.index / width & unit)) within_word |= sign_bit >> unit;
    for (std::uint64_t row = superblock * rows; row != (superblock + count) * rows; ++row)
      for (std::uint64_t column = 0; column != width; ++column)
        *words++ ^= odd(s.index & (row * 512 + column)) ? ~within_word : within_word;
  }

 private:
  static constexpr std::uint32_t sign_bit = 0x80000000u;
  static constexpr bool odd(std::uint64_t bits) noexcept { return std::popcount(bits) % 2 != 0; }
  static constexpr rng::stream diagonal_of(rng::stream s) noexcept {
    s.index = 0;
    return s;
  }
};

static_assert(sign_distribution<orthogonal>);

}  // namespace zoqat::zo
