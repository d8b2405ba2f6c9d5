// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/smoothing.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/ptq/gptq.hpp>
#include <zoqat/ptq/input_stream.hpp>
#include <zoqat/simd/default_kernels.hpp>
#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ptq {

namespace detail {

/// Rounds W̃ + s ⊙ BA of a packed layer to its grids, row by row with error feedback, and drops the adapter. What the
/// change is worth under a shift of the input goes to the bias.
template <class Linear, executor Executor>
void merge_adapter(Linear& layer, const nn::smoothing& smoothing, const gptq_metric& metric, Executor& threads) {
  using weight = typename Linear::scheme::weight_type;
  const std::size_t out = layer.out_features(), in = layer.in_features();
  const nn::low_rank& adapter = *layer.adapter();
  const auto& packed = layer.packed().codes();
  constexpr inference_lane lane;
  matrix<float> scales, shifts;
  smoothing.scales(lane, scales);
  smoothing.shifts(lane, shifts);
  matrix<std::uint8_t> codes(out, in);
  packed.read_rows(0, codes);
  std::vector<simd::grid> grids;
  for (std::size_t r = 0; r != out; ++r)
    for (std::size_t g = 0; g != weight::groups(in); ++g) grids.push_back(packed.grid(r, g));
  std::vector<float> of_shift(out, 0.0f);
  threads.parallel_for(out, [&](std::size_t r) {
    const auto of_row = std::span<const simd::grid>(grids).subspan(r * weight::groups(in), weight::groups(in));
    std::vector<double> before(in), wanted(in);
    for (std::size_t k = 0; k != in; ++k) {
      double added = 0;
      for (std::size_t i = 0; i != adapter.rank(); ++i)
        added +=
            static_cast<double>(adapter.up().values()(r, i)) * static_cast<double>(adapter.down().values()(i, k));
      before[k] = value_of(codes(r, k), of_row[k / weight::group_size(in)]);
      wanted[k] = before[k] + static_cast<double>(adapter.factor()) * added *
                                  (scales.empty() ? 1.0 : static_cast<double>(scales(0, k)));
    }
    const std::vector<std::uint8_t> rounded = round_with_feedback<weight>(
        metric, wanted, [&](std::size_t k, const auto&) { return of_row[k / weight::group_size(in)]; });
    double shifted = 0;
    for (std::size_t k = 0; k != shifts.cols(); ++k)
      shifted += (value_of(rounded[k], of_row[k / weight::group_size(in)]) - before[k]) *
                 static_cast<double>(shifts(0, k)) / static_cast<double>(scales(0, k));
    of_shift[r] = static_cast<float>(shifted);
    std::ranges::copy(rounded, codes.row(r).begin());
  });
  layer.packed().set_rows(0, codes, grids.data());
  layer.packed().sum_codes();
  if (smoothing.shifts())
    for (std::size_t r = 0; r != out; ++r) layer.folded_bias().values()(0, r) += of_shift[r];
  layer.drop_adapter();
}

}  // namespace detail

/// Merges the low-rank adapters of a model into the codes of its packed layers: W̃ + s ⊙ BA is rounded to the grids
/// that are there, column by column in GPTQ's order, the error of each spread over those to come, by the moments that
/// inputs have after all layers before were merged. The model has no adapters then, its usual file format, and no
/// further cost. `progress(block, blocks)` is called before each block.
///
/// Throws value_error for a layer with an adapter that is not packed or whose step sizes train, and as `gptq_metric`
/// does. Cost: what `fit_inputs_in_order` takes, 5/3 in³ operations for each input with adapters and in² for each
/// output channel.
template <simd::kernels Kernels = simd::default_kernels, nn::model Model, executor Executor, class Progress>
void merge_adapters(Model& model, std::span<const nn::token_batch> corpus, Executor& threads,
                    const gptq_options& options, Progress&& progress) {
  static_assert(Model::scheme::quantizes_weights,
                "ptq::merge_adapters: weights in floats have no codes to merge into");
  model.for_each_shared_input([](auto&& input) {
    for (const auto* layer : input.layers)
      require(!layer->adapter() || (layer->deployed() && !layer->packed().scaled()),
              "merge_adapters: {} is not packed, or its step sizes train; deploy the model first", layer->name());
  });
  fit_inputs_in_order<Kernels>(model, corpus, threads, progress, [&](auto&& input, const matrix<double>& moments) {
    if (std::ranges::none_of(input.layers, [](const auto* layer) { return layer->adapter().has_value(); })) return;
    const gptq_metric metric(moments, options);
    for (auto* layer : input.layers)
      if (layer->adapter()) detail::merge_adapter(*layer, *input.smoothing, metric, threads);
  });
}

}  // namespace zoqat::ptq
