// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// The losses of a step as they come in: one for each lane and micro-batch, in any order, from wherever they are
/// evaluated. [micro_batches, lanes].
class loss_table {
 public:
  loss_table() = default;
  loss_table(std::size_t lanes, std::size_t micro_batches)
      : lanes_(lanes),
        missing_(lanes * micro_batches),
        values_(missing_, std::numeric_limits<double>::quiet_NaN()),
        known_(missing_, 0) {}

  [[nodiscard]] std::size_t lanes() const noexcept { return lanes_; }
  [[nodiscard]] std::size_t micro_batches() const noexcept { return lanes_ == 0 ? 0 : values_.size() / lanes_; }
  /// Every loss is there.
  [[nodiscard]] bool complete() const noexcept { return missing_ == 0; }
  [[nodiscard]] bool has(std::size_t lane, std::size_t micro_batch) const {
    return known_[place(lane, micro_batch)] != 0;
  }

  /// Throws value_error for a lane or a micro-batch that the step does not have, and for a loss that is there
  /// already.
  void set(std::size_t lane, std::size_t micro_batch, double loss) {
    const std::size_t at = place(lane, micro_batch);
    require(known_[at] == 0, "loss_table: the loss of lane {} on micro-batch {} was told before", lane, micro_batch);
    known_[at] = 1;
    values_[at] = loss;
    --missing_;
  }
  /// The losses of all lanes on a micro-batch, lane by lane.
  void set(std::size_t micro_batch, std::span<const double> losses) {
    require(losses.size() == lanes_, "loss_table: {} losses of a step with {} lanes", losses.size(), lanes_);
    for (std::size_t lane = 0; lane != lanes_; ++lane) set(lane, micro_batch, losses[lane]);
  }

  /// NaN where it was not told yet.
  [[nodiscard]] double operator()(std::size_t lane, std::size_t micro_batch) const {
    return values_[place(lane, micro_batch)];
  }
  [[nodiscard]] std::span<const double> of(std::size_t micro_batch) const {
    return std::span(values_).subspan(place(0, micro_batch), lanes_);
  }
  /// A loss that was told is not finite as a float, so that the step is lost whatever the others are.
  [[nodiscard]] bool spoiled() const noexcept {
    for (std::size_t i = 0; i != values_.size(); ++i)
      if (known_[i] != 0 && !std::isfinite(static_cast<float>(values_[i]))) return true;
    return false;
  }

 private:
  [[nodiscard]] std::size_t place(std::size_t lane, std::size_t micro_batch) const {
    require(lane < lanes_ && micro_batch < micro_batches(),
            "loss_table: there is no lane {} on micro-batch {}; the step has {} lanes on {} micro-batches", lane,
            micro_batch, lanes_, micro_batches());
    return micro_batch * lanes_ + lane;
  }

  std::size_t lanes_ = 0, missing_ = 0;
  std::vector<double> values_;
  std::vector<unsigned char> known_;
};

}  // namespace zoqat::zo
