// SPDX-License-Identifier: Apache-2.0
#include "unit.hpp"

#include <cstdio>
#include <cstring>

namespace {

void print(const char* unit, const witness& w) { std::printf("%s: %s, loss %a\n", unit, w.target, w.loss); }

}  // namespace

/// As an engine does that takes whichever unit the processor can run: one without AVX2 must never meet an instruction
/// of the other unit.
int main() {
  const witness plain = plain_unit();
  print("plain flags", plain);
  if (std::strcmp(plain.target, "AVX2") == 0 || !(plain.loss < 6)) return 1;
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;

  const witness avx2 = avx2_unit();
  print("AVX2 flags", avx2);
  return std::strcmp(avx2.target, "AVX2") == 0 && avx2.loss == plain.loss &&
                 std::memcmp(avx2.codes, plain.codes, sizeof plain.codes) == 0
             ? 0
             : 1;
}
