// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

/// What one translation unit computed, and with what.
struct witness {
  std::string target;
  float dot;
};

witness plain_unit();
witness avx2_unit();
