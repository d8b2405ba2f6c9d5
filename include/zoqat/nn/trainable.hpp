// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/params/compact_storage.hpp>
#include <zoqat/params/lanes.hpp>
#include <zoqat/params/master_rows.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/simd/kernels.hpp>

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::nn {

/// Hands out the ids of a model's parameters in the order of construction, so that equal models have equal ids, and
/// says whether its matrices take memory at once.
class parameter_ids {
 public:
  /// Without `allocates`, tensors of more than one row wait for trainable::allocate.
  explicit parameter_ids(bool allocates = true) noexcept : allocates_(allocates) {}
  [[nodiscard]] std::uint32_t next() noexcept { return next_++; }
  [[nodiscard]] bool allocates() const noexcept { return allocates_; }

 private:
  std::uint32_t next_ = 0;
  bool allocates_;
};

/// A named tensor [rows, cols] that can train: masters in fp32, or in fewer bits (params/compact_masters.hpp).
class trainable {
 public:
  trainable() = default;
  // A block holds dozens of these; inlined wherever a block is moved or destroyed, they cost minutes of compile time
  // under the sanitizers.
  [[gnu::noinline]] trainable(const trainable&) = default;
  [[gnu::noinline]] trainable(trainable&&) noexcept = default;
  [[gnu::noinline]] trainable& operator=(const trainable&) = default;
  [[gnu::noinline]] trainable& operator=(trainable&&) noexcept = default;
  [[gnu::noinline]] ~trainable() = default;
  trainable(parameter_ids& ids, std::string name, parameter_group group, std::size_t rows, std::size_t cols,
            float value = 0)
      : id_(ids.next()), name_(std::move(name)), group_(group), rows_(rows), cols_(cols), value_(value) {
    if (ids.allocates() || rows == 1) allocate();
  }

  /// Takes memory for masters in fp32, unless they are there.
  void allocate() {
    if (empty()) values_ = matrix<float>(rows_, cols_, value_);
  }
  /// Stores the masters in another format.
  void store_as(master_format format) {
    if (empty() || format == compact_.format()) return;
    if (!compact_.empty()) widen();
    if (format == master_format::fp32) return;
    compact_ = compact_storage(format, values_.flat());
    values_ = {};
  }

  [[nodiscard]] parameter view() const noexcept {
    // A parameter is a reference, as std::span is: handing one out does not change the model.
    return {id_,
            name_,
            group_,
            const_cast<matrix<float>&>(values_).flat(),
            unit_,
            swept() ? cols_ : 0,
            swept() ? granularity_ : 1,
            const_cast<compact_storage&>(compact_).view(),
            frozen_};
  }
  /// It stays where it is from now on: no lane moves it, and the model does not hand it out to those who train.
  void freeze() noexcept { frozen_ = true; }
  [[nodiscard]] bool frozen() const noexcept { return frozen_; }
  /// Declares that passes read it through `sweep_rows` alone, rows in parts that begin at multiples of `part_size` in
  /// their row (see `parameter`).
  void sweep(std::size_t part_size) noexcept { granularity_ = std::gcd(cols_, part_size); }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::size_t cols() const noexcept { return cols_; }
  /// There are no masters: not yet, or not any more.
  [[nodiscard]] bool empty() const noexcept { return values_.empty() && compact_.empty(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return values_.size() * sizeof(float) + compact_.bytes(); }
  /// The masters, where they are in fp32.
  [[nodiscard]] matrix<float>& values() noexcept { return values_; }
  [[nodiscard]] const matrix<float>& values() const noexcept { return values_; }
  /// The masters in any format.
  [[nodiscard]] zoqat::master_rows master_rows() const noexcept { return {view(), rows_, cols_}; }
  /// The memory of rows [first, first + count).
  [[nodiscard]] simd::prefetch_hint memory(std::size_t first, std::size_t count) const noexcept {
    const std::size_t at = first * cols_, n = count * cols_;
    const parameter p = view();
    if (!p.compact.halves.empty()) return {p.compact.halves.data() + at, n * sizeof(bf16)};
    if (!p.compact.codes.empty()) return {p.compact.codes.data() + at, n};
    if (!p.compact.fp16s.empty()) return {p.compact.fp16s.data() + at, n * sizeof(fp16)};
    return {p.values.data() + at, n * sizeof(float)};
  }

  /// The natural step of each row (see parameter::unit); as many as rows, or none.
  [[nodiscard]] buffer<float>& unit() noexcept { return unit_; }
  [[nodiscard]] const buffer<float>& unit() const noexcept { return unit_; }

  /// Frees the masters: what remains of them is packed elsewhere.
  void release() {
    values_ = {};
    compact_ = {};
    unit_ = {};
  }

 private:
  void widen() {
    matrix<float> values(rows_, cols_);
    read_masters<simd::default_kernels>(view(), 0, values.size(), values.data());
    values_ = std::move(values);
    compact_ = {};
  }
  [[nodiscard]] bool swept() const noexcept { return granularity_ != 0; }

  std::uint32_t id_ = 0;
  std::string name_;
  parameter_group group_ = parameter_group::weight;
  std::size_t granularity_ = 0;  // 0: not swept
  std::size_t rows_ = 0, cols_ = 0;
  float value_ = 0;
  matrix<float> values_;
  compact_storage compact_;
  buffer<float> unit_;
  bool frozen_ = false;
};

/// All of a small tensor on every lane: [lanes, size].
template <lane_reader Lanes>
void read_all(const Lanes& lanes, const trainable& t, matrix<float>& out) {
  const parameter p = t.view();
  out.reshape(lanes.count(), p.size());
  lanes.read(p, 0, p.size(), out.data());
}

}  // namespace zoqat::nn
