// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Training: objectives, the run, what looks on.

// The order is for reading.
// clang-format off

#include <zoqat/train/objective.hpp>
#include <zoqat/train/task_loss.hpp>
#include <zoqat/train/reward_loss.hpp>
#include <zoqat/train/lane_objective.hpp>
#include <zoqat/train/step_data.hpp>
#include <zoqat/train/trainer.hpp>
#include <zoqat/train/callbacks.hpp>
#include <zoqat/train/progress_bar.hpp>
#include <zoqat/train/keep_best.hpp>
#include <zoqat/train/best_point.hpp>
#include <zoqat/train/start_snapshot.hpp>
#include <zoqat/train/omniquant.hpp>

// clang-format on
