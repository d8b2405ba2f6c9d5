// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/core/name_pattern.hpp>
#include <zoqat/params/masters.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/params/stored_masters.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// What the tensors are for whose names match a pattern of the shell (core/name_pattern.hpp).
struct tensor_rule {
  std::string pattern;                        ///< as "*.norm" or "layers.*.w[qv]"
  bool trains = true;                         ///< or the tensor is left as it is
  std::optional<parameter_group> group = {};  ///< where `add` is given none; weight otherwise
  float unit = 0;                             ///< of all rows, where `add` is given none; 0: no unit
};

/// An engine's weights of 8 bits: signed codes, row-major, of which each stands for scale * code. There is one scale
/// for each row, or for each run of as many elements as divides a row; `scales` holds them in the order of the rows.
struct int8_codes {
  matrix_view<std::int8_t> codes;
  std::span<const float> scales;
};

namespace detail {

/// What `parameter_list::add` takes for masters.
template <class T>
concept is_buffer = std::convertible_to<T, std::span<float>> || std::convertible_to<T, std::span<bf16>> ||
                    std::convertible_to<T, std::span<fp16>> || std::convertible_to<T, matrix_view<float>> ||
                    std::convertible_to<T, matrix_view<bf16>> || std::convertible_to<T, matrix_view<fp16>> ||
                    std::convertible_to<T, int8_codes>;

}  // namespace detail

/// A parameter store over buffers that somebody else owns: how an engine that exists already hands its weights
/// to this library. Ids are given in the order of `add`, so keep that order for a log to replay; a tensor that a rule
/// leaves out takes an id too, so that the others keep theirs.
///
/// Every `add` reads the tensor once and throws value_error, with its name, for
///   - no values, or one that is not finite;
///   - units or scales that do not divide the values into rows, or are not positive numbers;
///   - memory that a tensor of the list has already: the same buffer twice would be perturbed and moved twice, and
///     scales that train would change what codes mean;
///   - a rule that puts it in another group than `add` does.
/// Where an `add` throws, the list is as it was before.
/// What is handed over must outlive the list, values and scales alike; units are copied.
///
/// A step moves all formats alike: the directions are the same, the update is computed in fp32 and rounded to the
/// format stochastically. So masters in fp32 are the same bits wherever their rows lie; in bf16, fp16 and int8 they
/// differ by the rounding, which is right on average.
class parameter_list {
 public:
  using group_choice = std::optional<parameter_group>;

  /// The first of `rules` that matches a name holds for its tensor.
  explicit parameter_list(std::vector<tensor_rule> rules = {})
      : rules_(std::move(rules)), first_match_(rules_.size(), none) {}
  // Parameters refer to the names, units and copies that the list keeps.
  parameter_list(const parameter_list&) = delete;
  parameter_list& operator=(const parameter_list&) = delete;
  parameter_list(parameter_list&&) = default;
  parameter_list& operator=(parameter_list&&) = default;

