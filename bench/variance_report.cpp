// SPDX-License-Identifier: Apache-2.0
//
// How good estimators are on a real quantized model: variance of the loss difference, cosine with a reference of many
// directions, and what a unit of squared error costs in forward passes, time and bytes. Everything is measured on one
// batch, with lanes two at a time, so that every estimator has the memory of an antithetic pair. Errors are relative
// to ‖g‖²: so many estimates, averaged, are as far from the gradient as 0 is. Each setting is measured against the
// gradient of its own smoothed loss, since that is what its estimates tend to; the cosine of that with the first
// setting's says how far it has left what is to be trained. Intervals hold the errors of the gradient too.
//
//   variance_report [--samples N] [--reference N] [--output PREFIX]      writes PREFIX.csv and PREFIX.gp

#include "gnuplot.hpp"  // plots

#include <zoqat/eval/perplexity.hpp>               // batches_of
#include <zoqat/eval/sample.hpp>                   // sample_corpus
#include <zoqat/io/io.hpp>                         // open_model, load
#include <zoqat/lab/variance.hpp>                  // measure
#include <zoqat/nn/llama.hpp>                      // llama<scheme>
#include <zoqat/ptq/ptq.hpp>                       // prepare
#include <zoqat/train/objective.hpp>               // language_model_loss
#include <zoqat/zo/differences/forward.hpp>        // forward differences
#include <zoqat/zo/differences/leave_one_out.hpp>  // points compared with each other
#include <zoqat/zo/embed/lane_batches.hpp>         // two lanes at a time
#include <zoqat/zo/scales/balance.hpp>             // balance, for_least_error

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <fstream>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
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
    if (alone && *alone != p.id)
      std::fill_n(out, n, 0.0f);
    else
      zo::runtime_distribution{is_gaussian}.fill<Kernels>(along.of_tensor(p.id), first, out, n);
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
    ptq::prepare(model, teacher, eval::batches_of(corpus), threads, {.depth = ptq::stage::smoothquant});
    corpus.resize(2);
  }
  /// The loss of the trainer, along directions of the report. It is never told of a step, and so stays on its batch.
  [[nodiscard]] auto loss() {
    return train::distillation(model, teacher, corpus, threads, {.batch = corpus.size(), .micro_batches = 1});
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
  std::vector<double> gradient{};  ///< mean of many estimates
  double squared_norm = 0;         ///< ‖g‖², from products of independent parts of that mean
  double norm_error = 0;           ///< standard error of it
  double error_of_mean = 0;        ///< E‖mean − g‖²
  [[nodiscard]] bool resolved() const noexcept { return squared_norm > 4 * norm_error; }
};

