// SPDX-License-Identifier: Apache-2.0
#include "unit.hpp"

#include <cstdio>

int main() {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
    std::puts("skipped: this processor has no AVX2");
    return 77;
  }
  const witness plain = plain_unit(), avx2 = avx2_unit();
  std::printf("plain flags: %s, AVX2 flags: %s\n", plain.target.c_str(), avx2.target.c_str());
  return plain.target != "AVX2" && avx2.target == "AVX2" && plain.dot == 285 && avx2.dot == 285 ? 0 : 1;
}
