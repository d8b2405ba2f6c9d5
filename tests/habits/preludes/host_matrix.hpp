// SPDX-License-Identifier: Apache-2.0
#pragma once

// What blocks about quantizing in an engine presuppose: a matrix of weights [out, in], the buffer that the forward
// pass reads, and inputs of the matrix.

#include <zoqat/core/matrix.hpp>

#include <vector>

using namespace zoqat;
extern matrix_view<const float> weights;
extern matrix_view<float> used;
extern const std::vector<std::vector<float>> calibration_inputs;
