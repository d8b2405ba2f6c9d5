// SPDX-License-Identifier: Apache-2.0
//
// How good estimators are on a real quantized model: variance of the loss difference, cosine with a reference of many
// directions, and what a unit of squared error costs in forward passes and time. Everything is measured on one batch,
// with lanes two at a time, so that every estimator has the memory of an antithetic pair. Errors are relative to ‖g‖²:
// so many estimates, averaged, are as far from the gradient as 0 is.
//
//   variance_report [--samples N] [--reference N] [--output PREFIX]      writes PREFIX.csv and PREFIX.gp

#include "gnuplot.hpp"  // plots

#include <zoqat/eval/perplexity.hpp>    // batches_of
#include <zoqat/eval/sample.hpp>        // sample_corpus
#include <zoqat/io/io.hpp>              // open_model, load
#include <zoqat/nn/llama.hpp>           // llama<scheme>
#include <zoqat/ptq/ptq.hpp>            // round_to_nearest, smoothquant
#include <zoqat/train/objective.hpp>    // language_model_loss
#include <zoqat/zo/balance.hpp>         // balance, for_least_error
#include <zoqat/zo/forward.hpp>         // forward differences
#include <zoqat/zo/in_turns.hpp>        // two lanes at a time
#include <zoqat/zo/leave_one_out.hpp>   // points compared with each other
#include <zoqat/zo/variance.hpp>        // measure

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace zoqat;

using w4a4 = quant::scheme<quant::weight<4, quant::per_channel, quant::asymmetric>, quant::activation<4>>;
using full = nn::llama<quant::full_precision>;

/// Gaussian or Rademacher directions, in all tensors or in one alone.
struct elements {
  bool is_gaussian = true;
  std::optional<std::uint32_t> alone{};

  [[nodiscard]] static constexpr const char* name() noexcept { return "of the report"; }
  template <class Kernels>
  void fill(const zo::direction& along, const parameter& p, std::uint64_t first, float* out,
            std::size_t n) const noexcept {
    if (alone && *alone != p.id) std::fill_n(out, n, 0.0f);
    else zo::either{is_gaussian}.fill<Kernels>(along.of_tensor(p.id), first, out, n);
  }
  friend bool operator==(const elements&, const elements&) = default;
};

/// A model with masters on one batch of text that its teacher wrote.
struct problem {
  thread_pool threads;
  io::model_source source{io::open_model(ZOQAT_MODELS "/tiny-llama")};
  full teacher{io::load<full>(source)};
  nn::llama<w4a4> model{io::load<nn::llama<w4a4>>(source)};
  eval::chunks corpus;

  problem(std::size_t length, std::size_t cores) : threads(cores) {
    constexpr std::size_t chunks = 8;
    constexpr std::uint32_t begin_of_text = 1;
    corpus = eval::sample_corpus(teacher, chunks, length, {.temperature = 1}, begin_of_text, 1, threads);
    ptq::round_to_nearest(model);
    ptq::smoothquant(model, teacher, eval::batches_of(corpus), 0.5f, threads);
    model.for_each_site([](auto&& site) {
      for (auto* layer : site.layers) layer->set_weight_units(*site.smoothing);
    });
    corpus.resize(2);
  }
  /// The loss of the trainer, along directions of the report. It is never told of a step, and so stays on its batch.
  [[nodiscard]] auto loss(const elements& along) {
    return train::language_model_loss<nn::llama<w4a4>, full, elements, thread_pool>(
        model, teacher, corpus, threads, {.batch = corpus.size(), .micro_batches = 1, .elements = along});
  }
};

/// The tensors of a model that a setting moves, as a store: estimates and errors of them alone.
struct moving {
  nn::llama<w4a4>& model;
  per_group<float> epsilon;
  std::optional<std::uint32_t> alone;

  template <class F>
  void for_each_parameter(F&& visit) {
    model.for_each_parameter([&](const parameter& p) {
      if (epsilon[p.group] != 0 && (!alone || *alone == p.id)) visit(p);
    });
  }
};

/// What moves, how far, and the gradient there.
struct setting {
  std::string name;
  per_group<float> epsilon;
  std::optional<std::uint32_t> alone{};
  std::vector<double> gradient{};  ///< mean of `directions` estimates
  double squared_norm = 0;         ///< ‖g‖², without the error of the mean
  double error_of_mean = 0;        ///< E‖mean − g‖²
};

