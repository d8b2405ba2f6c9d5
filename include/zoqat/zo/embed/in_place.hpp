// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/params/masters.hpp>
#include <zoqat/params/stored_masters.hpp>
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

  /// Writes the masters of all parameters back when it goes out of scope.
  class restore_on_exit {
   public:
    restore_on_exit(Store& parameters, buffer<std::byte>& backup) : parameters_(parameters), backup_(backup) {
      std::size_t bytes = 0;
      parameters_.for_each_parameter([&](const parameter& p) { bytes += room_for(p); });
      backup_.resize(bytes);
      for_each([](const parameter& master, const parameter& buffer) { copy_masters(buffer, master); });
    }
    restore_on_exit(const restore_on_exit&) = delete;
    restore_on_exit& operator=(const restore_on_exit&) = delete;
    ~restore_on_exit() {
      for_each([](const parameter& master, const parameter& buffer) { copy_masters(master, buffer); });
    }
    /// Calls f(master, buffer): the parameter as it was, and as the engine reads it.
    template <class F>
    void for_each(F&& f) const {
      std::size_t at = 0;
      parameters_.for_each_parameter([&](const parameter& p) {
        f(stored_in(p, backup_.data() + at), p);
        at += room_for(p);
      });
    }

   private:
    static std::size_t room_for(const parameter& p) noexcept {
      return (stored_bytes(p) + alignment - 1) / alignment * alignment;
    }

    Store& parameters_;
    buffer<std::byte>& backup_;
  };

  /// Writes a parameter at a point into the engine's buffer.
  void move(const perturbation& point, const parameter& master, const parameter& buffer) const {
    const float scale = point.scale[master.group];
    if (buffer.compact.size() == 0)
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
  buffer<std::byte> backup_;
};

/// `zo::in_place(parameters, [&] { return engine.loss(batch); })`.
template <parameter_store Store, class Loss, distribution Distribution = gaussian>
[[nodiscard]] auto in_place(Store& parameters, Loss loss, const Distribution& elements = {}) {
  return in_place_objective<Distribution, Store, Loss>(parameters, std::move(loss), elements);
}

}  // namespace zoqat::zo
