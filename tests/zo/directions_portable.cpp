// SPDX-License-Identifier: Apache-2.0

// The directions of every distribution are the same bits by every backend on every instruction set. A program of its
// own, because it is built once for each of them; it returns 0 where the bits are the golden ones. A change of those
// breaks the replay of run logs.

#include <zoqat/simd/highway.hpp>
#include <zoqat/simd/reference.hpp>
#include <zoqat/simd/xsimd.hpp>
#include <zoqat/zo/directions/low_rank.hpp>
#include <zoqat/zo/directions/orthogonal.hpp>
#include <zoqat/zo/directions/partition.hpp>
#include <zoqat/zo/directions/quantized.hpp>
#include <zoqat/zo/directions/sparse.hpp>
#include <zoqat/zo/directions/sphere.hpp>
#include <zoqat/zo/directions/uniform.hpp>
#include "../support/directions.hpp"

#include <cinttypes>
#include <cstdio>
#include <vector>

using namespace zoqat;

namespace {

/// A part of a matrix of 250 rows of 400 that begins and ends anywhere.
template <class Kernels, zo::distribution Distribution>
bool check(const Distribution& elements, std::uint64_t golden) {
  constexpr std::size_t first = 1003, size = 90000;
  std::vector<float> masters(100000), u(size);
  const parameter p{.id = 11, .values = masters, .row_size = 400};
  const zo::direction along{.seed = 0x0123456789abcdef, .step = 7, .index = 3};
  zo::fill_direction<Kernels>(elements, along, p, first, u.data(), size);
  const std::uint64_t hash = testing::hash_of(u);
  std::printf("  %-20s %016" PRIx64 "%s\n", elements.name(), hash, hash == golden ? "" : "  WRONG");
  return hash == golden;
}

template <class Kernels>
bool check_backend() {
  std::printf("%s (%s)\n", Kernels::name(), Kernels::target());
  const bool right[] = {check<Kernels>(zo::uniform(), 0x91475789a1d5ef90),
                        check<Kernels>(zo::sparse_gaussian(0.1), 0x0843041b9cd02d72),
                        check<Kernels>(zo::sparse_rademacher(0.1), 0xf33c2822b26e2bbd),
                        check<Kernels>(zo::sphere(), 0x00d5d43440705fe4),
                        check<Kernels>(zo::orthogonal(), 0xc7dd13d113a19a65),
                        check<Kernels>(zo::partition(5), 0xd1bac0092dbbcb15),
                        check<Kernels>(zo::low_rank(3), 0x205b3729e1022def),
                        check<Kernels>(zo::quantized_gaussian(4), 0x3801628de422e2bb),
                        check<Kernels>(zo::quantized_gaussian(4).of_update(), 0xbd5f7c35e1355561)};
  for (const bool is_right : right)
    if (!is_right) return false;
  return true;
}

}  // namespace

int main() {
  const bool right[] = {check_backend<simd::reference>(), check_backend<simd::highway_kernels>(),
                        check_backend<simd::xsimd_kernels>()};
  return right[0] && right[1] && right[2] ? 0 : 1;
}
