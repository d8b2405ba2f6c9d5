// SPDX-License-Identifier: Apache-2.0
#pragma once

/// What one translation unit computed, and with what.
struct witness {
  const char* target;      ///< instruction set of the kernels
  double loss;             ///< of a little model after training in place
  unsigned char codes[8];  ///< of its first weights, in four bits
};

witness plain_unit();
witness avx2_unit();
