// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/lab/reverse/rounding.hpp>
#include <zoqat/lab/reverse/tape.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/trainable.hpp>
#include <zoqat/nn/visit.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/params/masters.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::lab::reverse {

[[nodiscard]] inline matrix<double> widened(matrix_view<const float> x) {
  matrix<double> result(x.rows(), x.cols());
  for (std::size_t i = 0; i != x.rows(); ++i) std::ranges::copy(x.row(i), result.row(i).begin());
  return result;
}

/// The tensors of a part of a model that can train, in the order of its `visit`.
template <class Part>
[[nodiscard]] std::vector<const nn::trainable*> tensors_of(Part& part) {
  std::vector<const nn::trainable*> tensors;
  nn::for_each_trainable(part, [&](nn::trainable& t) { tensors.push_back(&t); });
  return tensors;
}

/// What the parts of a model need to put themselves on a tape: `record(recorder&, part, x)`, an overload for each.
///
/// Where a model rounds activations, its quantizers are given the floats of its own forward pass, which `inputs`
/// holds, and not those of the tape, which differ from them in the last bits: a few codes would fall another way, and
/// the losses would part. `drift` is how far the two are apart at most, relative to the root mean square of each
/// input: some 1e-6 unless a part records another function than it computes.
struct recorder {
  using pass_type = nn::forward_pass<simd::default_kernels, inference_lane, sequential>;

  tape& on;
  roundings& rounded;
  const nn::token_batch& batch;
  std::vector<matrix<float>> inputs{};             ///< of the linear layers, [tokens, in], one for each shared input
  std::size_t next_input = 0;                      ///< of those
  std::map<std::uint32_t, variable> parameters{};  ///< by their ids
  std::map<std::string, variable> outputs{};       ///< of linear layers, by their names
  double drift = 0;
  nn::workspace work{};
  inference_lane lane{};
  sequential threads{};

  /// A tensor of the model: [rows, cols].
  [[nodiscard]] variable parameter(const nn::trainable& t) {
    variable& known = parameters[t.view().id];
    if (!known) {
      buffer<float> room;
      known = on.input(widened(t.master_rows().read<simd::default_kernels>(0, t.rows(), room)));
    }
    return known;
  }
  /// For what the library computes itself, in this thread.
  [[nodiscard]] pass_type pass() { return {lane, threads, batch, work}; }
  /// The next input of linear layers as the model's own pass read it, where `x` is the tape's; null where `inputs`
  /// are not there, since nothing is rounded, or since roundings are held.
  [[nodiscard]] const matrix<float>* own_input(variable x) {
    if (inputs.empty()) return nullptr;
    const matrix<float>& own = inputs.at(next_input++);
    double apart = 0, squares = 0;
    for (std::size_t i = 0; i != own.size(); ++i) {
      const auto v = static_cast<double>(own.data()[i]);
      apart = std::max(apart, std::abs(x->value.data()[i] - v));
      squares += v * v;
    }
    if (squares > 0) drift = std::max(drift, apart / std::sqrt(squares / static_cast<double>(own.size())));
    return &own;
  }
};

}  // namespace zoqat::lab::reverse
