// SPDX-License-Identifier: Apache-2.0
//
// A new estimator in one file, measured beside the paper's: four points on a line cancel the cubic term of a loss, so
// that ε may be large without bias. What was added is `four_point`; the rest of the file measures it.

#include <zoqat/core/executor.hpp>            // thread_pool
#include <zoqat/lab/point_objective.hpp>      // point_objective: a function of all parameters as one vector
#include <zoqat/lab/variance.hpp>             // measure
#include <zoqat/zo/embed/parameter_list.hpp>  // parameter_list

#include <fmt/format.h>

using namespace zoqat;

/// L' from L(±ε) and L(±2ε): (8(L₁ − L₋₁) − (L₂ − L₋₂)) / 12, exact for polynomials of degree 4.
struct four_point {
  static constexpr std::size_t lanes(std::size_t directions) noexcept { return 4 * directions; }
  static void place(std::span<const zo::perturbation> along, std::span<zo::perturbation> lanes) {
    for (std::size_t i = 0; i != along.size(); ++i) {
      zo::perturbation twice = along[i];
      for (const parameter_group group : all_parameter_groups) twice.scale[group] *= 2;
      lanes[4 * i] = along[i], lanes[4 * i + 1] = -along[i], lanes[4 * i + 2] = twice, lanes[4 * i + 3] = -twice;
    }
  }
  static void half_differences(std::span<const zo::perturbation>, std::span<const double> losses,
                               std::span<double> out) {
    for (std::size_t i = 0; i != out.size(); ++i) {
      const double* const l = losses.data() + 4 * i;
      out[i] = (8 * (l[0] - l[1]) - (l[2] - l[3])) / 12;
    }
  }
};

/// x₀ + x₁² + x₂³ + x₃⁴ at (1, 1, 1, 1), where its gradient is (1, 2, 3, 4).
double loss(std::span<const float> x) {
  const double a = x[0], b = x[1], c = x[2], d = x[3];
  return a + b * b + c * c * c + d * d * d * d;
}

template <class Difference>
void report(const char* name, float epsilon, thread_pool& threads) {
  std::vector<float> at(4, 1.0f);
  zo::parameter_list parameters;
  parameters.add("x", at);
  const zo::estimator<Difference, zo::rademacher> estimator{.epsilon = per_group<float>::all(epsilon)};
  const std::array<double, 4> gradient{1, 2, 3, 4};
  const auto objective = [&] { return lab::point_objective(parameters, loss); };
  const lab::estimator_error error = lab::measure(estimator, parameters, objective, gradient, {}, threads);
  fmt::print("{:12} {:8} {:9.4f} {:9.4f}\n", name, epsilon, error.bias_norm().low, error.mean_squared_error().center);
}

int main() {
  thread_pool threads;
  fmt::print("{:12} {:>8} {:>9} {:>9}\n", "", "epsilon", "bias >=", "MSE");
  for (const float epsilon : {0.1f, 0.3f, 1.0f})
    report<zo::central>("central", epsilon, threads), report<four_point>("four points", epsilon, threads);
}
