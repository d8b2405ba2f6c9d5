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

/// Evaluates the lanes of a step in batches, to bound the memory of activations: with two lanes at a time, a step of
/// many directions takes no more memory than one antithetic pair. Work that lanes share, such as the unpacking of
/// frozen weights, is repeated for each batch. The losses equal those of a single call, since lanes do not influence
/// each other. All other requests of a trainer are passed on to `loss`, which must outlive this object.
template <class Loss>
class in_turns {
 public:
  /// Throws value_error for no lane at a time.
  explicit in_turns(Loss& loss, std::size_t lanes_at_a_time = 2) : loss_(loss), at_a_time_(lanes_at_a_time) {
    require(lanes_at_a_time > 0, "in_turns: 0 lanes at a time; there must be at least 1");
  }

  void operator()(std::span<const perturbation> lanes, std::size_t micro_batch, std::span<double> losses) {
    for (std::size_t first = 0, n; first != lanes.size(); first += n) {
      n = std::min(at_a_time_, lanes.size() - first);
      loss_(lanes.subspan(first, n), micro_batch, losses.subspan(first, n));
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
  [[nodiscard]] auto elements() const
    requires requires(const Loss& loss) { loss.elements(); }
  {
    return loss_.elements();
  }
  template <parameter_store Store>
    requires requires(Loss& loss, Store& parameters, const update& u) { loss.defer(u, parameters); }
  void defer(const update& u, Store& parameters) {
    loss_.defer(u, parameters);
  }
  template <parameter_store Store>
    requires requires(Loss& loss, Store& parameters) { loss.flush(parameters); }
  void flush(Store& parameters) {
    loss_.flush(parameters);
  }

 private:
  Loss& loss_;
  std::size_t at_a_time_;
};

}  // namespace zoqat::zo
