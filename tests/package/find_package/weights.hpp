// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

/// The engine's weights before training.
std::vector<float> initial_weights();
