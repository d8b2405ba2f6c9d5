// SPDX-License-Identifier: Apache-2.0
// expect: masters are written, so they must be a mutable span.*convert doubles to floats
#include <zoqat/zo/embed/fine_tuner.hpp>

#include <vector>

using namespace zoqat;

void hand_over(std::vector<float>& floats, std::vector<double>& doubles) {
  zo::fine_tuner tuner;
  tuner.add("w", floats);
#ifdef FAULTY
  tuner.add("v", doubles);
#endif
  (void)doubles;
}
