// SPDX-License-Identifier: Apache-2.0

// Directions, and weights that were moved along them, are the same bits by every backend on every instruction set.
// A program of its own, because it is built once for each of them; it returns 0 where the bits are the golden ones.

#include <zoqat/random/random.hpp>
#include <zoqat/simd/highway.hpp>
#include <zoqat/simd/reference.hpp>
#include <zoqat/simd/xsimd.hpp>
#include "../support/directions.hpp"

#include <cinttypes>
#include <cstdio>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

bool check(const char* what, const std::vector<float>& values, std::uint64_t golden) {
  const std::uint64_t hash = hash_of(values);
  std::printf("  %-12s %016" PRIx64 "%s\n", what, hash, hash == golden ? "" : "  WRONG");
  return hash == golden;
}

template <class Kernels>
bool check_backend() {
  std::printf("%s (%s)\n", Kernels::name(), Kernels::target());
  std::vector<float> values(golden_size);
  Kernels::gaussian(golden_stream, golden_first, values.data(), values.size());
  bool right = check("gaussian", values, golden_gaussian);
  Kernels::gaussian_ars(golden_stream, golden_first, values.data(), values.size());
  right = check("gaussian_ars", values, golden_gaussian_ars) && right;
  Kernels::rademacher(golden_stream, golden_first, values.data(), values.size());
  right = check("rademacher", values, golden_rademacher) && right;
  return check("update", golden_weights(Kernels::gaussian, Kernels::add_scaled), golden_update) && right;
}

}  // namespace

int main() {
  const bool right[] = {check_backend<simd::reference>(), check_backend<simd::highway_kernels>(),
                        check_backend<simd::xsimd_kernels>()};
  return right[0] && right[1] && right[2] ? 0 : 1;
}
