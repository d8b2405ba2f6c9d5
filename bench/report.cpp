// SPDX-License-Identifier: Apache-2.0
//
// How fast this is, and how much of what the machine can do: in one run the machine's limits, what others reach on
// it, and this library, as lines `name value unit`. A ratio is the median of the ratios of neighboring short runs
// that take turns in this process; one thread is measured in its own processor time, several in wall time.
//
//   report                           everything; ten minutes at most, on a machine that does nothing else
//   report --quick                   fewer rounds
//   report --filter gemm.w4a4        figures whose names begin so

#include "figures.hpp"
#include "opt_step.hpp"
#include "peaks.hpp"
#include "peers.hpp"
#include "timing.hpp"

#include <CLI/CLI.hpp>

#include <malloc.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <numbers>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

using namespace zoqat;
using namespace zoqat::bench;

namespace {

using w4a4 = scheme_named<"w4a4">;
using opt_model = nn::opt<w4a4>;
constexpr std::size_t sequence = 384;  // tokens

/// What the measurements share.
struct session {
  figures& out;
  bool quick;
  std::string python;
  sequential here{};
  thread_pool pool{2};
  canary one{}, two{&pool};

  [[nodiscard]] effort short_runs() const { return quick ? effort{4e-3, 9, 2} : effort{4e-3, 31, 8}; }
  [[nodiscard]] effort long_runs() const { return quick ? effort{0, 5, 2} : effort{0, 11, 15}; }
};

/// The speed of one contender over another's, or why there is none.
void add_ratio(session& s, std::string_view name, const contest& c, std::string_view a, std::string_view b,
               std::string_view why_absent) {
  if (c.has(a) && c.has(b))
    s.out.add(name, c.over(a, b), "ratio", c.disturbed());
  else
    s.out.absent(name, why_absent);
}

/// The least of a ratio over several contests.
class worst {
 public:
  worst(std::string name, std::string a, std::string b, std::string why_absent)
      : name_(std::move(name)), a_(std::move(a)), b_(std::move(b)), why_absent_(std::move(why_absent)) {}
  void take(session& s, const std::string& shape, const contest& c) {
    if (!c.has(a_) || !c.has(b_)) return;
    add_ratio(s, name_ + "." + shape, c, a_, b_, why_absent_);
    value_ = std::min(value_, c.over(a_, b_));
    disturbed_ |= c.disturbed();
  }
  void report(session& s) const {
    if (std::isfinite(value_))
      s.out.add(name_, value_, "ratio", disturbed_);
    else
      s.out.absent(name_, why_absent_);
  }

