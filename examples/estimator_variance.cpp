// SPDX-License-Identifier: Apache-2.0
//
// Errors of zeroth-order estimators beside their closed forms: against the number of directions, the dimension, and
// the scale of perturbations in quantization steps; and how far the straight-through gradient is from the one that
// zeroth-order methods follow, over a cell of the quantizer too. Writes PREFIX.csv and PREFIX.gp, which gnuplot turns
// into PREFIX.png.
//
//   estimator_variance [samples] [PREFIX]

#include <zoqat/core/executor.hpp>                 // thread_pool
#include <zoqat/core/numeric.hpp>                  // round_half_even
#include <zoqat/lab/appendix_g.hpp>                // what the paper says of the straight-through gradient
#include <zoqat/lab/linear_oracles.hpp>            // closed forms of linear losses
#include <zoqat/lab/point_objective.hpp>           // point_objective: a function of all parameters as one vector
#include <zoqat/lab/quantized_oracles.hpp>         // closed forms of quantized linear losses
#include <zoqat/lab/quantized_regression.hpp>      // a layer whose gradients are all known
#include <zoqat/lab/variance.hpp>                  // measure
#include <zoqat/zo/differences/leave_one_out.hpp>  // points compared with each other
#include <zoqat/zo/directions/orthogonal.hpp>      // directions that share the space
#include <zoqat/zo/directions/sparse.hpp>          // few elements that move far
#include <zoqat/zo/directions/sphere.hpp>          // directions of one length
#include <zoqat/zo/directions/uniform.hpp>         // bounded elements
#include <zoqat/zo/embed/parameter_list.hpp>       // parameter_list

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <set>

using namespace zoqat;
namespace oracle = lab::oracle;

/// (1, 2, 3, 4, 1, 2, …), the slope of all losses here.
std::vector<double> slope(std::size_t d) {
  std::vector<double> g;
  for (std::size_t i = 0; i != d; ++i) g.push_back(static_cast<double>(1 + i % 4));
  return g;
}
double squared_norm(std::span<const double> g) {
  double total = 0;
  for (const double x : g) total += x * x;
  return total;
}

/// ⟨g, x⟩.
struct linear {
  std::vector<double> g;
  double operator()(std::span<const float> x) const {
    double total = 0;
    for (std::size_t i = 0; i != g.size(); ++i) total += g[i] * double{x[i]};
    return total;
  }
};
/// ⟨g, Q(x + offset)⟩ with a step of 1 and offsets that each sample draws anew, uniform in [0, 1).
struct quantized_linear {
  std::vector<double> g;
  std::vector<float> offset = std::vector<float>(g.size());
  void select(std::uint32_t step) {
    rng::engine draw({.seed = 5, .step = step, .use = rng::purpose::data});
    for (float& w : offset) w = draw.uniform() + 0x1p-25f;  // never on a threshold
  }
  double operator()(std::span<const float> x) const {
    double total = 0;
    for (std::size_t i = 0; i != g.size(); ++i) total += g[i] * double{round_half_even(x[i] + offset[i])};
    return total;
  }
};

