// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/packed_signs.hpp>
#include <zoqat/zo/direction.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::zo {

/// u uniform on a product of spheres: every run of 2048 elements of a tensor, and the m that are left at its end, is
/// a Gaussian vector scaled to the length √2048, or √m. A tensor of at most 2048 elements is one sphere.
///
/// ‖u‖² = d exactly, and E[uuᵀ] = I: for one direction on a linear loss E‖ĝ‖² = d‖g‖², whatever the number of
/// spheres, as for Rademacher directions. One sphere for all parameters would differ from Gaussian directions by a
/// factor of about 1 ± 1/√(2d) alone, and its elements would not be functions of their place.
///
/// Cost: that of Gaussian elements and a sum of their squares; a run that is read in part is made as a whole.
struct sphere {
  static constexpr std::size_t run = packed_signs::superblock;
  static constexpr const char* name() noexcept { return "sphere"; }

  template <class Kernels>
  static void fill(const direction& along, const parameter& p, std::uint64_t first, float* out,
                   std::size_t n) noexcept {
    const rng::stream s = along.of_tensor(p.id);
    for (std::size_t done = 0, count; done != n; done += count) {
      const std::uint64_t at = first + done, begin = at - at % run;
      const std::size_t size = std::min<std::size_t>(run, p.size() - begin), skipped = at - begin;
      count = std::min(n - done, size - skipped);
      if (count == size) {
        fill_run<Kernels>(s, begin, out + done, size);
      } else {
        alignas(alignment) std::array<float, run> whole;
        fill_run<Kernels>(s, begin, whole.data(), size);
        std::copy_n(whole.data() + skipped, count, out + done);
      }
    }
  }

 private:
  template <class Kernels>
  static void fill_run(rng::stream s, std::uint64_t begin, float* u, std::size_t n) noexcept {
    Kernels::gaussian(s, begin, u, n);
    const auto scale = static_cast<float>(std::sqrt(static_cast<double>(n) / sum_of_squares(u, n)));
    for (std::size_t i = 0; i != n; ++i) u[i] *= scale;
  }
  /// In one order on every target; the square of a float is exact in double, so that contraction changes nothing.
  static double sum_of_squares(const float* u, std::size_t n) noexcept {
    std::array<double, 16> sums{};
    std::size_t i = 0;
    for (; i + sums.size() <= n; i += sums.size())
      for (std::size_t j = 0; j != sums.size(); ++j) sums[j] += double{u[i + j]} * double{u[i + j]};
    for (std::size_t j = 0; i != n; ++i, ++j) sums[j] += double{u[i]} * double{u[i]};
    double total = 0;
    for (const double sum : sums) total += sum;
    return total;
  }
};

static_assert(shaped_distribution<sphere>);

}  // namespace zoqat::zo
