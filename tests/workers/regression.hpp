// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/random/stream.hpp>
#include <zoqat/zo/embed/in_place.hpp>
#include <zoqat/zo/embed/parameter_list.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/optimizers/parabolic.hpp>
#include <zoqat/zo/scales/balance.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace zoqat::testing {

/// A network of one hidden layer, whose weights are rounded to eighths as a quantized engine does it, that learns
/// what another of its kind computes: small enough to be trained hundreds of times by tests of many workers, with
/// everything that a run needs. Data follow from (step, micro-batch) alone.
struct regression {
  static constexpr std::size_t inputs = 24, hidden = 32, batch = 48;

  std::vector<float> first = drawn(0, inputs* hidden), second = drawn(1, hidden);
  const std::vector<float> wanted_first = drawn(2, inputs* hidden), wanted_second = drawn(3, hidden);
  zo::parameter_list parameters;
  std::uint32_t step = 0;

  regression() {
    parameters.add("first", first, {}, unit);
    parameters.add("second", second, {}, unit);
  }
  regression(const regression&) = delete;
  regression& operator=(const regression&) = delete;

  [[nodiscard]] double loss(std::uint32_t micro_batch) const {
    rng::engine engine({.seed = 5, .step = step, .tensor = micro_batch, .use = rng::purpose::data});
    double total = 0;
    std::vector<float> x(inputs);
    for (std::size_t i = 0; i != batch; ++i) {
      for (float& value : x) value = static_cast<float>(engine.below(2001)) / 1000 - 1;
      const double error = output(x, first, second, true) - output(x, wanted_first, wanted_second, false);
      total += error * error;
    }
    return total / batch;
  }

 private:
  static constexpr float eighth = 0.125f;
  static constexpr std::array<float, 1> unit{eighth};

  static std::vector<float> drawn(std::uint32_t tensor, std::size_t count) {
    rng::engine engine({.seed = 3, .tensor = tensor, .use = rng::purpose::data});
    std::vector<float> values(count);
    for (float& value : values) value = static_cast<float>(engine.below(2001)) / 1000 - 1;
    return values;
  }
  static double output(const std::vector<float>& x, const std::vector<float>& a, const std::vector<float>& b,
                       bool rounded) {
    const auto read = [&](float w) { return rounded ? eighth * std::nearbyint(w / eighth) : w; };
    double sum = 0;
    for (std::size_t h = 0; h != hidden; ++h) {
      float unit_input = 0;
      for (std::size_t i = 0; i != inputs; ++i) unit_input += x[i] * read(a[h * inputs + i]);
      sum += double{std::max(0.0f, unit_input)} * double{read(b[h])};
    }
    return sum;
  }
};

}  // namespace zoqat::testing
