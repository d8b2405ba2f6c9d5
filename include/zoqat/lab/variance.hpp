// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/running_moments.hpp>
#include <zoqat/lab/confidence.hpp>
#include <zoqat/lab/dense_gradient.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/zo/estimator.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::lab {

/// What many estimates of one gradient were like. Everything is a mean over samples with its spread; intervals are at
/// the confidence asked for.
class estimator_error {
 public:
  /// `components`: whether the error of each component is followed, which the bias needs; 24 bytes each.
  explicit estimator_error(std::size_t dimension, bool components = true) : components_(components ? dimension : 0) {}

  /// Takes in an estimate of `truth`; both of the same size.
  void add(std::span<const double> estimated, std::span<const double> truth) {
    double error = 0, squared_norm = 0, product = 0, squared_truth = 0;
    for (std::size_t i = 0; i != truth.size(); ++i) {
      const double apart = estimated[i] - truth[i];
      error += apart * apart;
      squared_norm += estimated[i] * estimated[i];
      product += estimated[i] * truth[i];
      squared_truth += truth[i] * truth[i];
      if (!components_.empty()) components_[i].add(apart);
    }
    squared_error_.add(error);
    squared_norm_.add(squared_norm);
    if (squared_truth == 0) return;
    projection_.add(product / squared_truth);
    cosine_.add(squared_norm == 0 ? 0 : product / std::sqrt(squared_norm * squared_truth));
  }
  /// An estimate that there was none of.
  void add_rejected() noexcept { ++rejected_; }
  void merge(const estimator_error& other) {
    for (std::size_t i = 0; i != components_.size(); ++i) components_[i].merge(other.components_[i]);
    squared_error_.merge(other.squared_error_);
    squared_norm_.merge(other.squared_norm_);
    projection_.merge(other.projection_);
    cosine_.merge(other.cosine_);
    rejected_ += other.rejected_;
  }

  [[nodiscard]] std::uint64_t samples() const noexcept { return squared_error_.count(); }
  [[nodiscard]] std::uint64_t rejected() const noexcept { return rejected_; }
  /// E‖ĝ − g‖².
  [[nodiscard]] interval mean_squared_error(double confidence = 0.99) const {
    return mean_interval(squared_error_, confidence);
  }
  /// E‖ĝ‖².
  [[nodiscard]] interval second_moment(double confidence = 0.99) const {
    return mean_interval(squared_norm_, confidence);
  }
  /// E cos(ĝ, g); an estimate of 0 counts as orthogonal. Says nothing where g = 0.
  [[nodiscard]] interval cosine(double confidence = 0.99) const { return mean_interval(cosine_, confidence); }
  /// E⟨ĝ, g⟩/‖g‖²: 1 for what is unbiased, or biased across the gradient only. Says nothing where g = 0.
  [[nodiscard]] interval projection(double confidence = 0.99) const { return mean_interval(projection_, confidence); }
  /// E ĝ − g, component by component; all intervals hold at once. Empty if components were not followed.
  [[nodiscard]] std::vector<interval> bias(double confidence = 0.99) const {
    return joint_intervals(components_, confidence);
  }
  /// ‖E ĝ − g‖. The center is the norm of the measured means and so never 0; `low` is 0 where no bias was found.
  [[nodiscard]] interval bias_norm(double confidence = 0.99) const { return norm_interval(bias(confidence)); }

 private:
  std::vector<running_moments> components_;
  running_moments squared_error_, squared_norm_, projection_, cosine_;
  std::uint64_t rejected_ = 0;
};

struct sampling {
  std::uint64_t samples = 1'000'000;
  std::uint32_t first_step = 0;  ///< sample i is step first_step + i
  bool components = true;        ///< see `estimator_error`
};

/// Measures anything that estimates gradients: `make()` gives a sampler, one for each of at most 64 tasks, and
/// `sampler(step, out)` writes the estimate of a step and returns whether there is one. The same steps give the same
/// samples and tasks do not follow the number of threads, so that a result can be repeated and nothing is drawn again
/// until it looks right. Throws value_error for steps beyond 2³².
template <class Make, executor Executor>
[[nodiscard]] estimator_error measure_samples(std::span<const double> truth, Make&& make, const sampling& how,
                                              Executor& threads) {
  require(how.samples > 0 && how.samples <= (std::uint64_t{1} << 32) - how.first_step,
          "measure: {} samples from step {}; there are 2^32 steps", how.samples, how.first_step);
  const std::uint64_t tasks = std::min<std::uint64_t>(64, how.samples);
  std::vector<estimator_error> parts(tasks, estimator_error(truth.size(), how.components));
  threads.parallel_for(tasks, [&](std::size_t task) {
    auto&& sampler = make();
    std::vector<double> estimated(truth.size());
    const auto step_of = [&](std::uint64_t i) {
      return how.first_step + how.samples / tasks * i + std::min(i, how.samples % tasks);
    };
    for (std::uint64_t step = step_of(task); step != step_of(task + 1); ++step) {
      if (sampler(static_cast<std::uint32_t>(step), std::span<double>(estimated)))
        parts[task].add(estimated, truth);
      else
        parts[task].add_rejected();
    }
  });
  for (std::size_t task = 1; task != tasks; ++task) parts[0].merge(parts[task]);
  return parts[0];
}

/// What takes a step and an objective to an estimate: `estimator<...>`, and whatever a user writes like it.
/// The estimate says what its directions are drawn from.
template <class E, class Objective>
concept gradient_estimator = requires(const E& e, Objective& loss) {
  { e(std::uint32_t{}, loss) } -> std::convertible_to<const zo::measurement&>;
  requires zo::distribution<std::remove_cvref_t<decltype(e(std::uint32_t{}, loss).distribution)>>;
};

namespace detail {

/// `Objective` may be a reference.
template <class Estimator, class Store, class Objective>
struct estimator_sampler {
  const Estimator& estimator;
  Store& parameters;
  Objective loss;

  bool operator()(std::uint32_t step, std::span<double> out) {
    if constexpr (requires { loss.select(step); }) loss.select(step);
    const auto e = estimator(step, loss);
    if (!e.rejected()) dense_gradient(e, parameters, out);
    return !e.rejected();
  }
};

}  // namespace detail

/// Measures an estimator against a known gradient [total_size(parameters)], in units of the parameters (see
/// `dense_gradient`). `make_objective()` gives an objective, or a reference to one, to each task; if it has
/// `select(step)`, that is called before each sample. The parameters are only read.
template <class Estimator, parameter_store Store, class MakeObjective, executor Executor>
  requires gradient_estimator<Estimator, std::remove_reference_t<std::invoke_result_t<MakeObjective&>>>
[[nodiscard]] estimator_error measure(const Estimator& estimator, Store& parameters, MakeObjective&& make_objective,
                                      std::span<const double> truth, const sampling& how, Executor& threads) {
  using objective_type = std::invoke_result_t<MakeObjective&>;
  const auto make = [&] {
    return detail::estimator_sampler<Estimator, Store, objective_type>{estimator, parameters, make_objective()};
  };
  return measure_samples(truth, make, how, threads);
}

}  // namespace zoqat::lab