double product(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// Independent estimates of a gradient, whose mean squares hold errors but whose products do not.
class gradient_parts {
 public:
  gradient_parts(std::size_t parts, std::size_t size) : parts_(parts, std::vector<double>(size)) {}
  [[nodiscard]] std::vector<double>& operator[](std::size_t i) noexcept { return parts_[i]; }

  /// The mean, ‖g‖² with its error by the jackknife, and the error of the mean.
  void summarize(setting& s) const {
    const auto k = static_cast<double>(parts_.size());
    std::vector<double> sum(parts_[0].size());
    for (const auto& part : parts_)
      for (std::size_t i = 0; i != sum.size(); ++i) sum[i] += part[i];
    const double whole = product(sum, sum);
    double squares = 0;
    for (const auto& part : parts_) squares += product(part, part);
    s.squared_norm = (whole - squares) / (k * (k - 1));
    running_moments without_one;
    for (const auto& part : parts_) {
      const double own = product(part, part);
      const double others = whole - 2 * product(sum, part) + own;
      without_one.add((others - (squares - own)) / ((k - 1) * (k - 2)));
    }
    s.norm_error = (k - 1) * without_one.standard_error();
    s.error_of_mean = (squares / k - s.squared_norm) / k;
    for (double& x : sum) x /= k;
    s.gradient = std::move(sum);
  }

 private:
  std::vector<std::vector<double>> parts_;
};

struct row {
  std::string setting, estimator;
  std::uint32_t directions = 0;
  std::size_t lanes = 0;
  lab::interval error{};  ///< E‖ĝ − g‖²/‖g‖², of a setting whose gradient is resolved
  bool resolved = false;
  double cosine = 0, milliseconds = 0;
  std::optional<double> difference_variance{};  ///< of L⁺ − L⁻, where there are pairs

  /// Forward passes until the error is 1.
  [[nodiscard]] double passes(double relative_error) const { return relative_error * static_cast<double>(lanes); }
};

class report {
 public:
  report(problem& p, std::uint64_t samples, std::uint32_t reference)
      : p_(p), samples_(samples), reference_(reference) {}

  /// Measures the gradient: the mean over pairs along Rademacher directions, as estimates that are not those of a
  /// row.
  void measure_gradient(setting& s) {
    constexpr std::uint32_t parts = 16;
    const elements along{false, s.alone};
    auto loss = p_.loss();
    moving parameters{p_.model, s.epsilon, s.alone};
    std::vector<double> one(lab::total_size(parameters));
    gradient_parts means(parts, one.size());
    const std::uint32_t of_part = std::max(reference_ / parts, 1u);
    // Another seed for every setting, so that products of two references hold no error that both have.
    const zo::estimator<zo::central, elements> e{
        .epsilon = s.epsilon, .seed = 99 + settings_++, .distribution = along};
    for (std::uint32_t step = 0; step != parts * of_part; ++step) {
      lab::dense_gradient(e(step, loss), parameters, one);
      for (std::size_t i = 0; i != one.size(); ++i) means[step / of_part][i] += one[i] / of_part;
    }
    means.summarize(s);
    fmt::print(
        "# {}: {} parameters, squared norm of the gradient {:.4g} ± {:.2g}, of the error of its reference "
        "{:.4g}{}\n",
        s.name, one.size(), s.squared_norm, s.norm_error, s.error_of_mean,
        s.resolved() ? "" : ": not resolved, no errors");
    if (first_.gradient.empty())
      first_ = s;
    else if (s.gradient.size() == first_.gradient.size())
      fmt::print("# {}: cosine of the gradient with that of {}: {:.3f}\n", s.name, first_.name,
                 product(s.gradient, first_.gradient) / std::sqrt(s.squared_norm * first_.squared_norm));
  }

  template <class Difference>
  void add(const setting& s, std::string_view name, bool is_gaussian, std::uint32_t directions) {
    const elements along{is_gaussian, s.alone};
    auto whole = p_.loss();
    struct on_one_batch {  // hides select()
      zo::lane_batches<decltype(whole)> turns;
      void operator()(const zo::lane_points<elements>& lanes, std::size_t micro, std::span<double> losses) {
        turns(lanes, micro, losses);
      }
    } loss{zo::lane_batches(whole)};
    const zo::estimator<Difference, elements> e{
        .epsilon = s.epsilon, .directions = directions, .seed = 7, .distribution = along};
    row r{.setting = s.name,
          .estimator = std::string(name),
          .directions = directions,
          .lanes = e.difference.lanes(directions),
          .resolved = s.resolved()};
    time_steps(r, e, loss);
    if (s.resolved()) {
      moving parameters{p_.model, s.epsilon, s.alone};
      sequential one_after_the_other;  // the pass has the threads
      const lab::estimator_error error = lab::measure(
          e, parameters, [&]() -> on_one_batch& { return loss; }, s.gradient,
          {.samples = samples_, .components = false}, one_after_the_other);
      r.error = relative(error.mean_squared_error(), s);
      r.cosine = error.cosine().center;
    }
    rows_.push_back(r);
    print(r);
  }
  void print_head() const {
    fmt::print("{:14} {:28} {:>3} {:>5} {:>22} {:>8} {:>11} {:>12} {:>9}\n", "moves", "estimator", "q", "lanes",
               "error / |g|^2", "cosine", "var L+ - L-", "passes/error", "ms/step");
  }
  void write(const std::string& prefix) const {
    std::ofstream csv(prefix + ".csv");
    csv << "setting,estimator,directions,lanes,relative_error,low,high,cosine,difference_variance,passes_per_unit_"
           "error,"
           "passes_low,passes_high,milliseconds_per_step,milliseconds_per_unit_error,bytes_of_an_estimate\n";
    for (const row& r : rows_) {
      const auto known = [&](double x) { return r.resolved ? fmt::format("{:.6g}", x) : std::string(); };
      csv << fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{:.6g},{},{}\n", r.setting, r.estimator, r.directions,
                         r.lanes, known(r.error.center), known(r.error.low), known(r.error.high), known(r.cosine),
                         r.difference_variance ? fmt::format("{:.6g}", *r.difference_variance) : "",
                         known(r.passes(r.error.center)), known(r.passes(r.error.low)), known(r.passes(r.error.high)),
                         r.milliseconds, known(r.milliseconds * r.error.center), bytes_of(r));
    }
    csv.close();
    require<io_error>(csv.good(), "{}.csv: cannot be written", prefix);
    bench::plot(prefix,
                "set logscale y\nset ylabel 'forward passes for a relative error of 1, 99 % interval'\n"
                "set xtics rotate by -40 noenhanced\nset rmargin 24\nset bmargin 16\nset xrange [-1:]\n"
                "set key off\nset grid y\n"
                "plot '{}.csv' every ::1 using 0:10:11:12:xtic(strcol(1).', '.strcol(2).', q = '.strcol(3)) "
                "with yerrorbars pointtype 7\n");
  }

 private:
  static void print(const row& r) {
    const std::string variance = r.difference_variance ? fmt::format("{:.3g}", *r.difference_variance) : "-";
    fmt::print("{:14} {:28} {:3} {:5} ", r.setting, r.estimator, r.directions, r.lanes);
    if (r.resolved)
      fmt::print("{:9.1f} ± {:<9.1f} {:8.4f} {:>11} {:12.0f} {:9.2f}\n", r.error.center, r.error.half_width(),
                 r.cosine, variance, r.passes(r.error.center), r.milliseconds);
    else
      fmt::print("{:>21} {:>8} {:>11} {:>12} {:9.2f}\n", "-", "-", variance, "-", r.milliseconds);
    std::fflush(stdout);
  }
  /// Time of estimates alone, and the spread of their differences where they are those of pairs.
  template <class Difference, class Loss>
  void time_steps(row& r, const zo::estimator<Difference, elements>& e, Loss& loss) const {
    const auto steps = static_cast<std::uint32_t>(std::min<std::uint64_t>(samples_, 256));
    running_moments differences;
    const auto begin = std::chrono::steady_clock::now();
    for (std::uint32_t step = 0; step != steps; ++step)
      for (const float slope : e(step, loss).half_difference) differences.add(2 * double{slope});
    const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - begin;
    r.milliseconds = spent.count() / steps;
    if (std::is_same_v<Difference, zo::central>) r.difference_variance = differences.variance();
  }
  /// Of a mean square against a setting's gradient, with what is not known of that.
  static lab::interval relative(const lab::interval& mse, const setting& s) {
    const double center = (mse.center - s.error_of_mean) / s.squared_norm;
    const double norm = lab::normal::upper_quantile(0.005) * s.norm_error * center;
    const double half = std::hypot(mse.half_width(), norm) / s.squared_norm;
    return {center, center - half, center + half};
  }
  /// Beside what a forward pass takes: the points of an estimate, and its slopes.
  static std::size_t bytes_of(const row& r) {
    return r.lanes * (sizeof(zo::perturbation) + sizeof(double)) + r.directions * sizeof(float);
  }

  problem& p_;
  std::uint64_t samples_;
  std::uint32_t reference_;
  std::vector<row> rows_;
  std::uint64_t settings_ = 0;
  setting first_{};
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

/// The few strong parameters that the trainer moves by default: at one scale for all as in Table C.1, which is tried
/// at several sizes, at scales that raise the loss alike, and at those of least error; a matrix of a layer; and the
/// whole model with its weights.
void run(problem& p, report& r) {
  std::optional<std::uint32_t> tensor;
  p.model.for_each_parameter([&](const parameter& t) {
    if (!tensor && t.group == parameter_group::weight) tensor = t.id;
  });
  auto strong_groups = per_group<bool>::all(true);
  strong_groups.weight = strong_groups.clipping = false;
  auto loss = p.loss();
  const elements signs{false, {}};
  const zo::balanced_scales scales = zo::balance(p.model, loss, signs, {.groups = strong_groups});
  setting balanced{.name = "balanced", .epsilon = scales.epsilon};
  measure_all(r, balanced);
  setting best{.name = "least error", .epsilon = zo::for_least_error(scales, loss, signs).epsilon};
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
  auto everything = per_group<bool>::all(true);
  everything.clipping = false;  // the scheme has none
  setting whole{.name = "whole model", .epsilon = zo::balance(p.model, loss, signs, {.groups = everything}).epsilon};
  measure_all(r, whole);
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
  app.add_option("--length", length, "tokens in each chunk, of which a step draws two")->capture_default_str();
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
