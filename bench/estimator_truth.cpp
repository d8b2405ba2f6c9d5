// SPDX-License-Identifier: Apache-2.0
//
// Estimators of zeroth order against the true gradient of a real quantized model, by reverse-mode differentiation
// (lab/reverse): bias, variance and cosine of antithetic pairs along Gaussian and Rademacher directions, populations
// of pairs, and points compared with each other, for parameters that move no code, for which that gradient is exact,
// for weights, for which it is straight-through, and for what the trainer moves. All on one chunk behind those that
// the model was calibrated on. An update that is deferred into the next pass changes no estimate
// (tests/zo/deferred_update_test.cpp), and so has no row.
//
//   estimator_truth --model M --tokenizer T --text TEXT [--pairs N] [--seed S] [--output FILE.csv]

#include "real_model.hpp"  // model, texts

#include <zoqat/core/running_moments.hpp>          // running_moments
#include <zoqat/eval/perplexity.hpp>               // batch_of
#include <zoqat/lab/confidence.hpp>                // mean_interval
#include <zoqat/lab/dense_gradient.hpp>            // dense_gradient
#include <zoqat/lab/normal.hpp>                    // upper_quantile
#include <zoqat/lab/reverse/recorded_loss.hpp>     // the truth
#include <zoqat/ptq/ptq.hpp>                       // prepare
#include <zoqat/quant/scheme_registry.hpp>         // standard_schemes
#include <zoqat/train/objective.hpp>               // distillation
#include <zoqat/zo/differences/leave_one_out.hpp>  // points compared with each other
#include <zoqat/zo/scales/balance.hpp>             // the trainer's ε

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <fstream>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace zoqat;
using full = nn::llama<quant::full_precision>;

struct options {
  bench::real_model files;
  std::uint32_t pairs = 4096;
  std::uint64_t seed = 0;
  std::string output;
};