  /// Masters in fp32, row-major. `unit` is empty or has one positive number per row (see `parameter::unit`).
  void add(std::string_view name, std::span<float> values, group_choice group = {},
           std::span<const float> unit = {}) {
    enlist(name, {.values = values}, group, unit);
  }
  /// Masters in bf16, or in fp16: `fp16_view` (params/half_views.hpp) names a buffer of _Float16 or bits. Numbers
  /// that an update takes beyond ±65504 become that in fp16.
  void add(std::string_view name, std::span<bf16> values, group_choice group = {}, std::span<const float> unit = {}) {
    enlist(name, {.compact = {.halves = values}}, group, unit);
  }
  void add(std::string_view name, std::span<fp16> values, group_choice group = {}, std::span<const float> unit = {}) {
    enlist(name, {.compact = {.fp16s = values}}, group, unit);
  }
  /// Matrices whose rows may lie apart: a part of a fused matrix, or of a buffer.
  void add(std::string_view name, matrix_view<float> m, group_choice group = {}, std::span<const float> unit = {}) {
    require_rows(name, m, unit);
    if (joined(m)) return add(name, spanned(m), group, unit);
    enlist(name, {.compact = apart({.floats = spanned(m)}, m)}, group, unit);
  }
  void add(std::string_view name, matrix_view<bf16> m, group_choice group = {}, std::span<const float> unit = {}) {
    require_rows(name, m, unit);
    enlist(name, {.compact = apart({.halves = spanned(m)}, m)}, group, unit);
  }
  void add(std::string_view name, matrix_view<fp16> m, group_choice group = {}, std::span<const float> unit = {}) {
    require_rows(name, m, unit);
    enlist(name, {.compact = apart({.fp16s = spanned(m)}, m)}, group, unit);
  }
  /// Masters of 8 bits. The scales stay; training moves the codes within [-127, 127].
  void add(std::string_view name, const int8_codes& m, group_choice group = {}, std::span<const float> unit = {}) {
    require_rows(name, m.codes, unit);
    const std::size_t rows = m.codes.rows(), cols = m.codes.cols(), scales = m.scales.size();
    require(m.codes.empty() || (scales != 0 && scales % rows == 0 && cols % (scales / rows) == 0),
            "parameter '{}': {} scales do not divide the rows of a matrix [{}, {}] of codes", name, scales, rows,
            cols);
    for (std::size_t i = 0; i != scales; ++i)
      require(m.scales[i] >= simd::minimum_scale && m.scales[i] <= simd::maximum_scale,
              "parameter '{}': scale {} is {}, but scales must be in [{}, {}]", name, i, m.scales[i],
              simd::minimum_scale, simd::maximum_scale);
    const std::span<std::int8_t> bytes = spanned(m.codes);
    compact_masters codes{.codes = {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()}};
    codes.host_scales = m.scales;
    if (scales != 0) codes.scale_size = m.codes.size() / scales;
    const std::span<const std::byte> scale_bytes = std::as_bytes(m.scales);
    if (const std::string* const other = owner_of(scale_bytes))
      fail("parameter '{}': its scales are memory of '{}', which trains; scales must stay as they are", name, *other);
    checkpoint before(*this);
    scales_.push_back({scale_bytes});
    enlist(name, {.compact = apart(codes, m.codes)}, group, unit);
    before.keep();
  }
  /// Nothing else can train.
  template <class Other>
    requires(!detail::is_buffer<Other>)
  void add(std::string_view, Other&&, group_choice = {}, std::span<const float> = {}) {
    static_assert(
        detail::is_buffer<Other>,
        "zo::parameter_list::add: masters are written, so they must be a mutable span or matrix_view (or a "
        "container) of float, bf16 or fp16, or zo::int8_codes: give what may only be read to add_copy, bits "
        "of fp16 by fp16_view, and convert doubles to floats");
  }
  /// Of weights that may only be read, as those of a mapped file: trains a copy that the list keeps. Returns the
  /// copy, for the engine to read instead; nothing where a rule leaves the tensor as it is.
  [[nodiscard]] std::span<float> add_copy(std::string_view name, std::span<const float> values,
                                          group_choice group = {}, std::span<const float> unit = {}) {
    const std::size_t rule = rule_of(name);
    if (rule != rules_.size() && !rules_[rule].trains) {  // its own memory is noted, and never written
      add(name, std::span(const_cast<float*>(values.data()), values.size()), group, unit);
      return {};
    }
    checkpoint before(*this);
    const std::span<float> copy(copies_.emplace_back(values.begin(), values.end()));
    add(name, copy, group, unit);
    before.keep();
    return copy;
  }
  /// Calls add(), which adds tensors to this list. Where it throws, none of them is listed.
  template <class Add>
  void all_or_none(Add&& add) {
    checkpoint before(*this);
    add();
    before.keep();
  }

  /// Tensors that train.
  [[nodiscard]] std::size_t size() const noexcept { return parameters_.size(); }
  [[nodiscard]] const parameter& operator[](std::size_t i) const { return parameters_[i]; }
  /// Patterns that no name has matched so far: most likely misspelled.
  [[nodiscard]] std::vector<std::string> unmatched_patterns() const {
    std::vector<std::string> patterns;
    for (std::size_t i = 0; i != rules_.size(); ++i)
      if (first_match_[i] == none) patterns.push_back(rules_[i].pattern);
    return patterns;
  }

