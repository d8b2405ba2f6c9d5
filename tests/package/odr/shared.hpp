// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "unit.hpp"

#include <zoqat/quant/quant.hpp>
#include <zoqat/zo/embed/in_place.hpp>
#include <zoqat/zo/embed/parameter_list.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/optimizers/sgd.hpp>
#include <zoqat/zo/step.hpp>

#include <cstdint>

/// What an engine does with the library, in an unnamed namespace, so that each unit has its own: all that the two
/// could share are functions of the library and of what it stands on.
namespace {

struct squared_distance {
  const float* weights;
  double operator()() const {
    double sum = 0;
    for (int i = 0; i != 64; ++i) {
      const float away = weights[i] - 1;
      sum += double{away} * double{away};  // exact, fused or not
    }
    return sum;
  }
};

witness observe() {
  namespace zo = zoqat::zo;
  float weights[64] = {};
  const squared_distance loss{weights};
  zo::parameter_list parameters;
  parameters.add("weights", weights);
  const zo::estimator<zo::central, zo::gaussian> estimator{.directions = 2};
  const zo::sgd<> optimizer{.learning_rate = {.weight = 0.01f}};
  auto objective = zo::in_place(parameters, loss);
  for (std::uint32_t step = 0; step != 100; ++step) zo::step(parameters, objective, estimator, optimizer, step);

  using weight = zoqat::quant::weight<4>;
  std::uint8_t codes[64];
  zoqat::simd::grid grid;
  zoqat::quant::quantize_row<weight>(weights, nullptr, codes, &grid);
  zoqat::quant::dequantize_row<weight>(codes, &grid, weights);
  witness seen{zoqat::simd::default_kernels::target(), loss(), {}};
  for (int i = 0; i != 8; ++i) seen.codes[i] = codes[i];
  return seen;
}

}  // namespace
