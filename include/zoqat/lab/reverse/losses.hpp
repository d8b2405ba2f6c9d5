// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/lab/reverse/tape.hpp>
#include <zoqat/nn/loss.hpp>
#include <zoqat/nn/pass.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::lab::reverse {

/// Σ over rows of −Σ p log softmax(x) + Σ p log p, for logits x and target probabilities p [rows, words], divided by
/// `divisor`: the KL divergence from p, and for p that are 0 and 1 the cross-entropy.
[[nodiscard]] inline variable divergence(tape& t, variable logits, matrix<double> p, double divisor) {
  const matrix<double>& x = logits->value;
  require(x.rows() == p.rows() && x.cols() == p.cols(), "divergence: logits [{}, {}] with targets [{}, {}]", x.rows(),
          x.cols(), p.rows(), p.cols());
  matrix<double> value(1, 1, 0.0), slope(x.rows(), x.cols());
  for (std::size_t i = 0; i != x.rows(); ++i) {
    const double top = *std::ranges::max_element(x.row(i));
    double total = 0;
    for (const double v : x.row(i)) total += std::exp(v - top);
    const double normalizer = top + std::log(total);
    for (std::size_t j = 0; j != x.cols(); ++j) {
      if (p(i, j) > 0) value(0, 0) += p(i, j) * (std::log(p(i, j)) - x(i, j) + normalizer) / divisor;
      slope(i, j) = (std::exp(x(i, j) - normalizer) - p(i, j)) / divisor;
    }
  }
  return t.operation(std::move(value), [logits, slope = std::move(slope)](const node& result) {
    for (std::size_t i = 0; i != slope.size(); ++i)
      logits->gradient.data()[i] += slope.data()[i] * result.gradient(0, 0);
  });
}

// A loss says after which tokens of a batch it wants logits, `tokens()`, and makes a number of them,
// `operator()(tape, logits [tokens, vocabulary])`.

/// The mean cross-entropy with the targets of a batch, as nn::cross_entropy has it.
class text_loss {
 public:
  explicit text_loss(const nn::token_batch& batch) : tokens_(nn::detail::scored_tokens(batch)) {
    for (const std::size_t i : tokens_) targets_.push_back(static_cast<std::size_t>(batch.target(i)));
  }
  /// The cross-entropy with other targets, one for each of `tokens`, summed and divided by `divisor`.
  text_loss(std::vector<std::size_t> tokens, std::vector<std::size_t> targets, double divisor)
      : tokens_(std::move(tokens)), targets_(std::move(targets)), divisor_(divisor) {}

  [[nodiscard]] const std::vector<std::size_t>& tokens() const noexcept { return tokens_; }
  /// Throws value_error for a target outside the vocabulary.
  [[nodiscard]] variable operator()(tape& t, variable logits) const {
    matrix<double> p(logits->value.rows(), logits->value.cols(), 0.0);
    for (std::size_t i = 0; i != targets_.size(); ++i) {
      require(targets_[i] < p.cols(), "text_loss: target {} is outside the vocabulary of {}", targets_[i], p.cols());
      p(i, targets_[i]) = 1;
    }
    return divergence(t, logits, std::move(p), divisor_ > 0 ? divisor_ : static_cast<double>(targets_.size()));
  }

 private:
  std::vector<std::size_t> tokens_, targets_;
  double divisor_ = 0;  // 0: their number
};

/// The mean KL divergence from a teacher, as nn::distillation has it, up to the rounding of its probabilities.
class teacher_loss {
 public:
  teacher_loss(const nn::token_batch& batch, const nn::teacher_scores& teacher)
      : tokens_(nn::detail::scored_tokens(batch)), p_(teacher.probability.rows(), teacher.probability.cols()) {
    for (std::size_t i = 0; i != p_.rows(); ++i) {
      double total = 0;  // of floats, so that it is not 1 to the last bit
      for (const float v : teacher.probability.row(i)) total += static_cast<double>(v);
      for (std::size_t j = 0; j != p_.cols(); ++j) p_(i, j) = static_cast<double>(teacher.probability(i, j)) / total;
    }
  }

  [[nodiscard]] const std::vector<std::size_t>& tokens() const noexcept { return tokens_; }
  [[nodiscard]] variable operator()(tape& t, variable logits) const {
    return divergence(t, logits, p_, static_cast<double>(tokens_.size()));
  }

 private:
  std::vector<std::size_t> tokens_;
  matrix<double> p_;
};

}  // namespace zoqat::lab::reverse