double product(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// The tensors of a model whose groups move, as a store.
template <class Model>
struct moving {
  Model& model;
  per_group<float> epsilon;

  template <class F>
  void for_each_parameter(F&& visit) {
    model.for_each_parameter([&](const parameter& p) {
      if (epsilon[p.group] != 0) visit(p);
    });
  }
};

template <quant::fixed_string Name>
class study {
 public:
  study(const options& o, std::ofstream& csv)
      : o_(o),
        csv_(csv),
        threads_(o.files.threads),
        teacher_(o.files.load<full>()),
        model_(o.files.load<model_type>()) {
    eval::chunks text = o.files.chunks_of(o.files.text, o.files.calibration + 1);
    corpus_.push_back(std::move(text.back()));  // of one chunk, which every step draws
    text.pop_back();
    ptq::prepare(model_, teacher_, eval::batches_of(text), threads_);
    differentiate();
  }

  void run() {
    const auto add = [&](std::string_view name, const per_group<float>& epsilon) { measure_all(name, epsilon); };
    for (const float epsilon : {0.001f, 0.01f, 0.05f})
      add(fmt::format("steps, norms {}", epsilon), {.step_tensor = epsilon,
                                                    .step_row = epsilon,
                                                    .step_column = epsilon,
                                                    .step_group = epsilon,
                                                    .norm = epsilon,
                                                    .norm_scale = epsilon});
    for (const float epsilon : {0.1f, 0.5f, 1.0f}) add(fmt::format("weights {}", epsilon), {.weight = epsilon});
    auto groups = per_group<bool>::all(true);
    groups.weight = groups.clipping = false;
    auto loss = objective();
    add("trainer's", zo::balance(model_, loss, zo::rademacher{}, {.groups = groups, .seed = o_.seed}).epsilon);
  }
  [[nodiscard]] std::size_t threads() const { return threads_.concurrency(); }
  static void print_head() {
    fmt::print("{:9} {:19} {:25} {:>3} {:>15} {:>16} {:>11} {:>9}\n", "scheme", "moves, and epsilon", "estimator",
               "q", "projection", "squared bias", "variance", "cosine");
  }

 private:
  using scheme = quant::standard_schemes::scheme_of<Name>;
  using model_type = nn::llama<scheme>;

  auto objective() {
    return train::distillation(model_, teacher_, corpus_, threads_, {.batch = 1, .micro_batches = 1});
  }
  /// The batch of the objective, whose loss must be that of the tape.
  void differentiate() {
    nn::token_batch batch = eval::batch_of(corpus_);
    nn::workspace work;
    constexpr inference_lane lane;
    const nn::forward_pass<simd::default_kernels, inference_lane, thread_pool> pass{lane, threads_, batch, work};
    const nn::teacher_scores scores = nn::teacher_probabilities(teacher_, pass);
    nn::token_loss own;
    nn::distillation(model_, pass, scores, std::span(&own, 1));
    lab::reverse::roundings rounded;
    lab::reverse::recorded_loss recorded(model_, batch, lab::reverse::teacher_loss(batch, scores), rounded);
    truth_ = recorded.gradient();
    fmt::print("# {}: loss {:.7f}, of the tape {:.7f}; {} parameters; inputs apart by {:.1e}\n", Name.view(),
               own.mean(), recorded.value(), truth_.size(), recorded.drift());
  }

  void measure_all(std::string_view name, const per_group<float>& epsilon) {
    moving<model_type> parameters{model_, epsilon};
    std::vector<double> truth;
    std::size_t at = 0;
    model_.for_each_parameter([&](const parameter& p) {
      if (epsilon[p.group] != 0)
        truth.insert(truth.end(), truth_.begin() + static_cast<std::ptrdiff_t>(at),
                     truth_.begin() + static_cast<std::ptrdiff_t>(at + p.size()));
      at += p.size();
    });
    fmt::print("# {}: {} parameters, |g| {:.4g}\n", name, truth.size(), std::sqrt(product(truth, truth)));
    measure(name, "gaussian pairs", zo::estimator<zo::central, zo::gaussian>{.epsilon = epsilon, .seed = o_.seed},
            parameters, truth);
    measure(name, "rademacher pairs", zo::estimator<zo::central, zo::rademacher>{.epsilon = epsilon, .seed = o_.seed},
            parameters, truth);
    measure(name, "rademacher population",
            zo::estimator<zo::central, zo::rademacher>{.epsilon = epsilon, .directions = 16, .seed = o_.seed},
            parameters, truth);
    measure(name, "rademacher leave-one-out",
            zo::estimator<zo::leave_one_out, zo::rademacher>{.epsilon = epsilon, .directions = 16, .seed = o_.seed},
            parameters, truth);
  }
  /// E⟨ĝ, g⟩/‖g‖², ‖E ĝ − g‖²/‖g‖², E‖ĝ − E ĝ‖²/‖g‖² and the cosine of one estimate, at 99 %. ‖E ĝ‖² comes from
  /// products of independent parts of the mean, which hold no variance; what they leave of n estimates in d
  /// dimensions is variance / n · √(2 / d).
  template <class Estimator, class Store>
  void measure(std::string_view name, std::string_view estimator, const Estimator& e, Store& parameters,
               const std::vector<double>& truth) {
    constexpr std::uint32_t parts = 16;
    const std::uint32_t of_part = std::max(1u, o_.pairs / e.directions / parts);
    const double squared = product(truth, truth), n = static_cast<double>(parts) * of_part;
    auto loss = objective();
    std::vector<double> one(truth.size()), all(truth.size(), 0.0), part(truth.size());
    running_moments projection, cosine, norm;
    double squares = 0;
    for (std::uint32_t k = 0; k != parts; ++k) {
      std::ranges::fill(part, 0.0);
      for (std::uint32_t i = 0; i != of_part; ++i) {
        lab::dense_gradient(e(k * of_part + i, loss), parameters, one);
        for (std::size_t j = 0; j != one.size(); ++j) part[j] += one[j];
        const double along = product(one, truth), length = product(one, one);
        projection.add(along / squared), norm.add(length / squared);
        cosine.add(length == 0 ? 0 : along / std::sqrt(length * squared));  // of 0: orthogonal
      }
      squares += product(part, part);
      for (std::size_t j = 0; j != all.size(); ++j) all[j] += part[j];
    }
    const double mean_norm = (product(all, all) - squares) / (n * n * (1 - 1.0 / parts)) / squared;
    const lab::interval p = lab::mean_interval(projection);
    const double variance = norm.mean() - mean_norm, bias = mean_norm - 2 * p.center + 1;
    const double unsure =
        lab::normal::upper_quantile(0.005) * variance / n * std::sqrt(2 / static_cast<double>(truth.size()));
    fmt::print("{:9} {:19} {:25} {:3} {:7.3f} ± {:5.3f} {:8.3f} ± {:5.3f} {:11.5g} {:9.4f}\n", Name.view(), name,
               estimator, e.directions, p.center, p.half_width(), bias, unsure, variance, cosine.mean());
    std::fflush(stdout);
    if (csv_.is_open())
      csv_ << fmt::format("{},{},{},{},{},{},{},{},{},{}\n", Name.view(), name, estimator, e.directions, p.center,
                          p.half_width(), bias, unsure, variance, cosine.mean());
  }

  const options& o_;
  std::ofstream& csv_;
  thread_pool threads_;
  full teacher_;
  model_type model_;
  eval::chunks corpus_;
  std::vector<double> truth_;
};

}  // namespace

int main(int argc, char** argv) {
  options o;
  CLI::App app("Estimators of zeroth order against the true gradient of a quantized model");
  o.files.length = 128;
  o.files.add_options(app, false);
  app.add_option("--pairs", o.pairs, "of points for each figure")->capture_default_str();
  app.add_option("--seed", o.seed, "of the directions")->capture_default_str();
  app.add_option("--output", o.output, "CSV");
  CLI11_PARSE(app, argc, argv);
  try {
    std::ofstream csv;
    if (!o.output.empty()) csv.open(o.output);
    if (csv.is_open())
      csv << "scheme,moves,estimator,directions,projection,half_width,squared_bias,half_width_of_bias,variance,"
             "cosine\n";
    study<"w2a16g32"> weights_only(o, csv);
    fmt::print("# {}, {} threads, {} pairs for each figure, seed {}\n", simd::default_kernels::target(),
               weights_only.threads(), o.pairs, o.seed);
    weights_only.print_head();
    weights_only.run();
    study<"w4a4">(o, csv).run();
    csv.close();
    require<io_error>(o.output.empty() || csv.good(), "{}: cannot be written", o.output);
  } catch (const std::exception& e) {
    fmt::print(stderr, "estimator_truth: {}\n", e.what());
    return 1;
  }
}
