// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/random/stream.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace zoqat::testing {

// What every backend on every target must reproduce. A change here breaks the replay of every run log.

inline constexpr rng::stream golden_stream{.seed = 0x0123456789abcdef, .step = 7, .index = 3, .tensor = 11};
inline constexpr std::uint64_t golden_first = 1000;  ///< ragged in superblocks of both distributions
inline constexpr std::size_t golden_size = 100000;

inline constexpr std::uint64_t golden_gaussian = 0x34c8310ef0d5d218;
inline constexpr std::uint64_t golden_gaussian_ars = 0xec04280e27be9c73;
inline constexpr std::uint64_t golden_rademacher = 0x60af2e869e3e37a5;
inline constexpr std::uint64_t golden_update = 0x3ccf08bb033fb01c;

/// FNV-1a over the bits of the floats, 32 at a time.
[[nodiscard]] inline std::uint64_t hash_of(std::span<const float> values) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const float value : values) hash = (hash ^ std::bit_cast<std::uint32_t>(value)) * 0x100000001b3u;
  return hash;
}

/// Weights after steps along Gaussian directions, by functions with the signatures of the kernels.
template <class Gaussian, class AddScaled>
[[nodiscard]] std::vector<float> golden_weights(Gaussian gaussian, AddScaled add_scaled) {
  std::vector<float> weights(golden_size, 0.02f), direction(golden_size);
  rng::stream s = golden_stream;
  for (s.step = 0; s.step != 5; ++s.step) {
    gaussian(s, golden_first, direction.data(), direction.size());
    add_scaled(weights.data(), direction.data(), -1e-3f / static_cast<float>(s.step + 3), weights.data(),
               golden_size);
  }
  return weights;
}

}  // namespace zoqat::testing