class tables {
 public:
  tables(std::uint64_t samples, std::string prefix)
      : samples_(samples), prefix_(std::move(prefix)), csv_(prefix_ + ".csv") {
    csv_ << "table,estimator,x,measured,low,high,closed_form,y,bound\n";
  }
  void begin(std::string name, const char* title) {
    table_ = std::move(name);
    fmt::print("\n{}\n{:26} {:>8} {:>12} {:>10} {:>12}\n", title, "", table_, "measured", "+-", "closed form");
  }
  void add(const char* name, double x, const lab::interval& measured, double expected) {
    fmt::print("{:26} {:8.4g} {:12.5g} {:10.2g} {:12.5g}{}\n", name, x, measured.center, measured.half_width(),
               expected, measured.contains(expected) ? "" : "  outside");
    names_.insert(name);
    csv_ << fmt::format("{},{},{},{:.8g},{:.8g},{:.8g},{:.8g},,\n", table_, name, x, measured.center, measured.low,
                        measured.high, expected);
  }
  /// The error of an estimator on a loss of slope g, relative to ‖g‖², against `expected`.
  template <class Difference = zo::central, class Distribution, class Loss>
  void measure(double x, const Distribution& elements, std::uint32_t q, float epsilon, const Loss& loss,
               double expected, const char* name = Distribution::name()) {
    std::vector<float> at(loss.g.size());
    zo::parameter_list parameters;
    parameters.add("x", at);
    const zo::estimator<Difference, Distribution> estimator{
        .epsilon = per_group<float>::all(epsilon), .directions = q, .seed = 1, .distribution = elements};
    const auto objective = [&] { return lab::point_objective(parameters, loss); };
    const lab::interval mse =
        lab::measure(estimator, parameters, objective, loss.g, {.samples = samples_}, threads_).mean_squared_error();
    const double norm = squared_norm(loss.g);
    add(name, x, {mse.center / norm, mse.low / norm, mse.high / norm}, expected);
  }
  /// A point (x, y) of a map, of which `bound` is a bound from below.
  void add_to_map(const char* name, double x, double y, const lab::interval& measured, double expected,
                  double bound) {
    csv_ << fmt::format("map,{},{:.4g},{:.8g},{:.8g},{:.8g},{:.8g},{:.4g},{:.8g}\n", name, x, measured.center,
                        measured.low, measured.high, expected, y, bound);
  }
  void plot() {
    csv_.close();
    std::string quoted;
    for (const std::string& name : names_) quoted += fmt::format("\\\"{}\\\" ", name);
    std::ofstream gp(prefix_ + ".gp");
    gp << fmt::format(
        "set terminal pngcairo size 2100,500\nset output '{0}.png'\nset datafile separator ','\n"
        "set multiplot layout 1,4\nset logscale xy\nset key top right font ',8'\nset ylabel 'error / |g|^2'\nset "
        "yrange [0.5:200]\n"
        "do for [t in 'q d eps/step'] {{\n  set xlabel t\n  plot for [n in \"{1}\"] '{0}.csv' using "
        "(strcol(1) eq t && strcol(2) eq n ? $3 : NaN):4:5:6 with yerrorbars title n, \\\n"
        "    '{0}.csv' using (strcol(1) eq t ? $3 : NaN):7 with points pt 6 lc 'black' title 'closed form'\n}}\n"
        "unset logscale\nset key above\nset xlabel 'W/step'\nset ylabel 'eps/step'\nset xrange [-0.55:0.55]\nset "
        "yrange [0:1.05]\n"
        "set title 'bias of the straight-through gradient / G'\nset palette defined (-1 'blue', 0 'white', 1 "
        "'red')\nset cbrange [-1:1]\n"
        "plot '{0}.csv' using (strcol(1) eq 'map' ? $3 : NaN):8:4 with points pt 5 ps 2.4 palette notitle, \\\n"
        "    {2:.4g} lc 'black' title 'Proposition 2 says nothing above'\n",
        prefix_, quoted, lab::appendix_g::largest_informative_ratio());
    gp.close();
    if (std::system(("command -v gnuplot >/dev/null && gnuplot '" + prefix_ + ".gp'").c_str()) != 0)
      fmt::print("\nno gnuplot here: gnuplot {}.gp draws {}.png\n", prefix_, prefix_);
  }
  [[nodiscard]] thread_pool& threads() { return threads_; }
  [[nodiscard]] std::uint64_t samples() const { return samples_; }

 private:
  std::uint64_t samples_;
  std::string prefix_, table_;
  std::ofstream csv_;
  std::set<std::string> names_;
  thread_pool threads_;
};

void against_directions(tables& t) {
  t.begin("q", "Linear loss, d = 16: error / |g|^2 against the number of directions");
  constexpr float fine = 0x1p-10f;
  const linear loss{slope(16)};
  for (const std::uint32_t q : {2u, 4u, 8u, 16u}) {
    t.measure(q, zo::gaussian{}, q, fine, loss, oracle::linear_mse(16, oracle::kurtosis::gaussian, 1, q));
    t.measure(q, zo::rademacher{}, q, fine, loss, oracle::linear_mse(16, oracle::kurtosis::rademacher, 1, q));
    t.measure(q, zo::orthogonal{}, q, fine, loss, oracle::orthogonal_mse(16, 1, q));
    t.measure<zo::leave_one_out>(q, zo::gaussian{}, q, fine, loss, oracle::leave_one_out_mse(16, 3, 1, q),
                                 "gaussian leave-one-out");
  }
}

void against_dimension(tables& t) {
  t.begin("d", "Linear loss, one direction: error / |g|^2 against the dimension");
  constexpr float fine = 0x1p-10f;
  for (const std::size_t n : {4u, 16u, 64u}) {
    const linear loss{slope(n)};
    const auto d = static_cast<double>(n);
    t.measure(d, zo::gaussian{}, 1, fine, loss, oracle::linear_mse(d, oracle::kurtosis::gaussian, 1));
    t.measure(d, zo::rademacher{}, 1, fine, loss, oracle::linear_mse(d, oracle::kurtosis::rademacher, 1));
    t.measure(d, zo::uniform{}, 1, fine, loss, oracle::linear_mse(d, oracle::kurtosis::uniform, 1));
    t.measure(d, zo::sphere{}, 1, fine, loss, oracle::sphere_mse(d, 1));
    t.measure(d, zo::sparse_gaussian(0.1), 1, fine, loss,
              oracle::linear_mse(d, oracle::kurtosis::sparse_gaussian(0.1), 1));
  }
}

void against_scale(tables& t) {
  t.begin("eps/step", "Quantized linear loss, d = 4, weights anywhere in their cells: error / |g|^2 against epsilon");
  for (const float epsilon : {0.05f, 0.1f, 0.2f, 0.4f, 0.8f, 1.6f})
    t.measure(double{epsilon}, zo::gaussian{}, 1, epsilon, quantized_linear{slope(4)},
              oracle::quantized_mse(4, 1, 1, double{epsilon}));
}

