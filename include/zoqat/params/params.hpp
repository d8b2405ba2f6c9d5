// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Parameters: what they are, how their masters are stored, and how a forward pass reads them on several lanes.

// The order is for reading.
// clang-format off

#include <zoqat/params/parameter.hpp>
#include <zoqat/params/lanes.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/params/masters.hpp>
#include <zoqat/params/compact_masters.hpp>
#include <zoqat/params/compact_storage.hpp>
#include <zoqat/params/half_views.hpp>
#include <zoqat/params/stored_masters.hpp>
#include <zoqat/params/master_rows.hpp>

// clang-format on
