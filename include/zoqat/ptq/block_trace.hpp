// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/params/inference_lane.hpp>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ptq::detail {

/// What one forward pass of a block left of its layers: inputs, and the residual stream before each. Streams end with
/// that after the block.
struct block_trace {
  std::vector<matrix<float>> inputs, streams;

  struct observer_type {
    block_trace* to;
    const nn::workspace* work;

    template <class Input>
    void observe(const Input&, matrix_view<const float> x) const {
      to->streams.push_back(work->stream);
      to->inputs.emplace_back(x.rows(), x.cols());
      for (std::size_t row = 0; row != x.rows(); ++row)
        std::ranges::copy(x.row(row), to->inputs.back().row(row).begin());
    }
  };

  template <simd::kernels Kernels, class Block, executor Executor>
  static block_trace of(Block& block, const nn::token_batch& batch, const matrix<float>& stream, Executor& threads) {
    block_trace trace;
    nn::workspace work;
    work.stream = stream;
    constexpr inference_lane lane;
    const nn::forward_pass<Kernels, inference_lane, Executor, observer_type> pass{lane, threads, batch,
                                                                                  work, nullptr, {&trace, &work}};
    block.forward(pass, 0, work.stream);
    trace.streams.push_back(std::move(work.stream));
    return trace;
  }
};

}  // namespace zoqat::ptq::detail