struct row {
  std::string setting, estimator;
  std::uint32_t directions = 0;
  std::size_t lanes = 0;
  zo::interval error{};  ///< E‖ĝ − g‖²/‖g‖²
  double cosine = 0, slope_variance = 0, milliseconds = 0;

  /// Forward passes until the error is 1.
  [[nodiscard]] double passes(double relative_error) const { return relative_error * static_cast<double>(lanes); }
};

class report {
 public:
  report(problem& p, std::uint64_t samples, std::uint32_t reference) : p_(p), samples_(samples), reference_(reference) {}

  /// Measures the gradient: the mean over pairs along Rademacher directions, as estimates that are not those of a row.
  void measure_gradient(setting& s) {
    const elements along{false, s.alone};
    auto loss = p_.loss(along);
    moving parameters{p_.model, s.epsilon, s.alone};
    std::vector<double> sum(zo::total_size(parameters)), one(sum.size());
    double squares = 0;
    const zo::estimator<zo::central, elements> e{.epsilon = s.epsilon, .seed = 99, .elements = along};
    for (std::uint32_t step = 0; step != reference_; ++step) {
      zo::dense_gradient(along, e(step, loss), parameters, one);
      for (std::size_t i = 0; i != sum.size(); ++i) sum[i] += one[i], squares += one[i] * one[i];
    }
    double norm = 0;
    for (double& x : sum) x /= reference_, norm += x * x;
    const double n = reference_;
    s.error_of_mean = (squares / n - norm) / (n - 1);
    s.squared_norm = norm - s.error_of_mean;
    s.gradient = std::move(sum);
    fmt::print("# {}: squared norm of the gradient {:.4g}, of the error of its reference {:.4g}\n", s.name,
               s.squared_norm, s.error_of_mean);
  }

  template <class Difference>
  void add(const setting& s, std::string_view name, bool is_gaussian, std::uint32_t directions) {
    const elements along{is_gaussian, s.alone};
    auto whole = p_.loss(along);
    struct on_one_batch {  // hides select()
      zo::in_turns<decltype(whole)> turns;
      zo::running_moments* slopes;
      void operator()(std::span<const zo::perturbation> lanes, std::size_t micro, std::span<double> losses) {
        turns(lanes, micro, losses);
        slopes->add(losses[0] - losses[1]);
      }
    };
    zo::running_moments differences;
    on_one_batch loss{zo::in_turns(whole), &differences};
    const zo::estimator<Difference, elements> e{
        .epsilon = s.epsilon, .directions = directions, .seed = 7, .elements = along};
    moving parameters{p_.model, s.epsilon, s.alone};
    sequential one_after_the_other;  // the pass has the threads
    const auto begin = std::chrono::steady_clock::now();
    const zo::estimator_error error = zo::measure(
        e, parameters, [&]() -> on_one_batch& { return loss; }, s.gradient,
        {.samples = samples_, .components = false}, one_after_the_other);
    const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - begin;
    const zo::interval mse = error.mean_squared_error();
    const auto relative = [&](double x) { return (x - s.error_of_mean) / s.squared_norm; };
    rows_.push_back({s.name, std::string(name), directions, e.difference.lanes(directions),
                     {relative(mse.center), relative(mse.low), relative(mse.high)}, error.cosine().center,
                     differences.variance(), spent.count() / static_cast<double>(samples_)});
    print(rows_.back());
  }
  void print_head() const {
    fmt::print("{:14} {:28} {:>3} {:>5} {:>22} {:>8} {:>11} {:>12} {:>9}\n", "moves", "estimator", "q", "lanes",
               "error / |g|^2", "cosine", "var L+ - L-", "passes/error", "ms/step");
  }
  void write(const std::string& prefix) const {
    std::ofstream csv(prefix + ".csv");
    csv << "setting,estimator,directions,lanes,relative_error,low,high,cosine,difference_variance,passes_per_unit_error,"
           "passes_low,passes_high,milliseconds_per_step,milliseconds_per_unit_error,bytes_per_step_beside_a_pair\n";
    for (const row& r : rows_)
      csv << fmt::format("{},{},{},{},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{}\n",
                         r.setting, r.estimator, r.directions, r.lanes, r.error.center, r.error.low, r.error.high,
                         r.cosine, r.slope_variance, r.passes(r.error.center), r.passes(r.error.low),
                         r.passes(r.error.high), r.milliseconds, r.milliseconds * r.error.center,
                         (r.directions - 1) * sizeof(float));
    csv.close();
    require<io_error>(csv.good(), "{}.csv: cannot be written", prefix);
    bench::plot(prefix, "set logscale y\nset ylabel 'forward passes for a relative error of 1, 99 % interval'\n"
                        "set xtics rotate by -40 noenhanced\nset rmargin 24\nset bmargin 16\nset xrange [-1:]\n"
                        "set key off\nset grid y\n"
                        "plot '{}.csv' every ::1 using 0:10:11:12:xtic(strcol(1).', '.strcol(2).', q = '.strcol(3)) "
                        "with yerrorbars pointtype 7\n");
  }

