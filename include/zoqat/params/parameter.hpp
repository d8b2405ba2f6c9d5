// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/params/compact_masters.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI {

/// What a trainable tensor is for. Learning rates and perturbation scales are given per group (Table C.1).
///
/// Parameters that act on many weights at once, such as the step size of a whole matrix, are groups apart: few and
/// powerful, they take other scales than the many weak ones, and a zeroth-order estimate is the better the fewer
/// parameters share it.
enum class parameter_group : std::uint8_t {
  weight,       ///< weight matrices
  smoothing,    ///< log s and δ of the smoothed linear layers (eq. 4)
  score_scale,  ///< log s between keys and queries
  clipping,     ///< clipping ranges, grids and code bounds of the weight quantizers (eq. 5)
  step_tensor,  ///< log step size of a whole matrix, on top of its grids
  step_row,     ///< log step size of an output channel
  step_column,  ///< log step size of a column of groups
  step_group,   ///< log step size of one group
  norm,         ///< gains and biases kept in full precision, element by element
  norm_scale,   ///< log of a factor on all the gains of a norm
};
inline constexpr std::size_t parameter_groups = 10;
inline constexpr std::array<parameter_group, parameter_groups> all_parameter_groups{
    parameter_group::weight,      parameter_group::smoothing,   parameter_group::score_scale,
    parameter_group::clipping,    parameter_group::step_tensor, parameter_group::step_row,
    parameter_group::step_column, parameter_group::step_group,  parameter_group::norm,
    parameter_group::norm_scale};
inline constexpr std::array<std::string_view, parameter_groups> parameter_group_names{
    "weight",   "smoothing",   "score_scale", "clipping", "step_tensor",
    "step_row", "step_column", "step_group",  "norm",     "norm_scale"};

/// One value for each `parameter_group`; initialized by name: `{.weight = 5e-7f, .smoothing = 5e-6f}`.
template <class T>
struct per_group {
  T weight{}, smoothing{}, score_scale{}, clipping{}, step_tensor{}, step_row{}, step_column{}, step_group{}, norm{},
      norm_scale{};

  [[nodiscard]] static constexpr per_group all(T value) {
    per_group result;
    for (const parameter_group group : all_parameter_groups) result[group] = value;
    return result;
  }
  [[nodiscard]] constexpr T& operator[](parameter_group group) noexcept { return this->*member(group); }
  [[nodiscard]] constexpr const T& operator[](parameter_group group) const noexcept { return this->*member(group); }
  friend bool operator==(const per_group&, const per_group&) = default;

 private:
  static constexpr T per_group::*member(parameter_group group) noexcept {
    constexpr std::array<T per_group::*, parameter_groups> members{
        &per_group::weight,      &per_group::smoothing, &per_group::score_scale, &per_group::clipping,
        &per_group::step_tensor, &per_group::step_row,  &per_group::step_column, &per_group::step_group,
        &per_group::norm,        &per_group::norm_scale};
    return members[static_cast<std::size_t>(group)];
  }
};

/// A trainable tensor where it lies: `values` are the fp32 masters, row-major [rows, size() / rows]; where they are
/// stored in fewer bits or their rows lie apart, `compact` holds them and `values` is empty. `params/masters.hpp`
/// reads and writes both.
///
/// A tensor with a `row_size` is *swept*: a forward pass reads it whole rows at a time, through `sweep_rows` of its
/// lanes and through nothing else. So a pass that is to begin with an update can make it on the way. What it reads
/// of a row at a time begins at a multiple of `granularity`, counted from the start of the tensor.
///
/// `unit` is empty or holds one positive number per row: the natural step of that row (for a weight, the step
/// size of its quantizer). Perturbations and updates of the row are multiples of it, so that one ε and one
/// learning rate mean the same everywhere. It stays fixed during a run, or a log would not replay.
struct parameter {
  std::uint32_t id = 0;  ///< names the tensor in the counter of its direction; unique and stable in a store
  std::string_view name{};
  parameter_group group = parameter_group::weight;
  std::span<float> values{};
  std::span<const float> unit{};
  std::size_t row_size = 0;     ///< of a swept tensor; 0 for the others
  std::size_t granularity = 1;  ///< of a swept tensor
  compact_masters compact{};
  bool frozen = false;  ///< stays where it is: no lane moves it, and no store hands it out

  [[nodiscard]] constexpr std::size_t size() const noexcept { return values.size() + compact.size(); }
};

/// Something that hands out its trainable tensors, always in the same order and with the same ids.
template <class S>
concept parameter_store = requires(S& store, void (&visit)(const parameter&)) { store.for_each_parameter(visit); };

}  // namespace zoqat
