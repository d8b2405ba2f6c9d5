// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/nn/loss.hpp>             // teacher_probabilities
#include <zoqat/ptq/channel_ranges.hpp>  // input_ranges

#include <zeroqat/workbench.hpp>

#include <span>

/// What all schemes do with the teacher: compiled once, in teacher.cpp.
namespace zoqat::inline ZOQAT_ABI {

extern template double eval::perplexity(programs::teacher_model&, const eval::chunks&, thread_pool&, nn::workspace&,
                                        std::size_t);
extern template nn::teacher_scores nn::teacher_probabilities(
    programs::teacher_model&, const nn::forward_pass<simd::default_kernels, inference_lane, thread_pool>&);
extern template ptq::channel_ranges ptq::input_ranges(programs::teacher_model&, std::span<const nn::token_batch>,
                                                      thread_pool&);

}  // namespace zoqat
