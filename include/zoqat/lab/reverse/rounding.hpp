// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/lab/reverse/tape.hpp>

#include <cstddef>
#include <deque>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::lab::reverse {

/// What a model's quantizers add to values, in the order in which a computation meets them: noted the first time, and
/// from `hold` on given again, wherever the parameters have moved since.
///
/// This is what "straight-through" means here. A value that is rounded is x + c, where c is what rounding adds to it,
/// and c counts as a constant; a value at an end of its codes stays there. So the gradient is not an approximation
/// but the exact one of a smooth function, the loss with all its roundings held, and finite differences of that
/// function check it.
class roundings {
 public:
  /// From now on what was noted is given.
  void hold() noexcept { held_ = true, next_ = 0; }
  [[nodiscard]] bool held() const noexcept { return held_; }

  /// What `make()` says when this place is met for the first time. Throws value_error where a held computation meets
  /// more places than were noted.
  template <class Make>
  [[nodiscard]] const matrix<double>& note(Make&& make) {
    if (!held_) return notes_.emplace_back(make());
    require(next_ != notes_.size(), "roundings: {} were noted, and one more is asked for: it is another computation",
            notes_.size());
    return notes_[next_++];
  }

 private:
  std::deque<matrix<double>> notes_;  // whose elements stay where they are
  std::size_t next_ = 0;
  bool held_ = false;
};

/// Values as a quantizer leaves them. An element of `clamped` is not 0 where a value lies beyond the last code.
struct rounded_values {
  matrix<double> values, clamped;
};

/// What x becomes when it is rounded; `round()` makes rounded_values of it, and is called when this place is met for
/// the first time. The derivative is 1, and 0 where values are clamped: grids that follow the range of values, as
/// those of activations do, count as constants.
template <class Round>
[[nodiscard]] variable straight_through(tape& t, variable x, roundings& r, Round&& round) {
  rounded_values made;
  if (!r.held()) made = round();
  const matrix<double>& clamped = r.note([&] { return std::move(made.clamped); });
  const matrix<double>& added = r.note([&] {
    matrix<double> c = std::move(made.values);
    for (std::size_t i = 0; i != c.size(); ++i)
      if (clamped.data()[i] == 0) c.data()[i] -= x->value.data()[i];
    return c;
  });
  matrix<double> value = added;
  for (std::size_t i = 0; i != value.size(); ++i)
    if (clamped.data()[i] == 0) value.data()[i] += x->value.data()[i];
  return t.operation(std::move(value), [x, &clamped](const node& result) {
    for (std::size_t i = 0; i != result.value.size(); ++i)
      if (clamped.data()[i] == 0) x->gradient.data()[i] += result.gradient.data()[i];
  });
}
/// The same of values that are all within reach of their grid.
template <class Round>
[[nodiscard]] variable straight_through_unclamped(tape& t, variable x, roundings& r, Round&& values) {
  return straight_through(t, x, r, [&] {
    return rounded_values{values(), matrix<double>(x->value.rows(), x->value.cols(), 0.0)};
  });
}

}  // namespace zoqat::lab::reverse
