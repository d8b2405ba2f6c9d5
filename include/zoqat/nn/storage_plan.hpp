// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/name_pattern.hpp>
#include <zoqat/params/compact_masters.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::nn {

/// Which linear layers get a low-rank adapter (nn/linear/low_rank.hpp), and what kind.
struct low_rank_plan {
  std::vector<std::string> layers{};  ///< by patterns, as storage_plan::trained; none: no adapters
  std::size_t rank = 8;
  float alpha = 16;        ///< the adapter's output is multiplied by alpha / rank
  std::uint64_t seed = 0;  ///< from which they are drawn

  [[nodiscard]] bool names(const std::string& layer) const {
    return std::ranges::any_of(layers, [&](const auto& pattern) { return matches_pattern(pattern, layer); });
  }
};

/// How a model is kept in memory while it is fine-tuned: which linear layers hold masters, and in what format; all
/// others are frozen and packed. The lightweight variant (sections 4.3 and 5.4) trains the weights of queries and
/// values; Table D.4 compares other sets.
struct storage_plan {
  /// The layers that train, by the names they have in Hugging Face's LLaMA (of an OPT's too: o_proj, mlp.fc1):
  /// patterns of the shell, any of which must match all of the name, as "model.layers.3.*" or "*.fc1".
  std::vector<std::string> trained{"*.q_proj", "*.v_proj"};
  master_format masters = master_format::fp32;     ///< of these layers
  master_format embeddings = master_format::fp32;  ///< of token and position embeddings and head, which do not train
  /// Grids and smoothing stay where they are, as in fine-tuning; otherwise they may train beside the weights.
  bool fixed_quantization = true;
  /// Gains and biases of norms, and biases of the layers that train, train too.
  bool norms = false;
  /// Biases of all linear layers and norms train, whether or not anything else of them does (BitFit).
  bool biases = false;
  /// Step sizes of the layers that are packed train, and their codes stay.
  bool steps = false;
  /// Adapters that train beside layers, which may be frozen.
  low_rank_plan adapters{};

  [[nodiscard]] static bool matches(const std::string& pattern, const std::string& layer) {
    return matches_pattern(pattern, layer);
  }
  [[nodiscard]] bool trains(const std::string& layer) const {
    return std::ranges::any_of(trained, [&](const std::string& pattern) { return matches(pattern, layer); });
  }
};

}  // namespace zoqat::nn
