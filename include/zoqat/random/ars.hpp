// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/random/aes.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::rng {

/// ARS4x32-7 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011): seven rounds of
/// AES with a Weyl sequence for a key schedule, a keyed bijection of 128-bit counters. The authors found five rounds
/// enough for BigCrush. Where AES is an instruction, it takes a fraction of Philox's time; where it is not, more. A
/// pure function, and no cipher.
struct ars4x32 {
  using counter = aes::block;
  using key = aes::block;

  static constexpr int rounds = 7;
  static constexpr std::uint64_t weyl0 = 0x9E3779B97F4A7C15u, weyl1 = 0xBB67AE8584CAA73Bu;

  [[nodiscard]] static constexpr counter generate(const counter& c, key k) noexcept {
    counter state = add(c, k);
    for (int i = 1; i != rounds; ++i) state = aes::round(state, k = next(k));
    return aes::last_round(state, next(k));
  }
  /// What comes before the first round: the bits of the key added to those of the counter.
  [[nodiscard]] static constexpr counter add(const counter& c, const key& k) noexcept {
    return {c[0] ^ k[0], c[1] ^ k[1], c[2] ^ k[2], c[3] ^ k[3]};
  }
  /// The key of the round after the one of key `k`: two sums of 64 bits.
  [[nodiscard]] static constexpr key next(const key& k) noexcept {
    const std::uint64_t lower = (std::uint64_t{k[1]} << 32 | k[0]) + weyl0;
    const std::uint64_t upper = (std::uint64_t{k[3]} << 32 | k[2]) + weyl1;
    return {static_cast<std::uint32_t>(lower), static_cast<std::uint32_t>(lower >> 32),
            static_cast<std::uint32_t>(upper), static_cast<std::uint32_t>(upper >> 32)};
  }
};

/// ARS over counters that differ only in their first word, as the blocks of a stream do: plain data, so that vector
/// kernels can broadcast it. The call operator is the specification of what they do with it.
struct ars4x32_run {
  alignas(16) ars4x32::counter start;  ///< before the first round, of counter {0, c[1], c[2], c[3]}
  alignas(16) std::array<ars4x32::key, ars4x32::rounds> keys{};  ///< of all rounds

  /// A run over {any, c[1], c[2], c[3]}.
  constexpr ars4x32_run(const ars4x32::counter& c, ars4x32::key k) noexcept
      : start(ars4x32::add({0, c[1], c[2], c[3]}, k)) {
    for (auto& key : keys) key = k = ars4x32::next(k);
  }

  /// The bits of counter {first, c[1], c[2], c[3]}: what `ars4x32::generate` gives.
  [[nodiscard]] constexpr ars4x32::counter operator()(std::uint32_t first) const noexcept {
    ars4x32::counter state = start;
    state[0] ^= first;
    for (std::size_t i = 0; i + 1 != keys.size(); ++i) state = aes::round(state, keys[i]);
    return aes::last_round(state, keys.back());
  }
};

}  // namespace zoqat::rng
