// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/trainable.hpp>
#include <zoqat/nn/visit.hpp>
#include <zoqat/ptq/can_initialize.hpp>
#include <zoqat/ptq/channel_ranges.hpp>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// Whether a scheme quantizes inputs in groups of a token's channels, so that their order matters.
template <class Scheme>
inline constexpr bool reorderable = false;
template <class Scheme>
  requires Scheme::quantizes_activations
inline constexpr bool reorderable<Scheme> = Scheme::activation_type::grouped;

/// The channel that comes to each place.
using channel_order = std::vector<std::size_t>;

namespace detail {

inline void permute_columns(nn::trainable& t, const channel_order& order) {
  std::vector<float> row(t.cols());
  for (std::size_t r = 0; r != t.rows(); ++r) {
    const auto values = t.values().row(r);
    for (std::size_t j = 0; j != row.size(); ++j) row[j] = values[order[j]];
    std::ranges::copy(row, values.begin());
  }
}
inline void permute_rows(nn::trainable& t, const channel_order& order) {
  const matrix<float> before(t.values());
  for (std::size_t r = 0; r != t.rows(); ++r) std::ranges::copy(before.row(order[r]), t.values().row(r).begin());
}
/// The outputs of a linear layer, its bias among them.
template <class Linear>
void permute_outputs(Linear& layer, const channel_order& order) {
  nn::for_each_base_tensor(layer, [&](nn::trainable& t) {
    if (t.name().ends_with(".bias"))
      permute_columns(t, order);
    else
      permute_rows(t, order);
  });
}
inline void require_order(const channel_order& order, std::size_t channels) {
  require(order.size() == channels, "reorder: an order of {} channels, where there are {}", order.size(), channels);
  std::vector<bool> seen(channels, false);
  for (const std::size_t channel : order) {
    require(channel < channels && !seen[channel], "reorder: channel {} of {} is named twice, or is none of them",
            channel, channels);
    seen[channel] = true;
  }
}
[[nodiscard]] inline channel_order ascending(std::span<const double> key) {
  channel_order order(key.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return key[a] < key[b]; });
  return order;
}

}  // namespace detail

/// Puts the channels of a model's residual stream into another order; it computes the same, up to the order of sums.
/// A layer that is not quantized yet has its grids where they were, for another matrix: round anew. Throws
/// value_error for an order that does not name each channel once.
template <nn::model Model>
void reorder_stream(Model& model, const channel_order& order) {
  const std::size_t hidden = model.shape().hidden;
  detail::require_order(order, hidden);
  model.visit(nn::layer_visitor{[&](nn::trainable& t, const nn::tensor_use& u) {
                                  const std::string_view name = t.name();
                                  const bool of_heads =
                                      name.ends_with(".q_norm.weight") || name.ends_with(".k_norm.weight");
                                  if (u.in_checkpoint && t.cols() == hidden && !of_heads)
                                    detail::permute_columns(t, order);
                                },
                                [](auto&, auto&) {}});
  model.for_each_shared_input([&](auto&& input) {
    for (auto* layer : input.layers)
      if (input.writes_stream)
        detail::permute_outputs(*layer, order);
      else
        detail::permute_columns(layer->weight(), order);
  });
}

/// The same of the hidden channels of an MLP, between its activation and its last layer.
template <class Mlp>
void reorder_hidden(Mlp& mlp, const channel_order& order) {
  mlp.for_each_shared_input([&](auto&& input) {
    if (input.writes_stream) detail::require_order(order, input.layers[0]->in_features());
  });
  mlp.for_each_shared_input([&](auto&& input) {
    for (auto* layer : input.layers)
      if (input.writes_stream)
        detail::permute_columns(layer->weight(), order);
      else
        detail::permute_outputs(*layer, order);
  });
}

/// RPTQ's reordering (arXiv 2304.01089): channels with like ranges come into one group of inputs, so that a group's
/// grid fits all of its channels. The order is folded into the weights, and costs nothing when the model runs: one
/// for the residual stream, in which all inputs behind norms lie, by the mean over these inputs of how far a channel
/// reaches, and one for the hidden channels of each MLP. Inputs of o_proj keep their order, which is that of the
/// heads. Groups have equal sizes and are symmetric, so that sorting by reach is the best there is; RPTQ itself has
/// clusters of any size by k-means over (min, max), static grids, and an order for each norm, which costs a gather.
///
/// `teacher` is the model in full precision and keeps its order. Round anew after it. Throws as
/// `require_can_initialize` does. Cost: one pass of the teacher over `corpus`.
template <simd::kernels Kernels = simd::default_kernels, nn::model Model, nn::model Teacher, executor Executor>
void reorder_by_ranges(Model& model, Teacher& teacher, std::span<const nn::token_batch> corpus, Executor& threads) {
  static_assert(reorderable<typename Model::scheme>,
                "ptq::reorder_by_ranges: the order of channels matters where inputs are quantized in groups: give "
                "quant::scheme a quant::activation of a quant::group");
  require_can_initialize(model, "reorder_by_ranges");
  const channel_ranges ranges = input_ranges<Kernels>(teacher, corpus, threads);
  std::vector<double> of_stream(model.shape().hidden, 0.0);
  const auto reaches = [&](std::size_t index) {
    std::vector<double> reach;
    for (const channel_range& r : ranges.of_input(index)) reach.push_back(double{r.reach(0)});
    return reach;
  };
  std::size_t index = 0;
  for (auto& block : model.blocks())
    block.for_each_residual([&](auto& r) {
      using layer = typename std::remove_cvref_t<decltype(r)>::layer_type;
      r.layer().for_each_shared_input([&](auto&& input) {
        const std::vector<double> reach = reaches(index++);
        if (!input.writes_stream) {
          const double greatest = *std::ranges::max_element(reach);
          for (std::size_t j = 0; j != reach.size(); ++j) of_stream[j] += greatest > 0 ? reach[j] / greatest : 0.0;
        } else if constexpr (!requires { typename layer::position_type; }) {
          reorder_hidden(r.layer(), detail::ascending(reach));
        }
      });
    });
  reorder_stream(model, detail::ascending(of_stream));
}

}  // namespace zoqat::ptq
