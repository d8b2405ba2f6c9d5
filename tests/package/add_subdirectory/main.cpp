// SPDX-License-Identifier: Apache-2.0
//
// Quantizes a row to four bits and back: every value must come back within half a step.
#include <zoqat/simd/default_kernels.hpp>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

int main() {
  using kernels = zoqat::simd::default_kernels;
  const std::vector<float> row{-1.0f, -0.5f, 0.0f, 0.25f, 0.75f, 2.0f};
  std::vector<std::uint8_t> codes(row.size());
  std::vector<float> back(row.size());

  const auto [grid, sum] = kernels::quantize_row(row.data(), row.size(), 4, false, codes.data());
  kernels::dequantize(codes.data(), codes.size(), grid, back.data());

  std::printf("%s on %s, step %g\n", kernels::name(), kernels::target(), double{grid.scale});
  for (std::size_t i = 0; i != row.size(); ++i)
    if (std::abs(back[i] - row[i]) > 0.5001f * grid.scale) return 1;
  return 0;
}
