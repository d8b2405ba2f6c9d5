// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Everything but the adapters in `ext/`, layer by layer: each includes only layers above it.

// The order is for reading.
// clang-format off
#include <zoqat/core/core.hpp>
#include <zoqat/random/random.hpp>
#include <zoqat/simd/simd.hpp>
#include <zoqat/params/params.hpp>
#include <zoqat/quant/quant.hpp>
#include <zoqat/zo/zo.hpp>
#include <zoqat/nn/nn.hpp>
#include <zoqat/lab/lab.hpp>
#include <zoqat/ptq/ptq.hpp>
#include <zoqat/io/io.hpp>
#include <zoqat/text/text.hpp>
#include <zoqat/eval/eval.hpp>
#include <zoqat/tasks/tasks.hpp>
#include <zoqat/train/train.hpp>
// clang-format on
