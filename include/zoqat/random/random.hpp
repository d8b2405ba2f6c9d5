// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Counter-based random numbers: every number is a pure function of where it is used.
#include <zoqat/random/aes.hpp>
#include <zoqat/random/ars.hpp>
#include <zoqat/random/gaussian.hpp>
#include <zoqat/random/philox.hpp>
#include <zoqat/random/rademacher.hpp>
#include <zoqat/random/stream.hpp>
#include <zoqat/random/superblock.hpp>
