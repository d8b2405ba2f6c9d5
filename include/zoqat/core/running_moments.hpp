// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

namespace zoqat::inline ZOQAT_ABI {

/// Mean and variance of numbers that come one at a time (Welford 1962) or in parts that are merged (Chan, Golub and
/// LeVeque 1979): no difference of large sums is taken, so a spread far below the mean keeps its digits.
class running_moments {
 public:
  constexpr void add(double x) noexcept {
    ++count_;
    const double from_old = x - mean_;
    mean_ += from_old / static_cast<double>(count_);
    squares_ += from_old * (x - mean_);
  }
  /// Adds all numbers that `other` has seen.
  constexpr void merge(const running_moments& other) noexcept {
    if (other.count_ == 0) return;
    const auto n = static_cast<double>(count_), m = static_cast<double>(other.count_);
    const double apart = other.mean_ - mean_;
    count_ += other.count_;
    mean_ += apart * (m / (n + m));
    squares_ += other.squares_ + apart * apart * (n * m / (n + m));
  }

  [[nodiscard]] constexpr std::uint64_t count() const noexcept { return count_; }
  /// The mean, or 0 before anything was added.
  [[nodiscard]] constexpr double mean() const noexcept { return mean_; }
  /// The variance of the population that the numbers were drawn from. Fewer than two numbers say nothing about it, so
  /// it is infinite then.
  [[nodiscard]] constexpr double variance() const noexcept {
    return count_ < 2 ? std::numeric_limits<double>::infinity() : squares_ / static_cast<double>(count_ - 1);
  }
  /// The standard deviation of the mean.
  [[nodiscard]] double standard_error() const noexcept {
    return count_ < 2 ? std::numeric_limits<double>::infinity() : std::sqrt(variance() / static_cast<double>(count_));
  }

 private:
  std::uint64_t count_ = 0;
  double mean_ = 0, squares_ = 0;
};

}  // namespace zoqat