 private:
  std::string name_, a_, b_, why_absent_;
  double value_ = std::numeric_limits<double>::infinity();
  bool disturbed_ = false;
};

constexpr std::string_view no_instruction = "the instruction set of this build has no such instruction";
constexpr std::string_view no_openblas = "built without OpenBLAS";
constexpr std::string_view no_onednn = "built without oneDNN";

// --- The machine ---------------------------------------------------------------------------------------------------

constexpr std::size_t peak_iterations = 50'000;
template <class Peak>
void add_peak(contest& c, std::string_view name) {
  if constexpr (!std::is_void_v<Peak>)
    c.add(name, Peak::products_per_iteration * peak_iterations, [] { Peak::run(peak_iterations); });
}
template <class Generator>
void add_generator(contest& c, std::string_view name) {
  constexpr std::size_t iterations = 1000;
  if constexpr (!std::is_void_v<Generator>)
    c.add(name, iterations * Generator::words_per_iteration, [] { Generator::run(iterations); });
}
void add_peaks(contest& c) {
  add_peak<pairwise>(c, "pairwise");
  add_peak<dot>(c, "dot");
}

std::vector<std::uint8_t> memory_beyond_caches() { return std::vector<std::uint8_t>(std::size_t{256} << 20, 1); }

void measure_machine(session& s) {
  if (!s.out.wants("peak")) return;
  contest c;
  add_peak<multiply_add>(c, "f32_fma");
  add_peaks(c);
  add_generator<raw_philox>(c, "philox");
  add_generator<raw_ars>(c, "ars");
  c.measure(s.one, s.short_runs());
  for (const std::string_view name : {"f32_fma", "pairwise", "dot", "philox", "ars"}) {
    const std::string figure = fmt::format("peak.{}", name);
    const char* const unit = name == "philox" || name == "ars" ? "Gword/s" : "GMAC/s";
    if (c.has(name))
      s.out.add(figure, c.speed(name) * 1e-9, unit, c.disturbed());
    else
      s.out.absent(figure, no_instruction);
  }
  const auto memory = memory_beyond_caches();
  const auto read = [&](auto& executor, canary& bird, std::string_view name) {
    contest sweep;
    sweep.add("read", static_cast<double>(memory.size()), [&] { read_all(executor, memory); });
    sweep.measure(bird, s.short_runs());
    s.out.add(name, sweep.speed("read") * 1e-9, "GB/s", sweep.disturbed());
  };
  read(s.here, s.one, "peak.read");
  s.two.settle();
  read(s.pool, s.two, "peak.read.2_threads");
}

// --- Products ------------------------------------------------------------------------------------------------------

std::string name_of(product_shape p) { return fmt::format("{}x{}x{}", p.tokens, p.out, p.in); }

/// Our product beside the machine's limits and what others make of the same shape, all on one thread.
template <class Scheme>
contest product_contest(session& s, product_shape shape) {
  contest c;
  deployed_product<Scheme> ours(shape);
  c.add("ours", shape.products(), ours.on(s.here));
  add_peaks(c);
#if defined(ZOQAT_BENCH_OPENBLAS)
  c.add("sgemm", shape.products(), [product = std::make_shared<openblas_product>(shape)] { (*product)(1); });
#endif
#if defined(ZOQAT_BENCH_ONEDNN)
  if constexpr (Scheme::quantizes_activations)
    c.add("onednn", shape.products(), [product = std::make_shared<onednn_product>(shape)] { (*product)(); });
#endif
  c.measure(s.one, s.short_runs());
  return c;
}

void measure_w4a4(session& s) {
  const std::string name = "gemm.w4a4";
  if (!s.out.wants(name)) return;
  worst of_peak(name + ".of_peak", "ours", "pairwise", std::string(no_instruction));
  worst of_dot(name + ".of_dot_peak", "ours", "dot", std::string(no_instruction));
  worst over_sgemm(name + ".over_sgemm", "ours", "sgemm", std::string(no_openblas));
  worst over_onednn(name + ".over_onednn_int8", "ours", "onednn", std::string(no_onednn));
  worst onednn_of_dot(name + ".onednn_int8.of_dot_peak", "onednn", "dot", "no oneDNN, or no such instruction");
  const std::array ratios{&of_peak, &of_dot, &over_sgemm, &over_onednn, &onednn_of_dot};
  for (const std::size_t tokens : {std::size_t{384}, std::size_t{512}})
    for (const product_shape shape : layer_shapes(tokens)) {
      const contest c = product_contest<w4a4>(s, shape);
      s.out.add(name + "." + name_of(shape), c.speed("ours") * 1e-9, "GMAC/s", c.disturbed());
      for (worst* ratio : ratios) ratio->take(s, name_of(shape), c);
    }
  for (const worst* ratio : ratios) ratio->report(s);
}

void measure_few_tokens(session& s) {
  const std::string name = "gemm.w4a4.32_tokens";
  if (!s.out.wants(name)) return;
  const contest c = product_contest<w4a4>(s, {32, 4096, 4096});
  s.out.add(name, c.speed("ours") * 1e-9, "GMAC/s", c.disturbed());
  add_ratio(s, name + ".of_peak", c, "ours", "pairwise", no_instruction);
  add_ratio(s, name + ".over_sgemm", c, "ours", "sgemm", no_openblas);
  add_ratio(s, name + ".over_onednn_int8", c, "ours", "onednn", no_onednn);
}

void measure_two_threads(session& s) {
  const std::string name = "gemm.w4a4.two_threads";
  if (!s.out.wants(name)) return;
  s.two.settle();
  worst speed_up(name, "two", "one", "");
  for (const product_shape shape : layer_shapes(sequence)) {
    deployed_product<w4a4> ours(shape);
    contest c;
    c.add("one", shape.products(), ours.on(s.here));
    c.add("two", shape.products(), ours.on(s.pool));
    c.measure(s.two, s.short_runs());
    speed_up.take(s, name_of(shape), c);
  }
  speed_up.report(s);
}

/// Products in floats, on all of `shapes`, against sgemm.
template <class Scheme>
void measure_floats(session& s, const std::string& name, std::span<const product_shape> shapes) {
  if (!s.out.wants(name)) return;
  worst over_sgemm(name + ".over_sgemm", "ours", "sgemm", std::string(no_openblas));
  for (const product_shape shape : shapes) {
    const contest c = product_contest<Scheme>(s, shape);
    s.out.add(name + "." + name_of(shape), c.speed("ours") * 1e-9, "GMAC/s", c.disturbed());
    over_sgemm.take(s, name_of(shape), c);
  }
  over_sgemm.report(s);
}

/// One token through matrices that no cache holds, as in decoding: on all threads, and on one in its processor time,
/// which tells more where other programs are at work.
template <class Scheme>
void measure_gemv(session& s, const std::string& name) {
  if (!s.out.wants(name)) return;
  const std::size_t wanted = std::size_t{s.quick ? 64u : 256u} << 20;
  std::vector<std::unique_ptr<deployed_product<Scheme>>> layers;
  std::size_t bytes = 0;
  while (bytes < wanted) {
    layers.push_back(std::make_unique<deployed_product<Scheme>>(product_shape{1, 4096, 4096}));
    bytes += layers.back()->weight_bytes();
  }
  const auto memory = memory_beyond_caches();
  const auto on = [&](auto& threads, canary& bird, const std::string& figure) {
    std::vector<std::function<void()>> products;
    for (const auto& layer : layers) products.emplace_back(layer->on(threads));
    contest c;
    c.add("ours", static_cast<double>(bytes), [&] {
      for (const auto& product : products) product();
    });
    c.add("read", static_cast<double>(memory.size()), [&] { read_all(threads, memory); });
    bird.settle();
    c.measure(bird, s.short_runs());
    s.out.add(figure + ".bandwidth", c.speed("ours") * 1e-9, "GB/s", c.disturbed());
    add_ratio(s, figure + ".of_bandwidth", c, "ours", "read", "");
  };
  on(s.pool, s.two, name);
  on(s.here, s.one, name + ".one_thread");
}

// --- Directions ----------------------------------------------------------------------------------------------------

/// Distance of the empirical distribution from N(0, 1), times √n: above 1.63 one time in a hundred.
double kolmogorov_smirnov(std::vector<float>& samples) {
  std::ranges::sort(samples);
  const auto n = static_cast<double>(samples.size());
  double distance = 0;
  for (std::size_t i = 0; i != samples.size();) {
    std::size_t end = i;
    while (end != samples.size() && samples[end] == samples[i]) ++end;
    const double p = 0.5 * std::erfc(-double{samples[i]} / std::numbers::sqrt2);
    distance = std::max({distance, p - static_cast<double>(i) / n, static_cast<double>(end) / n - p});
    i = end;
  }
  return distance * std::sqrt(n);
}

/// Moments of N(0, 1), in standard errors of their estimates.
void report_moments(session& s, const std::string& direction, std::span<const float> samples) {
  struct moment {
    int order;
    double expected, variance;  ///< E x^k, and E x^2k − (E x^k)²
  };
  const auto n = static_cast<double>(samples.size());
  for (const moment m : {moment{2, 1, 2}, moment{4, 3, 96}, moment{6, 15, 10170}}) {
    double total = 0;
    for (const float x : samples) total += std::pow(double{x}, m.order);
    const std::string name = fmt::format("{}.moment_{}", direction, m.order);
    s.out.add(name, total / n, fmt::format("(expected {})", m.expected));
    s.out.add(name + ".error", (total / n - m.expected) / std::sqrt(m.variance / n), "standard_errors");
  }
}

template <class Distribution, class Standard>
void measure_direction(session& s, const std::string& name, rng::stream stream, Standard&& standard) {
  if (!s.out.wants(name)) return;
  buffer<float> to(4096);  // stays in the first-level cache
  contest c;
  const auto n = static_cast<double>(to.size());
  c.add("ours", n, [&, first = std::uint64_t{0}]() mutable {
    Distribution::template fill<kernels>(stream, first, to.data(), to.size()), first += to.size();
  });
  c.add("standard", n, [&] { standard(to); });
  c.measure(s.one, s.short_runs());
  s.out.add(name, 1e9 / c.speed("ours"), "ns", c.disturbed());
  s.out.add(name + ".std", 1e9 / c.speed("standard"), "ns", c.disturbed());
  add_ratio(s, name + ".over_std", c, "ours", "standard", "");
}

/// How normal ten million elements are.
template <class Distribution>
void report_quality(session& s, const std::string& name, rng::stream stream) {
  if (!s.out.wants(name)) return;
  std::vector<float> samples(10'000'000);
  Distribution::template fill<kernels>(stream, 0, samples.data(), samples.size());
  report_moments(s, name, samples);
  s.out.add(name + ".kolmogorov_smirnov", kolmogorov_smirnov(samples), "(below 1.63: passes at 1 %)");
}

void measure_directions(session& s) {
  standard_directions standard;
  constexpr rng::stream stream{.seed = 3};
  const auto gaussian = [&](std::span<float> to) { standard.gaussian(to); };
  measure_direction<zo::gaussian>(s, "direction.gaussian", stream, gaussian);
  measure_direction<zo::gaussian_ars>(s, "direction.gaussian_ars", stream, gaussian);
  measure_direction<zo::rademacher>(s, "direction.rademacher", stream,
                                    [&](std::span<float> to) { standard.rademacher(to); });
  report_quality<zo::gaussian>(s, "direction.gaussian", stream);
  report_quality<zo::gaussian_ars>(s, "direction.gaussian_ars", stream);
}

// --- Forward passes and steps --------------------------------------------------------------------------------------

/// A step over two forward passes of the deployed model on the same tokens: of what both do beside the head, and with
/// the head on every token and the loss.
template <class Distribution>
void measure_step(session& s, const std::string& name, opt_model& training, model_variant what, opt_model& deployed,
                  std::size_t sequences) {
  if (!s.out.wants(name)) return;
  const nn::token_batch batch = random_batch(sequences, sequence, opt_125m.vocabulary);
  for (const reduction how : {reduction::final_norm, reduction::cross_entropy}) {
    const std::string figure = name + (how == reduction::cross_entropy ? ".with_head" : "");
    contest c;
    c.add("step", 2, training_step<opt_model, Distribution, sequential>(training, what, batch, s.here, how));
    c.add("forward", 1, inference<opt_model, sequential>(deployed, batch, s.here, how));
    c.measure(s.one, s.long_runs());
    s.out.add(figure + ".step", c.seconds("step") * 1e3, "ms", c.disturbed());
    s.out.add(figure + ".forward", c.seconds("forward") * 1e3, "ms", c.disturbed());
    s.out.add(figure, c.over("forward", "step"), "ratio", c.disturbed());
  }
}

void measure_steps(session& s) {
  if (!s.out.wants("step.full") && !s.out.wants("step.lightweight")) return;
  s.out.remark(
      "step: the loss is the mean square of the final norm's output, so that the head does not hide it; "
      ".with_head: cross-entropy of all tokens");
  opt_model deployed = model_of<opt_model>(model_variant::deployed);
  if (s.out.wants("step.lightweight")) {
    constexpr auto what = model_variant::lightweight;
    for (const master_format masters : {master_format::fp32, master_format::bf16, master_format::int8}) {
      const std::string name =
          masters == master_format::fp32
              ? "step.lightweight"
              : fmt::format("step.lightweight.{}", master_format_names[static_cast<int>(masters)]);
      opt_model training = model_of<opt_model>(what, masters);
      measure_step<zo::gaussian>(s, name + ".over_2_forward", training, what, deployed, 1);
      measure_step<zo::gaussian_ars>(s, name + ".gaussian_ars.over_2_forward", training, what, deployed, 1);
      measure_step<zo::rademacher>(s, name + ".rademacher.over_2_forward", training, what, deployed, 1);
    }
  }
  if (s.out.wants("step.full")) {
    constexpr auto what = model_variant::full;
    opt_model training = model_of<opt_model>(what);
    measure_step<zo::rademacher>(s, "step.full.rademacher.over_2_forward", training, what, deployed, 1);
    measure_step<zo::gaussian>(s, "step.full.gaussian.over_2_forward", training, what, deployed, 1);
    measure_step<zo::gaussian_ars>(s, "step.full.gaussian_ars.over_2_forward", training, what, deployed, 1);
    measure_step<zo::gaussian>(s, "step.full.gaussian.4x384.over_2_forward", training, what, deployed, 4);
  }
}

/// Where the time of a forward pass goes, by timing its parts on their own in the shapes and as often as it has them.
class forward_parts {
 public:
  forward_parts(opt_model& model, sequential& here)
      : model_(model), here_(here), x_(sequence, opt_125m.intermediate), y_(sequence, opt_125m.intermediate) {
    fill_normal(x_.flat(), 1, 1);
    batch_.add(std::vector<nn::token>(sequence));
  }

