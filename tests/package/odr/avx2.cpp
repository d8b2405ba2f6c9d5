// SPDX-License-Identifier: Apache-2.0
#include "shared.hpp"

witness avx2_unit() { return observe(); }
