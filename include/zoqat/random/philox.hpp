// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <array>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::rng {

/// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a
/// keyed bijection of 128-bit counters whose outputs pass BigCrush. A pure function: no state anywhere.
struct philox4x32 {
  using counter = std::array<std::uint32_t, 4>;
  using key = std::array<std::uint32_t, 2>;

  static constexpr int rounds = 10;
  static constexpr std::uint32_t multiplier0 = 0xD2511F53u, multiplier1 = 0xCD9E8D57u;
  static constexpr std::uint32_t weyl0 = 0x9E3779B9u, weyl1 = 0xBB67AE85u;

  [[nodiscard]] static constexpr counter generate(counter c, key k) noexcept {
    for (int i = 0; i != rounds; ++i, k = next(k)) c = round(c, k);
    return c;
  }
  /// One of the ten rounds.
  [[nodiscard]] static constexpr counter round(counter c, key k) noexcept {
    const std::uint64_t p0 = std::uint64_t{multiplier0} * c[0];
    const std::uint64_t p1 = std::uint64_t{multiplier1} * c[2];
    return {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<std::uint32_t>(p1),
            static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<std::uint32_t>(p0)};
  }
  /// The key of the round after the one of key `k`.
  [[nodiscard]] static constexpr key next(key k) noexcept { return {k[0] + weyl0, k[1] + weyl1}; }
};

/// Philox over counters that differ only in their first word, as the blocks of a stream do. Half of the first two
/// rounds never sees that word and is computed once, here; an eighth of the work per block. Plain data, so that
/// vector kernels can broadcast it; the call operator is the specification of what they do with it.
struct philox4x32_run {
  std::uint32_t round1_c2;             ///< what round 1 xors into c[2], the upper half of a product
  std::uint32_t round2_c0, round2_c2;  ///< likewise round 2
  /// The keys of rounds 3 to 10. The c[3] that enters round 3 is the same for all blocks and is part of the first
  /// key.
  std::array<philox4x32::key, philox4x32::rounds - 2> keys{};

  /// A run over {any, c[1], c[2], c[3]}.
  constexpr philox4x32_run(philox4x32::counter c, philox4x32::key k) noexcept {
    // A zero stands in for what depends on the first word: its products and its xors drop out.
    c = philox4x32::round({0, c[1], c[2], c[3]}, k);
    round1_c2 = c[2];
    c = philox4x32::round({c[0], c[1], 0, 0}, k = philox4x32::next(k));
    round2_c0 = c[0];
    round2_c2 = c[2];
    for (auto& key : keys) key = k = philox4x32::next(k);
    keys[0][1] ^= c[3];
  }

  /// The bits of counter {first, c[1], c[2], c[3]}: what `philox4x32::generate` gives.
  [[nodiscard]] constexpr philox4x32::counter operator()(std::uint32_t first) const noexcept {
    const std::uint64_t p0 = std::uint64_t{philox4x32::multiplier0} * first;
    const std::uint64_t p1 =
        std::uint64_t{philox4x32::multiplier1} * (static_cast<std::uint32_t>(p0 >> 32) ^ round1_c2);
    philox4x32::counter c{static_cast<std::uint32_t>(p1 >> 32) ^ round2_c0, static_cast<std::uint32_t>(p1),
                          static_cast<std::uint32_t>(p0) ^ round2_c2, 0};
    for (const auto& key : keys) c = philox4x32::round(c, key);
    return c;
  }
};

}  // namespace zoqat::rng
