// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/lab/dense_gradient.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/simd/default_kernels.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::lab {

/// A function of all parameters as one vector, as an objective: `f(point)` or `f(point, micro_batch)`, where `point`
/// is a span of floats, tensor after tensor. For small problems whose gradient is known; a network reads `zo::lanes`.
/// Every lane makes its direction anew. If `f.select(step)` exists it is called before the evaluations of a step.
///
/// Copies have buffers of their own and only read the store, so that each thread can have one.
template <parameter_store Store, class F>
  requires(std::invocable<F&, std::span<const float>> || std::invocable<F&, std::span<const float>, std::size_t>)
class point_objective {
 public:
  point_objective(Store& parameters, F f) : parameters_(parameters), f_(std::move(f)) {
    point_.resize(total_size(parameters));
  }

  void select(std::uint32_t step) {
    if constexpr (requires { f_.select(step); }) f_.select(step);
  }
  template <zo::distribution Distribution>
  void operator()(const zo::lane_points<Distribution>& lanes, std::size_t micro_batch, std::span<double> losses) {
    for (std::size_t lane = 0; lane != lanes.size(); ++lane) {
      std::size_t at = 0;
      parameters_.for_each_parameter([&](const parameter& p) {
        const float scale = lanes[lane].scale[p.group];
        zo::read_perturbed(lanes.distribution, p, lanes[lane].along, {&scale, 1}, 0, p.size(), point_.data() + at);
        at += p.size();
      });
      const std::span<const float> point(point_);
      if constexpr (std::invocable<F&, std::span<const float>>)
        losses[lane] = static_cast<double>(f_(point));
      else
        losses[lane] = static_cast<double>(f_(point, micro_batch));
    }
  }

 private:
  Store& parameters_;
  F f_;
  buffer<float> point_;
};

}  // namespace zoqat::lab
