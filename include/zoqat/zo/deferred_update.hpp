// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/zo/perturbation.hpp>
#include <zoqat/zo/update.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// An update that swept parameters (see `parameter`) receive row by row when the next forward pass reads them: the
/// masters then travel through the cache once per step, for the update of step t and the perturbation of step t + 1.
/// All other parameters are few and are updated at once. The result is bitwise equal to that of `zo::apply`, even if
/// a pass visits only some of the rows. Call `flush`, which updates the remaining rows, before reading the masters.
///
/// Memory: a byte per row of swept parameters.
template <simd::kernels Kernels = simd::default_kernels>
class deferred_update {
 public:
  /// Takes over `u` after finishing the one before. Where memory runs out, `u` has moved nothing.
  template <distribution Distribution, parameter_store Store, executor Executor>
  void defer(const update<Distribution>& u, Store& parameters, Executor& threads) {
    flush(parameters, threads);
    std::function<move> next = [u](const parameter& p, std::size_t first, std::size_t n) {
      detail::move_masters<Kernels>(u, p, first, n);
    };
    parameters.for_each_parameter([&](const parameter& p) {
      if (!waits_for(u, p)) return;
      if (waiting_.size() <= p.id) waiting_.resize(p.id + 1);
      waiting_[p.id].assign(p.size() / p.row_size, 0);
    });
    apply_if<Kernels>(u, parameters, threads, [](const parameter& p) { return p.row_size == 0; });
    move_.swap(next);
    parameters.for_each_parameter([&](const parameter& p) {
      if (waits_for(u, p)) std::ranges::fill(waiting_[p.id], std::uint8_t{1});
    });
  }

  /// Makes the update of rows [first, first + count), but of those for which it was made before.
  void apply_rows(const parameter& p, std::size_t first, std::size_t count) noexcept {
    if (p.id >= waiting_.size() || waiting_[p.id].empty()) return;
    const std::span<std::uint8_t> waits = std::span(waiting_[p.id]).subspan(first, count);
    for (std::size_t row = 0; row != count;) {
      std::size_t end = row;
      while (end != count && waits[end]) waits[end++] = 0;
      if (end != row) move_(p, (first + row) * p.row_size, (end - row) * p.row_size);
      row = std::max(end, row + 1);
    }
  }

  /// Makes the update of all rows that still wait for it.
  template <parameter_store Store, executor Executor>
  void flush(Store& parameters, Executor& threads) {
    parameters.for_each_parameter([&](const parameter& p) {
      if (p.id >= waiting_.size() || std::ranges::count(waiting_[p.id], 1) == 0) return;
      constexpr std::size_t block = 32;
      const std::size_t rows = waiting_[p.id].size();
      threads.parallel_for((rows + block - 1) / block, [&](std::size_t task) {
        apply_rows(p, task * block, std::min(block, rows - task * block));
      });
    });
  }

 private:
  using move = void(const parameter& p, std::size_t first, std::size_t n);

  static bool waits_for(const planned_update& u, const parameter& p) noexcept {
    return p.row_size != 0 && u.gain[p.group] != 0 && !u.half_difference.empty();
  }

  std::function<move> move_;                        // of the update that rows wait for, whatever its distribution
  std::vector<std::vector<std::uint8_t>> waiting_;  // by id: which rows wait
};

}  // namespace zoqat::zo