  /// The inputs of all layers made ready: smoothed and quantized; then multiplied if `products`.
  void linear_layers(bool products) {
    constexpr inference_lane lane;
    const nn::forward_pass<kernels, inference_lane, sequential> pass{lane, here_, batch_, work_};
    model_.for_each_shared_input([&](auto&& shared) {
      const nn::linear_input<w4a4> input(pass, inputs(shared.layers.front()->in_features()), *shared.smoothing);
      if (products)
        for (auto* layer : shared.layers) layer->forward(pass, input, outputs(layer->out_features()), false);
    });
  }
  void attention() {
    const auto width = opt_125m.head_size;
    const auto head = [&](std::size_t i) { return inputs(opt_125m.hidden).col_block(i * width, width); };
    for (std::size_t i = 0; i != opt_125m.layers * opt_125m.heads; ++i)
      nn::attend<kernels>(head(i % 12), head((i + 1) % 12), head((i + 2) % 12),
                          outputs(opt_125m.hidden).col_block(i % 12 * width, width));
  }
  void norms() {
    const auto x = inputs(opt_125m.hidden);
    const float* const gain = x.row(0).data();
    for (std::size_t i = 0; i != 2 * opt_125m.layers + 1; ++i)
      for (std::size_t row = 0; row != sequence; ++row)
        kernels::layer_norm(x.row(row).data(), gain, gain, 1e-5f, y_.data() + row * x.cols(), x.cols());
  }
  void activations() {
    for (std::size_t i = 0; i != opt_125m.layers; ++i)
      for (std::size_t row = 0; row != sequence; ++row) kernels::relu(y_.row(row).data(), y_.cols());
  }

