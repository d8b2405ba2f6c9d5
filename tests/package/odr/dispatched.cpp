// SPDX-License-Identifier: Apache-2.0
#include "dispatched.hpp"

#include "shared.hpp"

#include <zoqat/core/dispatch.hpp>
#include <zoqat/zo/embed/fine_tuner.hpp>

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace {

/// What brings in shared pointers, formats and functions of the standard library, whose symbols a compiler may make
/// unique in the program.
double fine_tuned() {
  auto weights = std::make_shared<std::vector<float>>(64, 1.0f);
  zoqat::zo::fine_tuner tuner;
  tuner.add(fmt::format("weights {}", 1), std::span(*weights));
  return tuner
      .run(4,
           [&](std::uint32_t, std::uint32_t) {
             double sum = 1;
             for (const float w : *weights) sum += std::pow(static_cast<double>(w), 2);
             return sum;
           })
      .loss_before;
}

witness observe_both() {
  witness seen = observe();
  if (!std::isfinite(fine_tuned())) seen.loss = -1;
  return seen;
}

}  // namespace

template <>
dispatched zoqat::dispatch::table<dispatched, zoqat::dispatch::here>() {
  return {observe_both};
}
