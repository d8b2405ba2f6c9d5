// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the programs in C++ around the engine share: the library's view of it, and the moments of its inputs.

#include "stories.h"

#include <zoqat/core/matrix.hpp>        // matrix_view
#include <zoqat/ptq/input_moments.hpp>  // input_moments: E[x xᵀ] of a matrix's inputs

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <span>
#include <vector>

namespace stories {

using namespace zoqat;

/// Sequences of the training text that the inputs' moments are gathered from: its first.
inline constexpr int calibration = 256;

inline matrix_view<const float> weights_of(const engine_matrix& m) {
  return {m.values, static_cast<std::size_t>(m.rows), static_cast<std::size_t>(m.cols)};
}

/// The moments of every matrix's inputs.
inline std::vector<ptq::input_moments> gather(const story_setting& s) {
  std::vector<ptq::input_moments> moments;
  for (int i = 0; i != engine_matrices(s.e); ++i) moments.emplace_back(weights_of(engine_matrix_at(s.e, i)).cols());
  const engine_watcher watch = [](void* user, int i, const float* x, int n) {
    auto& all = *static_cast<std::vector<ptq::input_moments>*>(user);
    all[static_cast<std::size_t>(i)].add(std::span(x, static_cast<std::size_t>(n)));
  };
  engine_watch(s.e, watch, &moments);
  stories_loss(&s, 0, std::min(calibration, s.train.count));
  engine_watch(s.e, nullptr, nullptr);
  return moments;
}

/// Calls f(setting) with so many sequences to evaluate on and to train on. Returns what main is to.
template <class F>
int with_setting(const char* program, int valid, int train, F&& f) {
  story_setting s;
  const int failed = stories_open(&s, ZOQAT_MODELS "/../../../shared", valid, train);
  if (failed) return failed == 1 ? 0 : 1;
  int result = 0;
  try {
    f(s);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "%s: %s\n", program, problem.what());
    result = 1;
  }
  stories_close(&s);
  return result;
}

}  // namespace stories
