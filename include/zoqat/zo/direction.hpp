// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/params/parameter.hpp>
#include <zoqat/random/stream.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::zo {

/// Names a random direction in the space of all parameters. Nobody stores the direction: element i of tensor t
/// is a pure function of (seed, step, index, t, i).
struct direction {
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  std::uint32_t index = 0;  ///< which of the q directions of the step

  [[nodiscard]] constexpr rng::stream of_tensor(std::uint32_t id) const noexcept {
    return {seed, step, index, id, rng::purpose::direction};
  }
  friend bool operator==(const direction&, const direction&) = default;
};

/// Distribution of a direction's elements, E[u] = 0 and E[uuᵀ] = I, one by one: `fill` writes elements
/// [first, first + n) of a stream, bit-identical on every target.
template <class D>
concept elementwise_distribution =
    std::copyable<D> && requires(const D& d, rng::stream s, std::uint64_t first, float* out, std::size_t n) {
      { d.name() } -> std::convertible_to<const char*>;
      { d.template fill<simd::default_kernels>(s, first, out, n) } noexcept;
    };

/// Likewise where an element's place in its tensor counts, its row or which others there are: `fill` writes elements
/// [first, first + n) of the direction in a tensor, a pure function of the direction and the tensor's id and shape.
template <class D>
concept shaped_distribution = std::copyable<D> && requires(const D& d, const direction& along, const parameter& p,
                                                           std::uint64_t first, float* out, std::size_t n) {
  { d.name() } -> std::convertible_to<const char*>;
  { d.template fill<simd::default_kernels>(along, p, first, out, n) } noexcept;
};

/// What directions an estimate is measured and an update is made along. One with settings compares equal (==) to
/// those that have the same, so that a run can tell whether it measures and moves along the same directions.
template <class D>
concept distribution = elementwise_distribution<D> || shaped_distribution<D>;

/// Writes elements [first, first + n) of a direction in `p`, whichever way the distribution makes them.
template <simd::kernels Kernels = simd::default_kernels, distribution Distribution>
void fill_direction(const Distribution& distribution, const direction& along, const parameter& p, std::uint64_t first,
                    float* out, std::size_t n) noexcept {
  if constexpr (shaped_distribution<Distribution>)
    distribution.template fill<Kernels>(along, p, first, out, n);
  else
    distribution.template fill<Kernels>(along.of_tensor(p.id), first, out, n);
}

/// What an update is made along that was measured along `distribution`: the same, unless they have an `of_update()`
/// that says otherwise.
template <distribution Distribution>
[[nodiscard]] constexpr auto of_update(const Distribution& distribution) noexcept {
  if constexpr (requires {
                  { distribution.of_update() } -> zo::distribution;
                })
    return distribution.of_update();
  else
    return distribution;
}

/// One that can give its elements as bits where they are all +1 or -1: where `d.gives_signs()`, `fill_signs` writes
/// superblocks [superblock, superblock + count) of a stream as `packed_signs` lays them out, the elements of `fill`.
template <class D>
concept sign_distribution = distribution<D> && requires(const D& d, rng::stream s, std::uint64_t superblock,
                                                        std::size_t count, std::uint32_t* words) {
  { d.gives_signs() } noexcept -> std::same_as<bool>;
  { d.template fill_signs<simd::default_kernels>(s, superblock, count, words) } noexcept;
};

/// u ~ N(0, I): eq. 2 of the paper. E‖ĝ‖² = (d + 2)‖g‖² for one direction on a linear loss.
struct gaussian {
  static constexpr const char* name() noexcept { return "gaussian"; }
  template <class Kernels>
  static void fill(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
    Kernels::gaussian(s, first, out, n);
  }
};

/// The same distribution from rounds of AES (ARS) in place of Philox: other directions, at two thirds of the time
/// where AES is an instruction and at several times the time where it is not.
struct gaussian_ars {
  static constexpr const char* name() noexcept { return "gaussian_ars"; }
  template <class Kernels>
  static void fill(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
    Kernels::gaussian_ars(s, first, out, n);
  }
};

/// u uniform on {−1, 1}ᵈ: the least variance of all independent directions, E‖ĝ‖² = d‖g‖², at a tenth of the cost.
struct rademacher {
  static constexpr const char* name() noexcept { return "rademacher"; }
  template <class Kernels>
  static void fill(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
    Kernels::rademacher(s, first, out, n);
  }
  static constexpr bool gives_signs() noexcept { return true; }
  template <class Kernels>
  static void fill_signs(rng::stream s, std::uint64_t superblock, std::size_t count, std::uint32_t* words) noexcept {
    Kernels::rademacher_words(s, superblock, count, words);
  }
};

/// Gaussian or Rademacher, chosen when the program runs: for programs whose users choose.
struct runtime_distribution {
  bool is_gaussian = true;

  [[nodiscard]] constexpr const char* name() const noexcept {
    return is_gaussian ? gaussian::name() : rademacher::name();
  }
  template <class Kernels>
  void fill(rng::stream s, std::uint64_t first, float* out, std::size_t n) const noexcept {
    if (is_gaussian)
      gaussian::fill<Kernels>(s, first, out, n);
    else
      rademacher::fill<Kernels>(s, first, out, n);
  }
  [[nodiscard]] constexpr bool gives_signs() const noexcept { return !is_gaussian; }
  template <class Kernels>
  static void fill_signs(rng::stream s, std::uint64_t superblock, std::size_t count, std::uint32_t* words) noexcept {
    rademacher::fill_signs<Kernels>(s, superblock, count, words);
  }
};

static_assert(distribution<gaussian> && !sign_distribution<gaussian>);
static_assert(distribution<gaussian_ars> && !sign_distribution<gaussian_ars>);
static_assert(sign_distribution<rademacher> && sign_distribution<runtime_distribution>);

}  // namespace zoqat::zo
