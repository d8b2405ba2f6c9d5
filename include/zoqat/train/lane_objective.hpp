// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/zo/deferred_update.hpp>
#include <zoqat/zo/perturbation.hpp>

namespace zoqat::inline ZOQAT_ABI::train {

/// What all objectives share that run the lanes of a step through a model at once: updates that wait for the next
/// pass, and the buffers of passes.
template <executor Executor, simd::kernels Kernels>
class lane_objective {
 public:
  /// Takes over an update of the model: the next pass makes it on its way through the weights.
  template <zo::distribution Distribution, parameter_store Store>
  void defer(const zo::update<Distribution>& u, Store& parameters) {
    deferred_.defer(u, parameters, threads_);
  }
  /// Finishes it, for whoever looks at the weights in between.
  template <parameter_store Store>
  void flush(Store& parameters) {
    deferred_.flush(parameters, threads_);
  }

 protected:
  explicit lane_objective(Executor& threads) : threads_(threads) {}

  template <zo::distribution Distribution>
  using lanes_type = zo::lanes<Distribution, Kernels, zo::deferred_update<Kernels>>;

  template <zo::distribution Distribution>
  [[nodiscard]] lanes_type<Distribution> lanes_at(const zo::lane_points<Distribution>& at) {
    return lanes_type<Distribution>(at, &deferred_);
  }
  [[nodiscard]] Executor& threads() noexcept { return threads_; }
  [[nodiscard]] nn::workspace& work() noexcept { return work_; }

 private:
  Executor& threads_;
  zo::deferred_update<Kernels> deferred_;
  nn::workspace work_;
};

}  // namespace zoqat::train
