// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

struct dispatched {
  float (*dot)(const float* a, const float* b, std::size_t n);
};