  template <class F>
  void for_each_parameter(F&& visit) const {
    for (const parameter& p : parameters_) visit(p);
  }

 private:
  using kernels = simd::default_kernels;

  template <class T>
  static bool joined(matrix_view<T> m) noexcept {
    return m.stride() == m.cols() || m.rows() <= 1;
  }
  /// From the first element of a matrix to its last.
  template <class T>
  static std::span<T> spanned(matrix_view<T> m) noexcept {
    return m.empty() ? std::span<T>() : std::span<T>(m.data(), (m.rows() - 1) * m.stride() + m.cols());
  }
  /// Rows that do not overlap, and a unit for each of them, or one for all.
  template <class T>
  static void require_rows(std::string_view name, matrix_view<T> m, std::span<const float> unit) {
    require(m.rows() <= 1 || m.stride() >= m.cols(),
            "parameter '{}': its rows of {} begin every {} elements, so they overlap", name, m.cols(), m.stride());
    require(unit.size() <= 1 || unit.size() == m.rows(),
            "parameter '{}': {} units of a matrix [{}, {}]; give one for "
            "each row, or one for all",
            name, unit.size(), m.rows(), m.cols());
  }
  template <class T>
  static compact_masters apart(compact_masters masters, matrix_view<T> m) noexcept {
    if (!joined(m)) masters.cols = m.cols(), masters.stride = m.stride();
    return masters;
  }

  void enlist(std::string_view name, parameter p, group_choice group, std::span<const float> unit) {
    checkpoint before(*this);
    const std::size_t matched = rule_of(name);
    const tensor_rule rule = matched == rules_.size() ? tensor_rule{} : rules_[matched];
    p.id = next_id_;
    require(
        !group || !rule.group || *group == *rule.group,
        "parameter '{}' is added to the group {}, but the rule '{}' puts it into {}; leave the group out of one of "
        "them",
        name, name_of(group), rule.pattern, name_of(rule.group));
    p.group = group.value_or(rule.group.value_or(parameter_group::weight));
    buffer<float>& kept = units_.emplace_back(unit.begin(), unit.end());
    if (unit.empty() && rule.unit != 0) kept.push_back(rule.unit);
    p.unit = kept;
    check(name, p);
    require_unclaimed(name, p);
    p.name = names_.emplace_back(name);
    for_each_stored_run(p, [&](std::span<const std::byte> run) {
      claimed_.emplace(run.data(), memory{run.data() + run.size(), &names_.back()});
    });
    if (rule.trains) parameters_.push_back(p);
    if (matched != rules_.size()) first_match_[matched] = std::min(first_match_[matched], next_id_);
    ++next_id_;
    before.keep();
  }

  static std::string_view name_of(const group_choice& group) {
    return group ? parameter_group_names[static_cast<std::size_t>(*group)] : std::string_view();
  }
  /// The first rule that matches; how many there are where none does.
  [[nodiscard]] std::size_t rule_of(const std::string_view name) const {
    const auto matches = [&](const tensor_rule& rule) { return matches_pattern(rule.pattern, std::string(name)); };
    return static_cast<std::size_t>(std::ranges::find_if(rules_, matches) - rules_.begin());
  }

  static void check(std::string_view name, const parameter& p) {
    require(p.size() != 0, "parameter '{}' has no values", name);
    require(p.unit.empty() || (p.size() % p.unit.size() == 0),
            "parameter '{}': {} values do not make {} rows, one for each unit", name, p.size(), p.unit.size());
    for (const float u : p.unit)
      require(u > 0 && std::isfinite(u), "parameter '{}': a unit is {}, but units must be positive", name, u);
    alignas(alignment) std::array<float, 4096> values;
    for (std::size_t first = 0; first < p.size(); first += values.size()) {
      const std::size_t count = std::min(values.size(), p.size() - first);
      read_masters<kernels>(p, first, count, values.data());
      std::uint32_t greatest = 0;  // magnitude, as bits: those of infinities and NaN are above all others
      for (std::size_t i = 0; i != count; ++i)
        greatest = std::max(greatest, std::bit_cast<std::uint32_t>(values[i]) & 0x7fffffffu);
      if (greatest < 0x7f800000u) continue;
      const auto bad = std::find_if_not(values.begin(), values.end(), [](float x) { return std::isfinite(x); });
      fail("parameter '{}': value {} is {}; masters must be finite numbers", name,
           first + static_cast<std::size_t>(bad - values.begin()), *bad);
    }
  }