 private:
  static void print(const row& r) {
    fmt::print("{:14} {:28} {:3} {:5} {:9.1f} ± {:<9.1f} {:8.4f} {:11.3g} {:12.0f} {:9.2f}\n", r.setting, r.estimator,
               r.directions, r.lanes, r.error.center, r.error.half_width(), r.cosine, r.slope_variance,
               r.passes(r.error.center), r.milliseconds);
    std::fflush(stdout);
  }

  problem& p_;
  std::uint64_t samples_;
  std::uint32_t reference_;
  std::vector<row> rows_;
};

void measure_all(report& r, setting& s) {
  r.measure_gradient(s);
  r.add<zo::central>(s, "gaussian pairs", true, 1);
  r.add<zo::central>(s, "rademacher pairs", false, 1);
  r.add<zo::central>(s, "rademacher pairs", false, 4);
  r.add<zo::forward>(s, "rademacher forward", false, 7);
  r.add<zo::leave_one_out>(s, "gaussian leave-one-out", true, 8);
  r.add<zo::leave_one_out>(s, "rademacher leave-one-out", false, 8);
  r.add<zo::leave_one_out>(s, "rademacher leave-one-out", false, 16);
}

/// One tensor of one layer, and the few strong parameters that the trainer moves by default: at one scale for all as
/// in Table C.1, which is tried at several sizes, at scales that raise the loss alike, and at those of least error.
void run(problem& p, report& r) {
  std::optional<std::uint32_t> tensor;
  p.model.for_each_parameter([&](const parameter& t) {
    if (!tensor && t.group == parameter_group::weight) tensor = t.id;
  });
  auto strong_groups = per_group<bool>::all(true);
  strong_groups.weight = strong_groups.clipping = false;
  auto loss = p.loss({false, {}});
  const zo::balanced_scales scales = zo::balance(p.model, loss, {.groups = strong_groups});
  setting balanced{.name = "balanced", .epsilon = scales.epsilon};
  measure_all(r, balanced);
  setting best{.name = "least error", .epsilon = zo::for_least_error(scales).epsilon};
  r.measure_gradient(best);
  r.add<zo::central>(best, "gaussian pairs", true, 1);
  r.add<zo::central>(best, "rademacher pairs", false, 1);
  for (const float epsilon : {0.003f, 0.01f, 0.03f, 0.1f, 0.3f}) {
    setting one_scale{.name = fmt::format("one scale {}", epsilon), .epsilon = {}};
    for (const parameter_group group : all_parameter_groups)
      if (balanced.epsilon[group] != 0) one_scale.epsilon[group] = epsilon;
    r.measure_gradient(one_scale);
    r.add<zo::central>(one_scale, "gaussian pairs", true, 1);
  }
  setting matrix{.name = "one matrix", .epsilon = {.weight = 0.5f}, .alone = tensor};
  measure_all(r, matrix);
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t samples = 2000;
  std::uint32_t reference = 8192;
  std::size_t length = 64, threads = 0;
  std::string output = "variance_report";
  CLI::App app("Errors of zeroth-order estimators on a real quantized model");
  app.add_option("--samples", samples, "estimates of each estimator")->capture_default_str();
  app.add_option("--reference", reference, "pairs whose mean is taken for the gradient")->capture_default_str();
  app.add_option("--length", length, "tokens in each of two chunks")->capture_default_str();
  app.add_option("--threads", threads, "0: one per core")->capture_default_str();
  app.add_option("--output", output, "prefix of the files")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    problem p(length, threads);
    report r(p, samples, reference);
    fmt::print("# w4a4, {} threads, {}\n", p.threads.concurrency(), simd::default_kernels::target());
    r.print_head();
    run(p, r);
    r.write(output);
  } catch (const std::exception& e) {
    fmt::print(stderr, "variance_report: {}\n", e.what());
    return 1;
  }
}
