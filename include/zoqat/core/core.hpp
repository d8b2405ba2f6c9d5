// SPDX-License-Identifier: Apache-2.0
#pragma once

/// What every layer stands on: errors, number formats, storage, matrices, executors, parameters, lanes.

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/hash.hpp>
#include <zoqat/core/lanes.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/core/parameter.hpp>
#include <zoqat/core/sign_run.hpp>
#include <zoqat/core/version.hpp>
