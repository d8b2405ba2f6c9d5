// SPDX-License-Identifier: Apache-2.0
#include "host.h"

#include <habits/preludes/engine.hpp>

#include <cstdio>
#include <exception>

void lines();

host_engine engine;

std::vector<engine_matrix>& host_engine::matrices() {
  static std::vector<engine_matrix> all;
  if (all.empty())
    for (int i = 0; i != host_matrices(); ++i) {
      const char* name = nullptr;
      std::size_t size = 0;
      float* const values = host_matrix(i, &name, &size);
      all.push_back({name, {values, size}});
    }
  return all;
}
double host_engine::loss(std::uint32_t step, std::size_t micro_batch) {
  return host_loss(step, static_cast<std::uint32_t>(micro_batch));
}

int main() {
  return host_run([] {
    try {
      lines();
      return 0;
    } catch (const std::exception& e) {
      return std::fprintf(stderr, "%s\n", e.what()), 1;
    }
  });
}
