// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/lanes.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/core/parameter.hpp>

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <utility>

namespace zoqat::nn {

/// Hands out the ids of a model's parameters in the order of construction, so that equal models have equal ids.
class parameter_ids {
 public:
  [[nodiscard]] std::uint32_t next() noexcept { return next_++; }

 private:
  std::uint32_t next_ = 0;
};

/// A named fp32 master tensor [rows, cols] that can train.
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
      : id_(ids.next()), name_(std::move(name)), group_(group), values_(rows, cols, value) {}

  [[nodiscard]] parameter view() const noexcept {
    // A parameter is a reference, as std::span is: handing one out does not change the model.
    return {id_, name_, group_, const_cast<matrix<float>&>(values_).flat(), unit_, swept() ? values_.cols() : 0,
            swept() ? granularity_ : 1};
  }
  /// Declares that passes read it through `sweep_rows` alone, rows in parts that begin at multiples of `part_size` in
  /// their row (see `parameter`).
  void sweep(std::size_t part_size) noexcept { granularity_ = std::gcd(values_.cols(), part_size); }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::size_t rows() const noexcept { return values_.rows(); }
  [[nodiscard]] std::size_t cols() const noexcept { return values_.cols(); }
  [[nodiscard]] bool empty() const noexcept { return values_.empty(); }
  [[nodiscard]] matrix<float>& values() noexcept { return values_; }
  [[nodiscard]] const matrix<float>& values() const noexcept { return values_; }

  /// The natural step of each row (see parameter::unit); as many as rows, or none.
  [[nodiscard]] buffer<float>& unit() noexcept { return unit_; }
  [[nodiscard]] const buffer<float>& unit() const noexcept { return unit_; }

  /// Frees the master: what remains of it is packed elsewhere.
  void release() {
    values_ = {};
    unit_ = {};
  }

 private:
  [[nodiscard]] bool swept() const noexcept { return granularity_ != 0; }

  std::uint32_t id_ = 0;
  std::string name_;
  parameter_group group_ = parameter_group::weight;
  std::size_t granularity_ = 0;  // 0: not swept
  matrix<float> values_;
  buffer<float> unit_;
};

/// All of a small tensor on every lane: [lanes, size].
template <lane_reader Lanes>
void read_all(const Lanes& lanes, const trainable& t, matrix<float>& out) {
  out.reshape(lanes.count(), t.values().size());
  lanes.read(t.view(), 0, t.values().size(), out.data());
}

}  // namespace zoqat::nn
