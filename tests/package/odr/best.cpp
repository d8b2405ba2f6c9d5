// SPDX-License-Identifier: Apache-2.0
#include "dispatched.hpp"

#include <zoqat/core/dispatch.hpp>

#include <cstdio>
#include <cstring>

/// Trains with the best unit for this processor, and wants the same bits of every processor. The argument is the
/// instruction set that it must be.
int main(int argc, char** argv) {
  namespace dispatch = zoqat::dispatch;
  const char* const set = dispatch::name(dispatch::best_set());
  const witness w = dispatch::best<dispatched>().observe();
  std::printf("%s: kernels for %s, loss %a, codes", set, w.target, w.loss);
  for (const unsigned char code : w.codes) std::printf(" %d", code);
  std::printf("\n");
  if (argc > 1 && std::strcmp(argv[1], set) != 0) return std::printf("where %s was expected\n", argv[1]), 1;
  constexpr unsigned char codes[] = {9, 8, 10, 15, 10, 8, 12, 10};
  return w.loss == 0x1.6d09456f0e7p+2 && std::memcmp(w.codes, codes, sizeof codes) == 0 ? 0 : 1;
}
