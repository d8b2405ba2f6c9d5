// SPDX-License-Identifier: Apache-2.0
//
// Prints the backend and the instruction set that the kernels get with the flags this is compiled with, and why they
// are slow where they are. Run when the project is configured.
#include <zoqat/simd/default_kernels.hpp>

#include <cstdio>
#include <cstring>

int main() {
  using kernels = zoqat::simd::default_kernels;
  std::printf("%s on %s", kernels::name(), kernels::target());
#if defined(__AVX2__) && !(defined(__AES__) && defined(__PCLMUL__))
  if (std::strcmp(kernels::name(), "highway") == 0)
    std::printf(", slow: Highway takes no more of AVX2 without AES and PCLMUL; add -maes -mpclmul to the flags");
#endif
  for (const char* slow : {"SCALAR", "EMU128", "scalar"})
    if (std::strcmp(kernels::target(), slow) == 0)
      std::printf(", slow: the flags allow no vector instructions; add -march=native or take a preset that does");
}
