// SPDX-License-Identifier: Apache-2.0
#pragma once

// What blocks about embedding presuppose: an inference engine that exists already, with buffers and a loss of its
// own.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

struct engine_matrix {
  std::string name;
  std::span<float> masters;
};
struct host_engine {
  std::vector<engine_matrix>& matrices();
  double loss(std::uint32_t step, std::size_t micro_batch);
};
extern host_engine engine;
inline constexpr std::uint32_t steps = 600;
