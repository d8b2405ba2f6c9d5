// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/ptq/prepare.hpp>  // prepare_options, stage

#include <fmt/format.h>

#include <cstddef>
#include <cstdio>

namespace zoqat::programs {

/// The recipe of ptq::prepare as far as `depth`, with a line for each block while it is reconstructed.
[[nodiscard]] inline ptq::prepare_options recipe(ptq::stage depth) {
  return {.depth = depth, .progress = [](std::size_t block, std::size_t blocks) {
            fmt::print(stderr, "reconstruction: block {} of {}\n", block + 1, blocks);
          }};
}

}  // namespace zoqat::programs
