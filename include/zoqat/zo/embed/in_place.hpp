// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
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
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// The objective of an engine that reads its own buffers: writes each lane's point into the buffers, calls `loss()`
/// or `loss(micro_batch)`, and puts the masters back, bit by bit, even when `loss` throws. Adding and subtracting εu
/// does not (MeZO's weights drift by it), so this keeps a copy of the trainable tensors; an engine that can read
/// through `zo::lanes` instead needs none.
///
/// Buffers of fewer bits hold a point as well as they can: the nearest number to each element. An ε that is to show
/// in bf16 must be about 2⁻⁸ of the weights or more.
///
/// Memory: the bytes of the trainable masters once more. Cost of a call: a copy of the masters, a sweep over them for
/// each lane, and a copy back, on all threads of the executor. Throws value_error when it is called from within its
/// own loss: the copy it would take there is of moved masters.
template <parameter_store Store, class Loss, executor Executor>
  requires(std::invocable<Loss&> || std::invocable<Loss&, std::size_t>)
class in_place_objective {
 public:
  in_place_objective(Store& parameters, Loss loss, Executor threads)
      : parameters_(parameters), loss_(std::move(loss)), threads_(std::forward<Executor>(threads)) {}

  template <distribution Distribution>
  void operator()(const lane_points<Distribution>& at, std::size_t micro_batch, std::span<double> losses) {
    const restore_on_exit restored(*this);
    for (std::size_t lane = 0; lane != at.size(); ++lane) {
      pieces_.for_each(threads_, [&](std::size_t i, std::size_t first, std::size_t n) {
        write_point(at.distribution, at[lane], masters_[i], buffers_[i], first, n);
      });
      losses[lane] = evaluate(micro_batch);
    }
  }

 private:
  using kernels = simd::default_kernels;

  /// Saves the masters, and puts them back at the end of its life.
  class restore_on_exit {
   public:
    explicit restore_on_exit(in_place_objective& objective) : objective_(objective) {
      require(!objective.busy_,
              "in_place: the loss evaluates the objective that calls it; the masters are moved then");
      objective.save();
      objective.busy_ = true;
    }
    restore_on_exit(const restore_on_exit&) = delete;
    restore_on_exit& operator=(const restore_on_exit&) = delete;
    ~restore_on_exit() {
      objective_.busy_ = false;
      objective_.pieces_.for_each(objective_.threads_, [&](std::size_t i, std::size_t first, std::size_t n) {
        copy_masters(objective_.masters_[i], objective_.buffers_[i], first, n);
      });
    }

   private:
    in_place_objective& objective_;
  };

  static std::size_t room_for(const parameter& p) noexcept {
    return (stored_bytes(p) + alignment - 1) / alignment * alignment;
  }
  void save() {
    buffers_.clear();
    masters_.clear();
    std::size_t bytes = 0;
    parameters_.for_each_parameter([&](const parameter& p) {
      buffers_.push_back(p);
      bytes += room_for(p);
    });
    copy_.resize(bytes);
    std::byte* room = copy_.data();
    for (const parameter& p : buffers_) {
      masters_.push_back(stored_in(p, room));
      room += room_for(p);
    }
    pieces_ = detail::pieces(buffers_);
    pieces_.for_each(threads_, [&](std::size_t i, std::size_t first, std::size_t n) {
      copy_masters(buffers_[i], masters_[i], first, n);
    });
  }
  double evaluate(std::size_t micro_batch) {
    if constexpr (std::invocable<Loss&, std::size_t>)
      return static_cast<double>(loss_(micro_batch));
    else
      return static_cast<double>(loss_());
  }

  /// Writes elements [first, first + n) of a parameter at a point into the engine's buffer.
  template <distribution Distribution>
  static void write_point(const Distribution& distribution, const perturbation& point, const parameter& master,
                          const parameter& buffer, std::size_t first, std::size_t n) {
    const float scale = point.scale[master.group];
    if (buffer.compact.size() == 0)
      return read_perturbed<kernels>(distribution, master, point.along, {&scale, 1}, first, n,
                                     buffer.values.data() + first);
    detail::for_each_chunk<kernels>(master, first, n, [&](std::size_t at, std::size_t count, float* values) {
      detail::perturb<kernels>(distribution, master, point.along, {&scale, 1}, at, count, values, values, count);
      round_masters<kernels>(buffer, at, count, values);
    });
  }

  Store& parameters_;
  Loss loss_;
  Executor threads_;                          // a reference, or an executor without state
  std::vector<parameter> buffers_, masters_;  // as the engine reads them; as they were
  detail::pieces pieces_{{}};
  buffer<std::byte> copy_;
  bool busy_ = false;
};

/// `zo::in_place(parameters, [&] { return engine.loss(batch); }, threads)`. What directions are drawn from comes with
/// the lanes, from the estimator.
template <parameter_store Store, class Loss, class Executor = sequential>
  requires executor<std::remove_cvref_t<Executor>>
[[nodiscard]] auto in_place(Store& parameters, Loss loss, Executor&& threads = {}) {
  return in_place_objective<Store, Loss, Executor>(parameters, std::move(loss), std::forward<Executor>(threads));
}

}  // namespace zoqat::zo
