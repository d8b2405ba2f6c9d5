// SPDX-License-Identifier: Apache-2.0
#include <zeroqat/inference.hpp>
#include <zeroqat/teacher.hpp>

namespace zoqat::inline ZOQAT_ABI {

template double eval::perplexity(programs::teacher_model&, const eval::chunks&, thread_pool&, nn::workspace&,
                                 std::size_t);
template nn::teacher_scores nn::teacher_probabilities(
    programs::teacher_model&, const nn::forward_pass<simd::default_kernels, inference_lane, thread_pool>&);
template ptq::channel_ranges ptq::input_ranges(programs::teacher_model&, std::span<const nn::token_batch>,
                                               thread_pool&);

}  // namespace zoqat

namespace zoqat::programs {

template void evaluate_model<quant::full_precision>(const settings&);
template void generate_text<quant::full_precision>(const settings&);

}  // namespace zoqat::programs