 private:
  matrix_view<const float> inputs(std::size_t width) const { return {x_.data(), sequence, width}; }
  matrix_view<float> outputs(std::size_t width) { return {y_.data(), sequence, width}; }

  opt_model& model_;
  sequential& here_;
  matrix<float> x_, y_;
  nn::token_batch batch_;
  nn::workspace work_;
};

void measure_forward_shares(session& s) {
  if (!s.out.wants("forward")) return;
  opt_model model = model_of<opt_model>(model_variant::deployed);
  const nn::token_batch batch = random_batch(1, sequence, opt_125m.vocabulary);
  forward_parts parts(model, s.here);
  contest c;
  c.add("forward", 1, inference<opt_model, sequential>(model, batch, s.here));
  c.add("linear", 1, [&] { parts.linear_layers(true); });
  c.add("quantization", 1, [&] { parts.linear_layers(false); });
  c.add("attention", 1, [&] { parts.attention(); });
  c.add("norms", 1, [&] { parts.norms(); });
  c.add("activations", 1, [&] { parts.activations(); });
  c.measure(s.one, s.long_runs());
  s.out.add("forward.time", c.seconds("forward") * 1e3, "ms", c.disturbed());
  for (const char* const part : {"quantization", "attention", "norms", "activations"})
    s.out.add(fmt::format("forward.share.{}", part), c.over("forward", part), "ratio", c.disturbed());
  s.out.add("forward.share.non_gemm", 1 - c.over("forward", "linear") + c.over("forward", "quantization"), "ratio",
            c.disturbed());
}

void measure_head(session& s) {
  if (!s.out.wants("head")) return;
  opt_model model = model_of<opt_model>(model_variant::deployed);
  const nn::token_batch all = random_batch(1, sequence, opt_125m.vocabulary);
  nn::token_batch answer;
  constexpr std::size_t scored = 32;
  std::vector<nn::token> tokens(sequence, 1);
  std::vector<std::int64_t> targets(sequence, nn::not_scored);
  std::fill_n(targets.end() - scored, scored, 1);
  answer.add(tokens, targets);
  contest c;
  c.add("blocks", 1, inference<opt_model, sequential>(model, all, s.here));
  c.add("all", 1, inference<opt_model, sequential>(model, all, s.here, reduction::cross_entropy));
  c.add("answer", 1, inference<opt_model, sequential>(model, answer, s.here, reduction::cross_entropy));
  c.measure(s.one, s.long_runs());
  s.out.add("head.share", 1 - c.over("all", "blocks"), "ratio", c.disturbed());
  s.out.add(fmt::format("head.share.loss_on_{}_tokens", scored), 1 - c.over("answer", "blocks"), "ratio",
            c.disturbed());
}

// --- Memory --------------------------------------------------------------------------------------------------------

/// What the weights of a model take, in megabytes.
void print_weights(opt_model& model) {
  constexpr double megabyte = 1 << 20;
  double masters = 0, packed = 0, base = 0;
  const auto bytes = [](const nn::trainable& t) { return static_cast<double>(t.values().size() * sizeof(float)); };
  nn::for_each_base_tensor(model, [&](nn::trainable& t) { base += bytes(t); });
  model.for_each_shared_input([&](auto&& input) {
    for (auto* layer : input.layers) {
      if (layer->deployed())
        packed += static_cast<double>(layer->weight_bytes());
      else
        masters += bytes(layer->weight());
    }
  });
  fmt::print("masters {}\npacked {}\nembeddings_and_norms {}\n", masters / megabyte, packed / megabyte,
             (base - masters) / megabyte);
}

/// In a process of its own: the most memory of two steps, or of two forward passes where `trains` is false, and what
/// it consists of. The peak of setting up is not counted.
void print_memory(model_variant v, bool trains) {
  const double empty = resident_megabytes("VmRSS");
  opt_model model = model_of<opt_model>(v);
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << 5;  // the peak starts anew
  print_weights(model);
  const double made = resident_megabytes("VmRSS");
  thread_pool pool(2);
  const nn::token_batch batch = random_batch(1, sequence, opt_125m.vocabulary);
  if (trains) {
    training_step<opt_model, zo::gaussian, thread_pool> step(model, v, batch, pool);
    for (int i = 0; i != 2; ++i) step();
  } else {
    inference<opt_model, thread_pool> forward(model, batch, pool);
    for (int i = 0; i != 2; ++i) forward();
  }
  const double most = resident_megabytes("VmHWM");
  fmt::print("program {}\nmodel {}\nactivations_and_scratch {}\npeak {}\n", empty, made - empty, most - made, most);
}

struct memory_case {
  std::string_view name;
  model_variant what;
  bool trains;
};
constexpr std::array memory_cases{memory_case{"inference", model_variant::full, false},
                                  memory_case{"full", model_variant::full, true},
                                  memory_case{"lightweight", model_variant::lightweight, true},
                                  memory_case{"deployed", model_variant::deployed, false}};

/// Adds all parts of a case and returns its peak.
double measure_memory_of(session& s, const memory_case& m) {
  double peak = 0;
  for (const std::string& line : output_of({"/proc/self/exe", "--print-memory", std::string(m.name)})) {
    const std::size_t space = line.find(' ');
    peak = std::strtod(line.c_str() + space, nullptr);
    s.out.add(fmt::format("step.memory.{}.{}", m.name, line.substr(0, space)), peak, "MB");
  }
  return peak;
}

void measure_memory(session& s) {
  if (!s.out.wants("step.memory")) return;
  std::vector<double> peaks;
  for (const memory_case& m : memory_cases) peaks.push_back(measure_memory_of(s, m));
  s.out.add("step.memory.over_inference", peaks[1] / peaks[0], "ratio");
  s.out.add("step.memory.lightweight.over_inference", peaks[2] / peaks[0], "ratio");
  s.out.add("step.memory.lightweight.over_deployed", peaks[2] / peaks[3], "ratio");
}

// --- PyTorch -------------------------------------------------------------------------------------------------------

void measure_pytorch(session& s) {
  const std::string name = "step.over_pytorch_mezo";
  if (!s.out.wants(name) && !s.out.wants("pytorch")) return;
  child_process torch({s.python, ZOQAT_PEERS "/zo_torch.py", "--serve", "--tokens", std::to_string(sequence),
                       "--threads", std::to_string(s.pool.concurrency())});
  if (!torch.ask("forward")) return s.out.absent(name, s.python + " does not run peers/zo_torch.py: no PyTorch");
  const auto ask = [&](const char* what) {
    const auto answer = torch.ask(what);
    require<io_error>(answer.has_value(), "peers/zo_torch.py ended before it answered '{}'", what);
    return std::strtod(answer->c_str(), nullptr);
  };
  opt_model model = model_of<opt_model>(model_variant::full);
  const nn::token_batch batch = random_batch(1, sequence, opt_125m.vocabulary);
  const auto against = [&](std::vector<const char*> theirs) {
    contest c;
    using step = training_step<opt_model, zo::gaussian, thread_pool>;
    c.add("ours", 1, step(model, model_variant::full, batch, s.pool, reduction::cross_entropy));
    for (const char* what : theirs) c.add(what, 1, [&ask, what] { ask(what); });
    s.two.settle();
    c.measure(s.two, s.long_runs());
    for (const char* what : theirs)
      s.out.add(fmt::format("pytorch.{}.time", what), c.seconds(what) * 1e3, "ms", c.disturbed());
    return c;
  };
  const contest mezo = against({"forward", "mezo", "mezo-linear"});
  s.out.add("pytorch.mezo.memory", ask("memory"), "MB");
  s.out.add(name + ".ours", mezo.seconds("ours") * 1e3, "ms", mezo.disturbed());
  s.out.add(name, mezo.over("ours", "mezo"), "ratio", mezo.disturbed());
  s.out.add(name + ".same_parameters", mezo.over("ours", "mezo-linear"), "ratio", mezo.disturbed());
  const contest ste = against({"ste"});
  s.out.add("pytorch.ste.memory", ask("memory"), "MB");
  s.out.add("step.over_pytorch_ste", ste.over("ours", "ste"), "ratio", ste.disturbed());
}

// --- The run -------------------------------------------------------------------------------------------------------

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

void print_header(const session& s) {
#if defined(__clang__)
  constexpr const char* compiler = "clang " __clang_version__;
#else
  constexpr const char* compiler = "g++ " __VERSION__;
#endif
  s.out.remark(fmt::format("kernels {} {}; {}; {} of {} threads; {}", kernels::name(), kernels::target(), compiler,
                           s.pool.concurrency(), std::thread::hardware_concurrency(), processor_name()));
#if defined(ZOQAT_BENCH_OPENBLAS)
  s.out.remark(fmt::format("OpenBLAS with its kernels for {}, the fastest here", openblas_get_corename()));
#endif
#if defined(ZOQAT_BENCH_ONEDNN)
  s.out.remark(fmt::format("oneDNN {}.{} with {}", dnnl_version()->major, dnnl_version()->minor,
                           onednn_product({32, 64, 64}).implementation()));
#endif

  if (peers_stay_with_avx2) s.out.remark("a build for AVX2: OpenBLAS and oneDNN are kept to AVX2 too");
}

void measure_everything(session& s) {
  const double start = wall_seconds();
  print_header(s);
  s.one.settle(0.5);
  measure_machine(s);
  measure_w4a4(s);
  measure_few_tokens(s);
  measure_two_threads(s);
  measure_floats<scheme_named<"w2a16g128">>(s, "gemm.w2a16", {{{sequence, 4096, 4096}}});
  measure_floats<scheme_named<"w4a16g128">>(s, "gemm.w4a16", {{{sequence, 4096, 4096}}});
  measure_floats<quant::full_precision>(s, "gemm.f32", layer_shapes(sequence));
  measure_gemv<scheme_named<"w4a16g128">>(s, "gemv.w4");
  measure_gemv<scheme_named<"w2a16g128">>(s, "gemv.w2");
  measure_gemv<scheme_named<"w4a4">>(s, "gemv.a4.w4");
  measure_gemv<scheme_named<"q8_0">>(s, "gemv.a8.q8_0");
  measure_gemv<scheme_named<"q6_k">>(s, "gemv.a8.q6_k");
  measure_gemv<scheme_named<"q5_0">>(s, "gemv.a8.q5_0");
  measure_gemv<scheme_named<"q4_0">>(s, "gemv.a8.q4_0");
  measure_gemv<scheme_named<"q3_k">>(s, "gemv.a8.q3_k");
  measure_gemv<scheme_named<"q2_0">>(s, "gemv.a8.q2_0");
  measure_gemv<scheme_named<"q2_k">>(s, "gemv.a8.q2_k");
  measure_directions(s);
  measure_forward_shares(s);
  measure_head(s);
  measure_steps(s);
  measure_memory(s);
  measure_pytorch(s);
  s.out.remark(fmt::format("took {:.0f} s", wall_seconds() - start));
  s.out.summarize();
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app("What the machine can do, what others reach on it, and what zoqat does");
  std::string filter, python = "/usr/bin/python3", memory;
  bool quick = false, probe = false;
  app.add_option("--filter", filter, "only figures whose names begin so");
  app.add_flag("--quick", quick, "fewer rounds, for a first look");
  app.add_option("--python", python, "the interpreter that has PyTorch")->capture_default_str();
  app.add_option("--print-memory", memory)->group("");  // for processes that this program starts
  app.add_flag("--openblas-seconds", probe)->group("");
  CLI11_PARSE(app, argc, argv);
  if (!memory.empty()) {
    const auto found = std::ranges::find(memory_cases, memory, &memory_case::name);
    require(found != memory_cases.end(), "--print-memory: there is no '{}'", memory);
    print_memory(found->what, found->trains);
    return 0;
  }
  setenv("OMP_WAIT_POLICY", "passive", 0);  // or PyTorch's threads spin in the way of its own BLAS, and of ours
#if defined(ZOQAT_BENCH_OPENBLAS)
  if (probe) {
    openblas_product product({512, 768, 768});
    contest c;
    canary bird;
    c.add("sgemm", 1, [&] { product(1); });
    c.measure(bird, {2e-3, 15, 1});
    fmt::print("{}\n", c.seconds("sgemm"));
    return 0;
  }
  choose_openblas_core(argv);
#endif
#if defined(ZOQAT_BENCH_ONEDNN)
  prepare_onednn();
#endif
  figures out(filter);
  session s{out, quick, python};
  measure_everything(s);
} catch (const std::exception& problem) {
  fmt::print(stderr, "report: {}\n", problem.what());
  return 1;
}
