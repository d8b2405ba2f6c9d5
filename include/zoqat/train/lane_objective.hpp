// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/zo/deferred_update.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <span>

namespace zoqat::inline ZOQAT_ABI::train {

/// What all objectives share that run the lanes of a step through a model at once: updates that wait for the next
/// pass, and the buffers of passes.
template <zo::distribution Distribution, executor Executor, simd::kernels Kernels>
class lane_objective {
 public:
  /// The distribution of the directions that lanes are along; the estimator must have the same.
  [[nodiscard]] Distribution elements() const { return elements_; }

  /// Takes over an update of the model: the next pass makes it on its way through the weights.
  template <parameter_store Store>
  void defer(const zo::update& u, Store& parameters) {
    deferred_.defer(u, parameters, threads_);
  }
  /// Finishes it, for whoever looks at the weights in between.
  template <parameter_store Store>
  void flush(Store& parameters) {
    deferred_.flush(parameters, threads_);
  }

 protected:
  lane_objective(Executor& threads, Distribution elements)
      : threads_(threads), elements_(elements), deferred_(elements) {}

  using lanes_type = zo::lanes<Distribution, Kernels, zo::deferred_update<Distribution, Kernels>>;
  [[nodiscard]] lanes_type lanes_at(std::span<const zo::perturbation> points) {
    return lanes_type(points, elements_, &deferred_);
  }
  [[nodiscard]] Executor& threads() noexcept { return threads_; }
  [[nodiscard]] nn::workspace& work() noexcept { return work_; }

 private:
  Executor& threads_;
  [[no_unique_address]] Distribution elements_;
  zo::deferred_update<Distribution, Kernels> deferred_;
  nn::workspace work_;
};

}  // namespace zoqat::train
