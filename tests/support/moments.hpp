// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/matrix.hpp>

#include <support/random_model.hpp>

#include <cstddef>
#include <vector>

namespace zoqat::testing {

/// Moments [n, n] of inputs that have much in common, as a network's have; `uneven`: and are of different sizes.
inline matrix<double> correlated_moments(std::size_t n, bool uneven = false) {
  constexpr std::size_t samples = 64;
  const auto own = random_matrix(samples, n, 1), common = random_matrix(samples, 3, 2, 2),
             mix = random_matrix(3, n, 3);
  matrix<double> h(n, n, 0.0);
  for (std::size_t s = 0; s != samples; ++s) {
    std::vector<double> x(n);
    for (std::size_t k = 0; k != n; ++k) {
      x[k] = double{own(s, k)};
      for (std::size_t c = 0; c != 3; ++c) x[k] += double{common(s, c)} * double{mix(c, k)};
      if (uneven) x[k] *= 1 + static_cast<double>(k * 7 % n) / 10;
    }
    for (std::size_t i = 0; i != n; ++i)
      for (std::size_t j = 0; j != n; ++j) h(i, j) += x[i] * x[j] / samples;
  }
  return h;
}

}  // namespace zoqat::testing
