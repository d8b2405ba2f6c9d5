// SPDX-License-Identifier: Apache-2.0
//
// Whether the compiler, by the flags of the portable tests, makes one operation of a product and a sum, and so rounds
// once instead of twice. Where it may, as compilers do unless told otherwise, those tests see what depends on it. It
// returns 0 if it does, or if the processor of these flags has no such operation.
#include <cstdio>

namespace {

volatile double a = 1 + 0x1p-30, b = 1 - 0x1p-30, c = -1;  // a·b is 1 − 2⁻⁶⁰, which is rounded to 1

}  // namespace

int main() {
  const double x = a, y = b, z = c;
  const bool contracts = x * y + z != 0;
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  constexpr bool can = true;
#else
  constexpr bool can = false;
#endif
  std::printf("%s, and the processor has %s operation for both\n", contracts ? "contracts" : "does not contract",
              can ? "an" : "no");
  return contracts == can ? 0 : 1;
}
