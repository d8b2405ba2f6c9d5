// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/update.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace zoqat::inline ZOQAT_ABI::zo {

/// Evaluates the lanes of a step in batches, to bound the memory of activations: they take the room of so many lanes
/// however many a step has, and steps of many directions need no more than one pair does. What lanes share, such as
/// the unpacking of frozen weights, is done once for each batch. The losses are those of all lanes at once, where
/// lanes do not influence each other. Everything else that a trainer asks an objective for is asked of `loss`, which
/// must outlive this.
template <class Loss>
class lane_batches {
 public:
  /// Throws value_error for batches of no lane.
  explicit lane_batches(Loss& loss, std::size_t lanes_in_batch = 2) : loss_(loss), lanes_in_batch_(lanes_in_batch) {
    require(lanes_in_batch > 0, "lane_batches: 0 lanes in a batch; there must be at least 1");
  }

  template <distribution Distribution>
  void operator()(const lane_points<Distribution>& lanes, std::size_t micro_batch, std::span<double> losses) {
    for (std::size_t first = 0, n; first != lanes.size(); first += n) {
      n = std::min(lanes_in_batch_, lanes.size() - first);
      loss_(lanes.part(first, n), micro_batch, losses.subspan(first, n));
    }
  }
  void select(std::uint32_t step)
    requires requires(Loss& loss) { loss.select(step); }
  {
    loss_.select(step);
  }
  [[nodiscard]] auto micro_batches() const
    requires requires(const Loss& loss) { loss.micro_batches(); }
  {
    return loss_.micro_batches();
  }
  template <distribution Distribution, parameter_store Store>
    requires requires(Loss& loss, Store& parameters, const update<Distribution>& u) { loss.defer(u, parameters); }
  void defer(const update<Distribution>& u, Store& parameters) {
    loss_.defer(u, parameters);
  }
  template <parameter_store Store>
    requires requires(Loss& loss, Store& parameters) { loss.flush(parameters); }
  void flush(Store& parameters) {
    loss_.flush(parameters);
  }

 private:
  Loss& loss_;
  std::size_t lanes_in_batch_;
};

}  // namespace zoqat::zo
