// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/params/parameter.hpp>
#include <zoqat/zo/log/run_log.hpp>
#include <zoqat/zo/update.hpp>

#include <cstddef>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::zo::workers {

/// What coordinator and workers have in common: an objective that is evaluated in part, and the parameters that all
/// of them move alike. Passes on what a training run asks of an objective.
template <class Objective, parameter_store Store>
class member_objective {
 public:
  void select(std::uint32_t step)
    requires requires(Objective& o) { o.select(step); }
  {
    loss_.select(step);
  }
  [[nodiscard]] std::size_t micro_batches() const
    requires requires(const Objective& o) { o.micro_batches(); }
  {
    return loss_.micro_batches();
  }
  template <distribution Distribution>
  void defer(const update<Distribution>& u, Store& parameters)
    requires requires(Objective& o) { o.defer(u, parameters); }
  {
    loss_.defer(u, parameters);
  }
  void flush(Store& parameters)
    requires requires(Objective& o) { o.flush(parameters); }
  {
    loss_.flush(parameters);
  }

 protected:
  member_objective(Objective& loss, Store& parameters) : loss_(loss), parameters_(parameters) {}

  [[nodiscard]] Objective& loss() noexcept { return loss_; }
  [[nodiscard]] Store& parameters() noexcept { return parameters_; }
  /// Of the weights as they are, with every update so far made.
  [[nodiscard]] std::uint64_t fingerprint_now() {
    if constexpr (requires { loss_.flush(parameters_); }) loss_.flush(parameters_);
    return fingerprint(parameters_);
  }

 private:
  Objective& loss_;
  Store& parameters_;
};

}  // namespace zoqat::zo::workers
