// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Everything but the adapters in `ext/`.

#include <zoqat/core/core.hpp>
#include <zoqat/eval/eval.hpp>
#include <zoqat/io/io.hpp>
#include <zoqat/nn/nn.hpp>
#include <zoqat/ptq/ptq.hpp>
#include <zoqat/quant/quant.hpp>
#include <zoqat/random/random.hpp>
#include <zoqat/simd/simd.hpp>
#include <zoqat/tasks/tasks.hpp>
#include <zoqat/train/train.hpp>
#include <zoqat/zo/zo.hpp>
