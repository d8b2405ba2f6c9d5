// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/ptq/can_initialize.hpp>
#include <zoqat/ptq/input_stream.hpp>
#include <zoqat/ptq/rounded_row.hpp>
#include <zoqat/quant/row.hpp>

#include <cstddef>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// What the error of a weight counts for in `clip_search`.
enum class clip_metric {
  weights,  ///< each alike: the squared error of the weights. Needs no text
  inputs,   ///< E[x²] of what it is multiplied with: the diagonal of the input's moments
};

/// The factors that `clip_search` shrinks either end of a range by: 1, 0.96, … 0.24.
inline constexpr std::size_t clip_steps = 20;
[[nodiscard]] constexpr float clip_factor(std::size_t step) noexcept { return 1 - 0.04f * static_cast<float>(step); }

namespace detail {
/// One grid for each group of a row: find(weights of the group, their range with zero in it, its first column), and
/// what their steps share.
template <class Weight, class Find>
[[nodiscard]] std::vector<simd::grid> grids_by_group(std::span<const double> weights, Find&& find) {
  static_assert(!Weight::whole_tensor,
                "ptq::clipped_grids: rows are found one by one: give quant::weight a granularity other than "
                "per_tensor");
  std::vector<simd::grid> grids;
  quant::for_each_group<Weight>(weights.size(), [&](std::size_t, std::size_t first, std::size_t count) {
    const auto group = weights.subspan(first, count);
    grids.push_back(find(group, range_of(group), first));
  });
  quant::share_scales<Weight>(grids);
  return grids;
}
}  // namespace detail

/// The grids over the ranges of one row of weights [in]: what rounding to nearest starts from.
template <class Weight>
[[nodiscard]] std::vector<simd::grid> ranged_grids(std::span<const double> weights) {
  return detail::grids_by_group<Weight>(
      weights, [](auto, simd::range r, std::size_t) { return detail::unclipped_grid<Weight>(r); });
}

/// The clipped grids of one row of weights [in] with the least Σ_k importance[k] · (w_k − ŵ_k)² for rounding to
/// nearest: for each group the best of all pairs of factors for the two ends of its range (the clipping of
/// OmniQuant's LWC, arXiv 2308.13137, by search in place of gradients; with one factor for both ends this is the
/// search of GPTQ's code). `importance` [in] may be empty, which makes all alike. Cost: 400 in operations.
template <class Weight>
[[nodiscard]] std::vector<simd::grid> clipped_grids(std::span<const double> weights,
                                                    std::span<const double> importance) {
  return detail::grids_by_group<Weight>(weights, [&](std::span<const double> group, simd::range r,
                                                     std::size_t first) {
    double best = std::numeric_limits<double>::infinity();
    simd::grid result;
    for (std::size_t low = 0; low != clip_steps; ++low)
      for (std::size_t high = 0; high != clip_steps; ++high) {
        const simd::grid g = detail::unclipped_grid<Weight>({clip_factor(low) * r.min, clip_factor(high) * r.max});
        double error = 0;
        for (std::size_t k = 0; k != group.size(); ++k) {
          const double e = group[k] - detail::value_of(detail::nearest_code<Weight>(group[k], g), g);
          error += (importance.empty() ? 1.0 : importance[first + k]) * e * e;
        }
        if (error < best) best = error, result = g;
      }
    return result;
  });
}

namespace detail {
/// Clips the grids of all layers of an input.
template <class Weight, class Input, executor Executor>
void clip_layers(const Input& input, std::span<const double> importance, Executor& threads) {
  for (auto* layer : input.layers) {
    const matrix<double> weights = smoothed_weights(*layer, *input.smoothing);
    std::vector<rounded_row> rows(weights.rows());
    threads.parallel_for(rows.size(),
                         [&](std::size_t r) { rows[r].grids = clipped_grids<Weight>(weights.row(r), importance); });
    set_grids(*layer, rows);
  }
}
}  // namespace detail

/// Round-to-nearest on clipped grids, found for each row or group of the smoothed weights by `clipped_grids`; the
/// masters stay. With `clip_metric::inputs` the inputs are those of the model with everything before them quantized.
/// `progress(block, blocks)` is called before each block, where a text is needed. Throws as `require_can_initialize`
/// does. Cost: 400 operations for each weight, and what `fit_inputs_in_order` takes where a text is needed.
template <simd::kernels Kernels = simd::default_kernels, nn::model Model, executor Executor, class Progress>
void clip_search(Model& model, std::span<const nn::token_batch> corpus, clip_metric metric, Executor& threads,
                 Progress&& progress) {
  using scheme = typename Model::scheme;
  static_assert(holds_grids<scheme>,
                "ptq::clip_search: the grids it finds need a place of their own: give quant::weight the clipping "
                "policy quant::clip::codes, and a granularity other than per_tensor");
  using weight = typename scheme::weight_type;
  require_can_initialize(model, "clip_search");
  if (metric == clip_metric::weights)
    return model.for_each_shared_input([&](auto&& input) { detail::clip_layers<weight>(input, {}, threads); });
  fit_inputs_in_order<Kernels>(model, corpus, threads, progress, [&](auto&& input, const matrix<double>& moments) {
    std::vector<double> importance(moments.rows());
    for (std::size_t k = 0; k != importance.size(); ++k) importance[k] = moments(k, k);
    detail::clip_layers<weight>(input, importance, threads);
  });
}

}  // namespace zoqat::ptq
