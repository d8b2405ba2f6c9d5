// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/params/parameter.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

// Where the tests of objectives evaluate them.

namespace zoqat::testing {

/// Both ways along each of so many directions, all groups moved by epsilon.
inline std::vector<zo::perturbation> pairs(std::uint32_t directions, float epsilon) {
  std::vector<zo::perturbation> points;
  for (std::uint32_t i = 0; i != directions; ++i) {
    points.push_back({{7, 0, i}, per_group<float>::all(epsilon)});
    points.push_back(-points.back());
  }
  return points;
}

/// The losses at `points`, as lanes of one evaluation.
template <class Distribution = zo::rademacher, class Objective>
std::vector<double> evaluate(Objective& loss, std::span<const zo::perturbation> points, std::size_t micro = 0) {
  std::vector<double> losses(points.size());
  loss(zo::lane_points<Distribution>{points, {}}, micro, losses);
  return losses;
}

}  // namespace zoqat::testing