  /// The tensor that has memory of a run; null where none does.
  [[nodiscard]] const std::string* owner_of(std::span<const std::byte> run) const {
    constexpr std::less<const std::byte*> before;
    const auto next = claimed_.upper_bound(run.data());
    if (next != claimed_.begin() && before(run.data(), std::prev(next)->second.end))
      return std::prev(next)->second.name;
    if (next != claimed_.end() && before(next->first, run.data() + run.size())) return next->second.name;
    return nullptr;
  }
  void require_unclaimed(std::string_view name, const parameter& p) const {
    constexpr std::less<const std::byte*> before;
    for_each_stored_run(p, [&](std::span<const std::byte> run) {
      if (const std::string* const other = owner_of(run))
        fail("parameter '{}' has memory of '{}'; list each buffer once", name, *other);
      for (const auto& [scales] : scales_)
        require(!before(run.data(), scales.data() + scales.size()) || !before(scales.data(), run.data() + run.size()),
                "parameter '{}' has memory of the scales of another tensor, which must stay as they are", name);
    });
  }

  /// A run of memory that no tensor may have.
  struct constant_memory {
    std::span<const std::byte> bytes;
  };
  /// A run of memory that a tensor has.
  struct memory {
    const std::byte* end;
    const std::string* name;
  };

  /// Where the list was. What was added since is taken away again unless it is kept.
  class checkpoint {
   public:
    explicit checkpoint(parameter_list& list) noexcept
        : list_(&list),
          id_(list.next_id_),
          names_(list.names_.size()),
          units_(list.units_.size()),
          scales_(list.scales_.size()),
          copies_(list.copies_.size()),
          parameters_(list.parameters_.size()) {}
    checkpoint(const checkpoint&) = delete;
    checkpoint& operator=(const checkpoint&) = delete;
    ~checkpoint() {
      if (list_) roll_back();
    }
    void keep() noexcept { list_ = nullptr; }

   private:
    void roll_back() noexcept {
      for (std::uint32_t& first : list_->first_match_)
        if (first != none && first >= id_) first = none;
      for (std::size_t i = names_; i != list_->names_.size(); ++i)
        std::erase_if(list_->claimed_, [&](const auto& claim) { return claim.second.name == &list_->names_[i]; });
      list_->next_id_ = id_;
      list_->parameters_.erase(list_->parameters_.begin() + static_cast<std::ptrdiff_t>(parameters_),
                               list_->parameters_.end());
      shorten(list_->names_, names_);
      shorten(list_->units_, units_);
      shorten(list_->scales_, scales_);
      shorten(list_->copies_, copies_);
    }
    template <class Container>
    static void shorten(Container& c, std::size_t size) noexcept {
      while (c.size() != size) c.pop_back();
    }

    parameter_list* list_;
    std::uint32_t id_;
    std::size_t names_, units_, scales_, copies_, parameters_;
  };

  /// In place of an id: no tensor.
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

  std::vector<tensor_rule> rules_;
  std::vector<std::uint32_t> first_match_;  // by rule: the id of the first tensor for which it holds
  std::uint32_t next_id_ = 0;
  std::deque<std::string> names_;  // addresses stay put while the list grows
  std::deque<buffer<float>> units_;
  std::vector<constant_memory> scales_;  // of codes
  std::deque<buffer<float>> copies_;
  std::vector<parameter> parameters_;
  std::map<const std::byte*, memory> claimed_;  // by where it begins
};

}  // namespace zoqat::zo
