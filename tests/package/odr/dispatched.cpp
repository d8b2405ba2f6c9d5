// SPDX-License-Identifier: Apache-2.0
#include "dispatched.hpp"

#include "shared.hpp"

#include <zoqat/core/dispatch.hpp>

template <>
dispatched zoqat::dispatch::table<dispatched, zoqat::dispatch::here>() {
  return {observe};
}
