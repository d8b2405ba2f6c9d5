// SPDX-License-Identifier: Apache-2.0
#pragma once

/// What the method is measured with and held to: closed forms, references, confidence intervals. For study and for
/// tests; nothing that trains includes it.

// The order is for reading.
// clang-format off

// Measuring an estimator.
#include <zoqat/lab/confidence.hpp>
#include <zoqat/lab/dense_gradient.hpp>
#include <zoqat/lab/normal.hpp>
#include <zoqat/lab/point_objective.hpp>
#include <zoqat/lab/variance.hpp>

// Closed forms of its bias and variance (section 7 of the notes on the estimator).
#include <zoqat/lab/linear_oracles.hpp>
#include <zoqat/lab/noise_oracles.hpp>
#include <zoqat/lab/normalized_oracles.hpp>
#include <zoqat/lab/quadratic_oracles.hpp>
#include <zoqat/lab/quantized_oracles.hpp>
#include <zoqat/lab/saturation_oracles.hpp>

// Appendix G: what a quantizer does to the estimate.
#include <zoqat/lab/appendix_g.hpp>
#include <zoqat/lab/fixed_quantizer.hpp>
#include <zoqat/lab/quantized_regression.hpp>

// The straight-through gradient.
#include <zoqat/lab/ste.hpp>

// The true gradient of a model, by reverse-mode differentiation.
#include <zoqat/lab/reverse/tape.hpp>
#include <zoqat/lab/reverse/operations.hpp>
#include <zoqat/lab/reverse/attention.hpp>
#include <zoqat/lab/reverse/losses.hpp>
#include <zoqat/lab/reverse/rounding.hpp>
#include <zoqat/lab/reverse/grid.hpp>
#include <zoqat/lab/reverse/recorder.hpp>
#include <zoqat/lab/reverse/linear.hpp>
#include <zoqat/lab/reverse/layers.hpp>
#include <zoqat/lab/reverse/recorded_loss.hpp>

// clang-format on
