// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/zo/direction.hpp>
#include <zoqat/zo/directions/element_words.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// u = ±e_j / √p_j: one element of all parameters, j with probability p_j in proportion to its importance, so that
/// E[uuᵀ] = I. E‖ĝ‖² = Σ g_j² / p_j for one direction on a linear loss: d‖g‖² where all are as important, and the
/// least there is, (Σ|g_j|)², for p_j ∝ |g_j|. Several directions of a step are drawn independently.
///
/// Memory: 8 bytes for each element of the parameters, shared by all copies. Cost: zeros, and a search in that table
/// each time that elements are read.
class coordinate {
 public:
  /// `importance(parameter, i)` of element i; one of importance zero never moves. Throws value_error where one is
  /// negative or not finite, or all are zero.
  template <parameter_store Store, std::invocable<const parameter&, std::size_t> Importance>
  coordinate(Store& parameters, Importance&& importance) {
    table all;
    double total = 0;
    parameters.for_each_parameter([&](const parameter& p) {
      if (p.size() == 0) return;
      all.tensors.push_back({p.id, all.sums.size()});
      for (std::size_t i = 0; i != p.size(); ++i) {
        const auto weight = static_cast<double>(importance(p, i));
        require(weight >= 0 && std::isfinite(weight), "coordinate: the importance of element {} of '{}' is {}", i,
                p.name, weight);
        all.sums.push_back(total += weight);
      }
    });
    require(total > 0 && std::isfinite(total), "coordinate: the importances sum to {}", total);
    table_ = std::make_shared<const table>(std::move(all));
  }
  /// All elements are as important.
  template <parameter_store Store>
  explicit coordinate(Store& parameters) : coordinate(parameters, [](const parameter&, std::size_t) { return 1; }) {}

  static constexpr const char* name() noexcept { return "coordinate"; }

  template <class Kernels>
  void fill(const direction& along, const parameter& p, std::uint64_t first, float* out,
            std::size_t n) const noexcept {
    std::fill_n(out, n, 0.0f);
    const choice chosen = draw(along);
    if (chosen.id == p.id && chosen.element >= first && chosen.element - first < n)
      out[chosen.element - first] = chosen.value;
  }
  friend bool operator==(const coordinate& a, const coordinate& b) { return *a.table_ == *b.table_; }

 private:
  struct tensor {
    std::uint32_t id;
    std::size_t start;  ///< of its elements in the sums
    friend bool operator==(const tensor&, const tensor&) = default;
  };
  struct table {
    std::vector<tensor> tensors;
    std::vector<double> sums;  ///< of the importances up to and with each element
    friend bool operator==(const table&, const table&) = default;
  };
  struct choice {
    std::uint32_t id;
    std::size_t element;
    float value;
  };

  [[nodiscard]] choice draw(const direction& along) const noexcept {
    const auto bits = detail::choices_of(along.of_tensor(detail::no_tensor)).bits(0);
    const double at = std::ldexp(static_cast<double>(std::uint64_t{bits[0]} << 21 | bits[1] >> 11), -53);
    const std::vector<double>& sums = table_->sums;
    const auto found = std::upper_bound(sums.begin(), sums.end(), at * sums.back());
    // The product may be rounded up to the sum itself.
    const auto chosen = found != sums.end() ? found : std::lower_bound(sums.begin(), sums.end(), sums.back());
    const auto index = static_cast<std::size_t>(chosen - sums.begin());
    const double weight = *chosen - (index == 0 ? 0 : sums[index - 1]);
    const auto& owner = *(std::ranges::upper_bound(table_->tensors, index, {}, &tensor::start) - 1);
    const auto length = static_cast<float>(std::sqrt(sums.back() / weight));
    return {owner.id, index - owner.start, bits[2] >> 31 ? length : -length};
  }

  std::shared_ptr<const table> table_;
};

static_assert(shaped_distribution<coordinate>);

}  // namespace zoqat::zo
