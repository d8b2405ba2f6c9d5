// SPDX-License-Identifier: Apache-2.0
// expect: quant::quantize_row: a per_tensor grid comes from the whole matrix
#include <zoqat/quant/packed_matrix.hpp>

using namespace zoqat;

#ifdef FAULTY
using granularity = quant::per_tensor;
#else
using granularity = quant::per_channel;
#endif

void quantize(std::span<const float> row, std::uint8_t* codes, simd::grid* grids) {
  quant::quantize_row<quant::weight<4, granularity>>(row, nullptr, codes, grids);
}
