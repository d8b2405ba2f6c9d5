// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Training: objectives, the run, what looks on.

// clang-format off: the order is for reading

#include <zoqat/train/callbacks.hpp>
#include <zoqat/train/keep_best.hpp>
#include <zoqat/train/lane_objective.hpp>
#include <zoqat/train/objective.hpp>
#include <zoqat/train/progress_bar.hpp>
#include <zoqat/train/results_table.hpp>
#include <zoqat/train/step_data.hpp>
#include <zoqat/train/task_loss.hpp>
#include <zoqat/train/trainer.hpp>

// clang-format on
