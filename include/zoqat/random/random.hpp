// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Random numbers as pure functions of a counter.

// The order is for reading.
// clang-format off

#include <zoqat/random/stream.hpp>
#include <zoqat/random/philox.hpp>
#include <zoqat/random/aes.hpp>
#include <zoqat/random/ars.hpp>
#include <zoqat/random/superblock.hpp>
#include <zoqat/random/rademacher.hpp>
#include <zoqat/random/gaussian.hpp>

// clang-format on