/// One weight under a quantizer of step 1: the straight-through gradient less the mean of estimates, over a cell.
void over_a_cell(tables& t) {
  fmt::print(
      "\nThe straight-through gradient over a cell: bias / G beside its closed form\n{:>8} {:>10} {:>10} {:>22} "
      "{:>10}\n",
      "eps/step", "least", "largest", "bound at the center", "outside");
  for (int row = 1; row <= 20; ++row) {
    const auto epsilon = static_cast<float>(row) / 20;
    double least = 1, largest = -1;
    int outside = 0;
    for (int column = -10; column <= 10; ++column) {
      std::vector<float> w{static_cast<float>(column) / 20};
      zo::parameter_list parameters;
      parameters.add("w", w);
      const double at = double{w[0]}, ratio = double{epsilon};
      const zo::estimator<> estimator{.epsilon = per_group<float>::all(epsilon), .seed = 1};
      const auto objective = [&] {
        return lab::point_objective(parameters,
                                    [](std::span<const float> x) { return double{round_half_even(x[0])}; });
      };
      const lab::interval length = lab::measure(estimator, parameters, objective, std::vector<double>{1},
                                                {.samples = t.samples()}, t.threads())
                                       .projection();
      const lab::interval bias{1 - length.center, 1 - length.high, 1 - length.low};
      const double exact = oracle::ste_bias(1, at, 1, ratio), distance = lab::appendix_g::threshold_distance(at, 1);
      t.add_to_map("straight-through", at, ratio, bias, exact,
                   lab::appendix_g::ste_bias_bound(1, 1, ratio, distance));
      least = std::min(least, exact), largest = std::max(largest, exact);
      outside += bias.half_width() > 0 && !bias.contains(exact);  // without a width no sample crossed a threshold
    }
    const double bound = lab::appendix_g::ste_bias_bound(1, 1, double{epsilon}, 0.5);
    fmt::print("{:8.3g} {:10.4f} {:10.4f} {:>22} {:>10}\n", epsilon, least, largest,
               bound > 0 ? fmt::format("{:.4f}", bound) : "none", outside);
  }
}

/// A layer of 4 inputs and 2 outputs in 2 bits: the straight-through gradient, and the one that estimates have for
/// mean.
void against_straight_through(tables& t) {
  fmt::print("\nA 2-bit linear layer: gradients\n{:>8} {:>16} {:>16} {:>22}\n", "eps/step", "|ste|/|smoothed|",
             "cos(ste, smoothed)", "cos(mean estimate, smoothed)");
  std::vector<double> x, y, w;
  rng::engine draw({.seed = 3, .use = rng::purpose::data});
  for (int i = 0; i != 32; ++i) x.push_back(2 * double{draw.uniform()} - 1);
  for (int i = 0; i != 16; ++i) y.push_back(2 * double{draw.uniform()} - 1);
  std::vector<float> masters(8);
  for (float& v : masters) w.push_back(double{v = 2 * draw.uniform() - 1});
  const lab::quantized_regression layer(4, 2, x, y, {.step = 0.5, .low = -2, .high = 1});
  zo::parameter_list parameters;
  parameters.add("w", masters);
  const auto cosine = [](std::span<const double> a, std::span<const double> b) {
    double product = 0;
    for (std::size_t i = 0; i != a.size(); ++i) product += a[i] * b[i];
    return product / std::sqrt(squared_norm(a) * squared_norm(b));
  };
  const std::vector<double> ste = layer.straight_through(w);
  for (const float ratio : {0.05f, 0.1f, 0.2f, 0.345f, 0.5f, 1.0f}) {
    const float epsilon = ratio * 0.5f;
    const std::vector<double> exact = layer.smoothed_gradient(w, double{epsilon});
    const zo::estimator<> estimator{.epsilon = per_group<float>::all(epsilon), .seed = 1};
    const auto objective = [&] {
      return lab::point_objective(parameters, [&](std::span<const float> at) { return layer(at); });
    };
    const auto error = lab::measure(estimator, parameters, objective, exact, {.samples = t.samples()}, t.threads());
    std::vector<double> mean = exact;
    const auto bias = error.bias();
    for (std::size_t i = 0; i != mean.size(); ++i) mean[i] += bias[i].center;
    fmt::print("{:8.3g} {:16.4f} {:18.4f} {:28.4f}\n", ratio, std::sqrt(squared_norm(ste) / squared_norm(exact)),
               cosine(ste, exact), cosine(mean, exact));
  }
}

int main(int argc, char** argv) {
  const long long samples = argc > 1 ? std::atoll(argv[1]) : 200'000;
  if (samples < 2) return fmt::print(stderr, "usage: estimator_variance [samples, at least 2] [PREFIX]\n"), 1;
  tables t(static_cast<std::uint64_t>(samples), argc > 2 ? argv[2] : "estimator_variance");
  against_directions(t);
  against_dimension(t);
  against_scale(t);
  over_a_cell(t);
  against_straight_through(t);
  t.plot();
}
