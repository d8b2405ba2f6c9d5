// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "unit.hpp"

/// What dispatched.cpp offers for each instruction set.
struct dispatched {
  witness (*observe)();
};
