// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace zoqat::inline ZOQAT_ABI {

/// A 64-bit hash of bytes, eight at a time: finds files that were damaged or do not belong together. Not against
/// malice. `seed` chains calls.
[[nodiscard]] inline std::uint64_t hash_bytes(std::span<const std::byte> bytes,
                                              std::uint64_t seed = 0xcbf29ce484222325u) noexcept {
  constexpr std::uint64_t multiplier = 0x9E3779B97F4A7C15u;
  std::uint64_t hash = seed ^ bytes.size() * multiplier;
  const auto mix = [&](std::uint64_t word) {
    hash = (hash ^ word) * multiplier;
    hash ^= hash >> 29;
  };
  for (; bytes.size() >= sizeof(std::uint64_t); bytes = bytes.subspan(sizeof(std::uint64_t))) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data(), sizeof(word));
    mix(word);
  }
  std::uint64_t rest = 0;
  if (!bytes.empty()) std::memcpy(&rest, bytes.data(), bytes.size());
  mix(rest);
  return hash;
}

}  // namespace zoqat
