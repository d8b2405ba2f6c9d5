// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/params/masters.hpp>
#include <zoqat/simd/default_kernels.hpp>
#include <zoqat/zo/estimator.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::zo {

/// The objective of an engine that reads its own buffers: writes each lane's point into the buffers, calls `loss()`
/// or `loss(micro_batch)`, and puts the masters back, bit by bit, even when `loss` throws. Adding and subtracting εu
/// does not (MeZO's weights drift by it), so this keeps a copy of the trainable tensors for the time of an
/// evaluation; an engine that can read through `zo::lanes` instead needs none.
///
/// Buffers of fewer bits hold a point as well as they can: the nearest number to each element. An ε that is to show
/// in bf16 must be about 2⁻⁸ of the weights or more.
template <distribution Distribution, parameter_store Store, class Loss>
  requires(std::invocable<Loss&> || std::invocable<Loss&, std::size_t>)
class in_place_objective {
 public:
  in_place_objective(Store& parameters, Loss loss, Distribution elements)
      : parameters_(parameters), loss_(std::move(loss)), elements_(elements) {}

  void operator()(std::span<const perturbation> points, std::size_t micro_batch, std::span<double> losses) {
    const restore_on_exit masters(parameters_, backup_);
    for (std::size_t i = 0; i != points.size(); ++i) {
      masters.for_each([&](const parameter& master, const parameter& buffer) { move(points[i], master, buffer); });
      if constexpr (std::invocable<Loss&, std::size_t>)
        losses[i] = static_cast<double>(loss_(micro_batch));
      else
        losses[i] = static_cast<double>(loss_());
    }
  }

 private:
  using kernels = simd::default_kernels;

  struct copies {
    buffer<float> values;
    buffer<bf16> halves;
    buffer<std::uint8_t> codes;

    void clear() {
      values.clear();
      halves.clear();
      codes.clear();
    }
    void append(const parameter& p) {
      values.insert(values.end(), p.values.begin(), p.values.end());
      halves.insert(halves.end(), p.compact.halves.begin(), p.compact.halves.end());
      codes.insert(codes.end(), p.compact.codes.begin(), p.compact.codes.end());
    }
  };

  class restore_on_exit {
   public:
    restore_on_exit(Store& parameters, copies& backup) : parameters_(parameters), backup_(backup) {
      backup_.clear();
      parameters_.for_each_parameter([&](const parameter& p) { backup_.append(p); });
    }
    restore_on_exit(const restore_on_exit&) = delete;
    restore_on_exit& operator=(const restore_on_exit&) = delete;
    ~restore_on_exit() {
      for_each([](const parameter& master, const parameter& buffer) {
        std::ranges::copy(master.values, buffer.values.begin());
        std::ranges::copy(master.compact.halves, buffer.compact.halves.begin());
        std::ranges::copy(master.compact.codes, buffer.compact.codes.begin());
      });
    }
    /// Calls f(master, buffer): the parameter as it was, and as the engine reads it.
    template <class F>
    void for_each(F&& f) const {
      std::size_t values = 0, halves = 0, codes = 0;
      const auto next = [](auto& copy, std::size_t& at, std::size_t n) {
        const std::span all(copy);
        return all.subspan(std::exchange(at, at + n), n);
      };
      parameters_.for_each_parameter([&](const parameter& p) {
        parameter master = p;
        master.values = next(backup_.values, values, p.values.size());
        master.compact.halves = next(backup_.halves, halves, p.compact.halves.size());
        master.compact.codes = next(backup_.codes, codes, p.compact.codes.size());
        f(master, p);
      });
    }

   private:
    Store& parameters_;
    copies& backup_;
  };

  /// Writes a parameter at a point into the engine's buffer.
  void move(const perturbation& point, const parameter& master, const parameter& buffer) const {
    const float scale = point.scale[master.group];
    if (master.compact.size() == 0)
      return read_perturbed<kernels>(elements_, master, point.along, {&scale, 1}, 0, master.size(),
                                     buffer.values.data());
    detail::for_each_chunk<kernels>(master, 0, master.size(), [&](std::size_t at, std::size_t n, float* values) {
      detail::perturb<kernels>(elements_, master, point.along, {&scale, 1}, at, n, values, values, n);
      round_masters<kernels>(buffer, at, n, values);
    });
  }

  Store& parameters_;
  Loss loss_;
  [[no_unique_address]] Distribution elements_;
  copies backup_;
};

/// `zo::in_place(parameters, [&] { return engine.loss(batch); })`.
template <parameter_store Store, class Loss, distribution Distribution = gaussian>
[[nodiscard]] auto in_place(Store& parameters, Loss loss, const Distribution& elements = {}) {
  return in_place_objective<Distribution, Store, Loss>(parameters, std::move(loss), elements);
}

}  // namespace zoqat::zo
