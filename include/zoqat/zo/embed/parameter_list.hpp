// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/params/parameter.hpp>

#include <cmath>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// A parameter store over buffers that somebody else owns: how an engine that exists already hands its weights
/// to this library. Ids are given in the order of `add`, so keep that order for a log to replay.
class parameter_list {
 public:
  /// `values` are fp32 masters, row-major; they must outlive the list. `unit` is empty or has one positive number
  /// per row (see `parameter::unit`). Throws value_error for units that do not divide the values into rows or are
  /// not positive numbers.
  void add(std::string_view name, std::span<float> values, parameter_group group = parameter_group::weight,
           std::span<const float> unit = {}) {
    add(name, values, {}, group, unit);
  }
  /// The same of masters in bf16. An update is rounded to them stochastically, so that steps far below their last bit
  /// still move them in expectation.
  void add(std::string_view name, std::span<bf16> values, parameter_group group = parameter_group::weight,
           std::span<const float> unit = {}) {
    add(name, {}, {.halves = values}, group, unit);
  }

  [[nodiscard]] std::size_t size() const noexcept { return parameters_.size(); }
  [[nodiscard]] const parameter& operator[](std::size_t i) const { return parameters_[i]; }

  template <class F>
  void for_each_parameter(F&& visit) const {
    for (const parameter& p : parameters_) visit(p);
  }

 private:
  void add(std::string_view name, std::span<float> values, const compact_masters& compact, parameter_group group,
           std::span<const float> unit) {
    parameter p{static_cast<std::uint32_t>(parameters_.size()), name, group, values, unit, 0, 1, compact};
    require(unit.empty() || (p.size() % unit.size() == 0),
            "parameter '{}': {} values do not make {} rows, one for each unit", name, p.size(), unit.size());
    for (const float u : unit)
      require(u > 0 && std::isfinite(u), "parameter '{}': a unit is {}, but units must be positive", name, u);
    p.name = names_.emplace_back(name);
    parameters_.push_back(p);
  }

  std::deque<std::string> names_;  // addresses stay put while the list grows
  std::vector<parameter> parameters_;
};

}  // namespace zoqat::zo
