// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/zo/perturbation.hpp>
#include <zoqat/zo/update.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// An update that swept parameters (see `parameter`) receive row by row when the next forward pass reads them: the
/// masters then travel through the cache once per step, for the update of step t and the perturbation of step t + 1.
/// All other parameters are few and are updated at once. The result is bitwise equal to that of `zo::apply`, even if
/// a pass visits only some of the rows. Call `flush`, which updates the remaining rows, before reading the masters.
///
/// Memory: a byte per row of swept parameters.
template <distribution Distribution, simd::kernels Kernels = simd::default_kernels>
class deferred_update {
 public:
  explicit deferred_update(Distribution elements = {}) noexcept : elements_(elements) {}

  /// Takes over `u` after finishing the one before.
  template <parameter_store Store, executor Executor>
  void defer(const update& u, Store& parameters, Executor& threads) {
    flush(parameters, threads);
    apply_if<Kernels>(elements_, u, parameters, threads, [](const parameter& p) { return p.row_size == 0; });
    update_ = u;
    if (u.slope.empty()) return;
    parameters.for_each_parameter([&](const parameter& p) {
      if (p.row_size == 0 || u.gain[p.group] == 0) return;
      if (waiting_.size() <= p.id) waiting_.resize(p.id + 1);
      waiting_[p.id].assign(p.size() / p.row_size, 1);
    });
  }

  /// Makes the update of rows [first, first + count), but of those for which it was made before.
  void apply_rows(const parameter& p, std::size_t first, std::size_t count) noexcept {
    if (p.id >= waiting_.size() || waiting_[p.id].empty()) return;
    const std::span<std::uint8_t> waits = std::span(waiting_[p.id]).subspan(first, count);
    for (std::size_t row = 0; row != count;) {
      std::size_t end = row;
      while (end != count && waits[end]) waits[end++] = 0;
      const std::size_t begin = (first + row) * p.row_size;
      if (end != row) detail::move<Kernels>(elements_, update_, p, begin, (end - row) * p.row_size);
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
  [[no_unique_address]] Distribution elements_;
  update update_;
  std::vector<std::vector<std::uint8_t>> waiting_;  // by id: which rows wait
};

}  // namespace zoqat::zo
