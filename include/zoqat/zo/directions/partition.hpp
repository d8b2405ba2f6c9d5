// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/zo/direction.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::zo {

/// Every element belongs to one of the q directions of a step, at random and in turn: u_i is ±√q where direction i
/// has the element and 0 elsewhere. So any number of directions is exactly orthogonal in tensors of any size, which
/// `orthogonal` is for powers of two only, and E[u_i u_iᵀ] = I.
///
/// E‖ĝ‖² = (d / q)‖g‖² on a linear loss where q divides the sizes of the tensors, as for `orthogonal`; at q = d the
/// estimate is the gradient, coordinate by coordinate. Elements that move go √q times as far, which a loss that is
/// not linear notices.
///
/// Cost: that of Rademacher elements. An estimator may have fewer directions, never more.
class partition {
 public:
  /// Throws value_error for no directions.
  explicit partition(std::uint32_t directions) : directions_(directions) {
    require(directions > 0, "partition: 0 directions; there must be at least 1");
    height_ = static_cast<float>(std::sqrt(static_cast<double>(directions)));
  }

  static constexpr const char* name() noexcept { return "partition"; }
  [[nodiscard]] std::uint32_t directions() const noexcept { return directions_; }

  template <class Kernels>
  void fill(rng::stream s, std::uint64_t first, float* out, std::size_t n) const noexcept {
    const std::uint32_t index = s.index;
    s.index = 0;  // signs and turns are those of the step
    Kernels::rademacher(s, first, out, n);
    s.use = rng::purpose::choice;
    std::uint64_t turn = (first + s.bits(0)[0]) % directions_;
    for (std::size_t i = 0; i != n; ++i) {
      out[i] = turn == index ? out[i] * height_ : 0.0f;
      if (++turn == directions_) turn = 0;
    }
  }
  friend bool operator==(const partition&, const partition&) = default;

 private:
  std::uint32_t directions_;
  float height_;
};

static_assert(elementwise_distribution<partition>);

}  // namespace zoqat::zo
