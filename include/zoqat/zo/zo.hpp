// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The method, in the order in which a step uses it. What is studied about it lies in `zoqat/lab`.

// The order is for reading.
// clang-format off

// The method on one screen.
#include <zoqat/zo/step.hpp>

// A step: a direction, where the loss is evaluated along it, and the estimate that follows.
#include <zoqat/zo/direction.hpp>
#include <zoqat/zo/difference.hpp>
#include <zoqat/zo/losses.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/estimate.hpp>
#include <zoqat/zo/shaping.hpp>

// How parameters are read at a point that is not stored, and how they are moved.
#include <zoqat/zo/perturbation.hpp>
#include <zoqat/zo/update.hpp>
#include <zoqat/zo/deferred_update.hpp>

// Directions.
#include <zoqat/zo/directions/element_words.hpp>
#include <zoqat/zo/directions/uniform.hpp>
#include <zoqat/zo/directions/sphere.hpp>
#include <zoqat/zo/directions/sparse.hpp>
#include <zoqat/zo/directions/orthogonal.hpp>
#include <zoqat/zo/directions/low_rank.hpp>
#include <zoqat/zo/directions/coordinate.hpp>
#include <zoqat/zo/directions/partition.hpp>
#include <zoqat/zo/directions/quantized.hpp>

// Differences, and shapings of slopes.
#include <zoqat/zo/differences/forward.hpp>
#include <zoqat/zo/differences/one_point.hpp>
#include <zoqat/zo/differences/leave_one_out.hpp>
#include <zoqat/zo/differences/telescoping.hpp>
#include <zoqat/zo/shapings/normalized.hpp>
#include <zoqat/zo/shapings/sign_of_slope.hpp>

// Optimizers, and the scales that they start from.
#include <zoqat/zo/optimizer.hpp>
#include <zoqat/zo/optimizers/schedule.hpp>
#include <zoqat/zo/optimizers/sgd.hpp>
#include <zoqat/zo/optimizers/parabolic.hpp>
#include <zoqat/zo/scales/balance.hpp>
#include <zoqat/zo/scales/group_scales.hpp>
#include <zoqat/zo/scales/flipped_codes.hpp>

// Less variance at the price of more evaluations.
#include <zoqat/zo/variance_reduction/control_variate.hpp>
#include <zoqat/zo/variance_reduction/svrg.hpp>

// In an engine that exists already, and the log of a run.
#include <zoqat/zo/embed/fine_tuner.hpp>
#include <zoqat/zo/embed/parameter_list.hpp>
#include <zoqat/zo/embed/in_place.hpp>
#include <zoqat/zo/embed/lane_batches.hpp>
#include <zoqat/zo/log/log_format.hpp>
#include <zoqat/zo/log/run_log.hpp>

// A step of many workers, who send each other losses alone.
#include <zoqat/zo/workers/share.hpp>
#include <zoqat/zo/workers/coordinator.hpp>
#include <zoqat/zo/workers/worker.hpp>
#include <zoqat/zo/workers/member_objective.hpp>
#include <zoqat/zo/workers/message.hpp>
#include <zoqat/zo/workers/link.hpp>

// clang-format on
