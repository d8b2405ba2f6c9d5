// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/eval/divergence.hpp>     // chunk_logits
#include <zoqat/nn/loss.hpp>             // teacher_probabilities
#include <zoqat/ptq/channel_ranges.hpp>  // input_ranges

#include <zeroqat/workbench.hpp>

#include <cstdint>
#include <span>
#include <vector>

// What all schemes do with the teacher, declared (KIND `extern template`) or compiled (KIND `template`) for one TYPE
// of it: once for each family, in what CMake makes from family.cpp.in.
#define ZOQAT_OF_TEACHER(KIND, TYPE)                                                                             \
  KIND double eval::perplexity(TYPE&, const eval::chunks&, thread_pool&, nn::workspace&, std::size_t);           \
  KIND matrix<float> eval::chunk_logits(TYPE&, const std::vector<std::uint32_t>&, thread_pool&, nn::workspace&); \
  KIND nn::teacher_scores nn::teacher_probabilities(                                                             \
      TYPE&, const nn::forward_pass<simd::default_kernels, inference_lane, thread_pool>&);                       \
  KIND ptq::channel_ranges ptq::input_ranges(TYPE&, std::span<const nn::token_batch>, thread_pool&);
