// SPDX-License-Identifier: Apache-2.0
#include "shared.hpp"

witness plain_unit() { return observe(); }
