// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>

#include <cstddef>
#include <deque>
#include <functional>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::lab::reverse {

/// A matrix that a computation made, and the derivative of its result by it, which is there after `tape::backward`.
struct node {
  matrix<double> value, gradient;
  std::function<void()> backward{};  ///< adds what this gradient is worth to those of the arguments
};
/// A node on a tape, which must outlive it.
using variable = node*;

/// The operations of a computation in the order in which they were made, each with what takes a derivative from its
/// result to its arguments: reverse-mode differentiation in its plainest form, in double. Nothing that trains uses
/// it. Memory: two matrices for each operation, and what it remembers.
class tape {
 public:
  tape() = default;
  tape(const tape&) = delete;
  tape& operator=(const tape&) = delete;

  /// A matrix that comes from outside: a parameter, or a constant whose gradient nobody asks for.
  [[nodiscard]] variable input(matrix<double> value) {
    matrix<double> zeros(value.rows(), value.cols(), 0.0);
    nodes_.push_back({std::move(value), std::move(zeros)});
    return &nodes_.back();
  }
  /// What an operation made. `backward(result)` is called once, with the whole gradient of the result.
  template <class Backward>
  [[nodiscard]] variable operation(matrix<double> value, Backward backward) {
    const variable result = input(std::move(value));
    result->backward = [result, backward = std::move(backward)] { backward(*result); };
    return result;
  }
  /// Leaves the derivative of `result` [1, 1] in the gradients of all that it was made of. Once for each tape. Throws
  /// value_error for a result that is no single number.
  void backward(variable result) {
    require(result->value.rows() == 1 && result->value.cols() == 1,
            "tape: the derivative is that of one number, but the result is [{}, {}]", result->value.rows(),
            result->value.cols());
    result->gradient(0, 0) = 1;
    for (auto at = nodes_.rbegin(); at != nodes_.rend(); ++at)
      if (at->backward) at->backward();
  }

 private:
  std::deque<node> nodes_;  // whose elements stay where they are
};

}  // namespace zoqat::lab::reverse
