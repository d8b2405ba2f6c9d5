// SPDX-License-Identifier: Apache-2.0
#pragma once

/// What every layer stands on: errors, number formats, storage, matrices, executors.

// The order is for reading.
// clang-format off

#include <zoqat/core/config.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/core/aligned.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/core/adapter_names.hpp>
#include <zoqat/core/packed_signs.hpp>
#include <zoqat/core/hash.hpp>
#include <zoqat/core/running_moments.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/dispatch.hpp>
#include <zoqat/core/version.hpp>

// POSIX.
#include <zoqat/core/file_descriptor.hpp>
#include <zoqat/core/regular_file.hpp>
#include <zoqat/core/name_pattern.hpp>

// clang-format on
