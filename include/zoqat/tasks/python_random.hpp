// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

namespace detail {

/// Seeds a Mersenne twister as its authors' `init_by_array` does with one key, and so Python.
class twister_seed {
 public:
  using result_type = std::uint32_t;

  explicit twister_seed(std::uint32_t key) noexcept : key_(key) {}

  template <class Iterator>
  void generate(Iterator first, Iterator last) const {
    const std::size_t n = static_cast<std::size_t>(last - first);
    std::vector<std::uint32_t> state(n, 19650218u);
    const auto mixed = [&](std::size_t i, std::uint32_t by) { return (state[i] ^ (state[i] >> 30)) * by; };
    for (std::size_t i = 1; i != n; ++i) state[i] = mixed(i - 1, 1812433253u) + static_cast<std::uint32_t>(i);
    std::size_t i = 1;
    const auto advance = [&](auto&& value) {
      state[i] = value();
      if (++i == n) state[0] = state[n - 1], i = 1;
    };
    for (std::size_t k = 0; k != n; ++k) advance([&] { return (state[i] ^ mixed(i - 1, 1664525u)) + key_; });
    for (std::size_t k = 1; k != n; ++k)
      advance([&] { return (state[i] ^ mixed(i - 1, 1566083941u)) - static_cast<std::uint32_t>(i); });
    state[0] = 0x80000000u;
    std::ranges::copy(state, first);
  }

 private:
  std::uint32_t key_;
};

}  // namespace detail

/// The draws of Python's random.Random, by which other programs choose the examples in a prompt.
class python_random {
 public:
  /// As `random.Random(seed)`.
  explicit python_random(std::uint32_t seed) : twister_(seeded(seed)) {}

  /// As `sample(range(all), count)` of CPython 3.11 and later. Throws value_error for more than there are.
  [[nodiscard]] std::vector<std::size_t> sample(std::uint32_t all, std::size_t count) {
    require(count <= all, "python_random: {} of {} cannot be drawn", count, plural(all, "number"));
    return all <= most_in_pool(count) ? from_pool(all, count) : by_rejection(all, count);
  }

 private:
  [[nodiscard]] static std::mt19937 seeded(std::uint32_t seed) {
    detail::twister_seed sequence(seed);
    return std::mt19937(sequence);
  }
  /// Python's estimate of when a list takes less memory than a set.
  [[nodiscard]] static std::size_t most_in_pool(std::size_t count) noexcept {
    std::size_t power = 1;
    while (count > 5 && power < 3 * count) power *= 4;
    return count > 5 ? 21 + power : 21;
  }
  [[nodiscard]] std::size_t below(std::uint32_t n) {
    const auto bits = static_cast<unsigned>(std::bit_width(n));
    for (;;)
      if (const auto drawn = static_cast<std::uint32_t>(twister_()) >> (32 - bits); drawn < n) return drawn;
  }
  [[nodiscard]] std::vector<std::size_t> from_pool(std::uint32_t all, std::size_t count) {
    std::vector<std::size_t> pool(all), drawn;
    std::iota(pool.begin(), pool.end(), std::size_t{0});
    for (; drawn.size() != count; --all) {
      const std::size_t j = below(all);
      drawn.push_back(pool[j]);
      pool[j] = pool[all - 1];
    }
    return drawn;
  }
  [[nodiscard]] std::vector<std::size_t> by_rejection(std::uint32_t all, std::size_t count) {
    std::vector<std::size_t> drawn;
    while (drawn.size() != count)
      if (const std::size_t j = below(all); std::ranges::find(drawn, j) == drawn.end()) drawn.push_back(j);
    return drawn;
  }

  std::mt19937 twister_;
};

}  // namespace zoqat::tasks
