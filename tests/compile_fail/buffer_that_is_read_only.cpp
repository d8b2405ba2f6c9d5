// SPDX-License-Identifier: Apache-2.0
// expect: masters are written.*give what may only be read to add_copy
#include <zoqat/zo/embed/parameter_list.hpp>

#include <vector>

using namespace zoqat;

void hand_over(const std::vector<float>& mapped) {
  zo::parameter_list list;
#ifdef FAULTY
  list.add("w", mapped);
#else
  (void)list.add_copy("w", mapped);
#endif
}
