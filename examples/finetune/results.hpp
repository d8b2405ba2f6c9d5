// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <common/results_table.hpp>
#include <finetune/workbench.hpp>

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <string>

namespace zoqat::programs {

/// The table, and what its columns are made of.
struct results {
  using figure = results_table::figure;
  results_table table{
      {{"test", 1}, {"validation", 1}, {"step"}, {"weight bytes"}, {"training bytes"}, {"seconds", 1}}};
  std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();

  /// Adds a row with the time since the one before; `held` are the bytes of weights while they train.
  template <class Model>
  void add(const std::string& row, Model& model, workbench& bench, figure step = results_table::none,
           figure held = results_table::none) {
    const double validation = bench.score(model, bench.validation), test = bench.score(model, bench.test);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - since;
    table.add(row, {test, validation, step, model.weight_bytes(), held, seconds.count()});
    fmt::print("seed {}: {}: test {:.1f}, validation {:.1f}\n", bench.seed, row, test, validation);
    std::fflush(stdout);
    since = std::chrono::steady_clock::now();
  }
};

}  // namespace zoqat::programs
