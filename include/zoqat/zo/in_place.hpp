// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/zo/estimator.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>
#include <utility>

namespace zoqat::zo {

/// The objective of an engine that reads its own buffers: writes each lane's point into the buffers, calls `loss()`
/// or `loss(micro_batch)`, and puts the masters back, bit by bit, even when `loss` throws. Adding and subtracting εu
/// does not (MeZO's weights drift by it), so this keeps a copy of the trainable tensors for the time of an
/// evaluation; an engine that can read through `zo::lanes` instead needs none.
template <distribution Distribution, parameter_store Store, class Loss>
  requires(std::invocable<Loss&> || std::invocable<Loss&, std::size_t>)
class in_place_objective {
 public:
  in_place_objective(Store& parameters, Loss loss, Distribution elements)
      : parameters_(parameters), loss_(std::move(loss)), elements_(elements) {}

  void operator()(std::span<const perturbation> points, std::size_t micro_batch, std::span<double> losses) {
    const restore_on_exit masters(parameters_, backup_);
    for (std::size_t i = 0; i != points.size(); ++i) {
      masters.write([&](const parameter& master, float* values) {
        const float scale = points[i].scale[master.group];
        read_perturbed(elements_, master, points[i].along, {&scale, 1}, 0, master.values.size(), values);
      });
      if constexpr (std::invocable<Loss&, std::size_t>) losses[i] = static_cast<double>(loss_(micro_batch));
      else losses[i] = static_cast<double>(loss_());
    }
  }

 private:
  class restore_on_exit {
   public:
    restore_on_exit(Store& parameters, buffer<float>& backup) : parameters_(parameters), backup_(backup) {
      backup_.clear();
      parameters_.for_each_parameter(
          [&](const parameter& p) { backup_.insert(backup_.end(), p.values.begin(), p.values.end()); });
    }
    restore_on_exit(const restore_on_exit&) = delete;
    restore_on_exit& operator=(const restore_on_exit&) = delete;
    ~restore_on_exit() {
      write([](const parameter& master, float* values) {
        std::copy(master.values.begin(), master.values.end(), values);
      });
    }
    /// Calls f(master, values): the parameter as it was, and where the engine reads it.
    template <class F>
    void write(F&& f) const {
      std::size_t at = 0;
      parameters_.for_each_parameter([&](const parameter& p) {
        parameter master = p;
        master.values = {backup_.data() + at, p.values.size()};
        at += p.values.size();
        f(master, p.values.data());
      });
    }

   private:
    Store& parameters_;
    buffer<float>& backup_;
  };

  Store& parameters_;
  Loss loss_;
  [[no_unique_address]] Distribution elements_;
  buffer<float> backup_;
};

/// `zo::in_place(parameters, [&] { return engine.loss(batch); })`.
template <parameter_store Store, class Loss, distribution Distribution = gaussian>
[[nodiscard]] auto in_place(Store& parameters, Loss loss, const Distribution& elements = {}) {
  return in_place_objective<Distribution, Store, Loss>(parameters, std::move(loss), elements);
}

}  // namespace zoqat::zo
