// SPDX-License-Identifier: Apache-2.0
//
// What training and fine-tuning of OPT takes in memory and time, beside the paper's Tables 7 and 8: shapes of the
// family with random weights that are generated straight into their final storage. Every row is a process of its own,
// and the whole of it counts.

#include "child_process.hpp"  // processes and their memory
#include "opt_step.hpp"       // steps of training
#include "products.hpp"       // random weights
#include "shapes.hpp"         // OPT's sizes

#include <zoqat/core/executor.hpp>    // thread_pool
#include <zoqat/nn/opt.hpp>           // the model
#include <zoqat/nn/storage_plan.hpp>  // which layers train, and how masters are stored
#include <zoqat/quant/scheme.hpp>     // W2A16g128, W4A4

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <malloc.h>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace zoqat;
using namespace zoqat::bench;

// Fine-tuning fixes the grids where rounding to nearest has them; training learns to clip them (OmniQuant's factors).
using w2a16g128 =
    quant::scheme<quant::weight<2, quant::group<128>, quant::asymmetric, quant::clip::none, quant::fp16_scale>>;
using w4a4 = quant::scheme<quant::weight<4, quant::per_channel, quant::asymmetric>, quant::activation<4>>;
using w2a16g128_clipped =
    quant::scheme<quant::weight<2, quant::group<128>, quant::asymmetric, quant::clip::range, quant::fp16_scale>>;

constexpr std::size_t prompt = 384, scored = 32, text = 2048;

/// A row of the table.
struct experiment {
  std::string_view task, model;
  model_shape shape;
  std::size_t batch;
  master_format masters;
  double paper_gigabytes, paper_seconds;  ///< 0: the paper has no such figure

  [[nodiscard]] std::string name() const {
    return fmt::format("{}/{}/{}x{}/{}", task, model, batch, tokens(),
                       master_format_names[static_cast<int>(masters)]);
  }
  [[nodiscard]] bool trains_all() const { return task == "train-w2a16g128"; }
  [[nodiscard]] std::size_t tokens() const { return trains_all() ? text : prompt; }
};

/// The paper's figures: Table 7 on a server, Table 8 (W4A4) on a telephone.
std::vector<experiment> experiments() {
  struct size {
    std::string_view name;
    model_shape shape;
    double tune, tune_seconds, tune_16_seconds, phone, phone_seconds, train, train_seconds;
  };
  constexpr std::array<size, 4> sizes{{{"1.3b", opt_1_3b, 0.8, 0.04, 0.31, 1.2, 7.8, 3.1, 0.58},
                                       {"2.7b", opt_2_7b, 1.5, 0.07, 0.53, 2.6, 12.3, 6.1, 0.98},
                                       {"6.7b", opt_6_7b, 3.7, 0.18, 0.94, 6.4, 29.1, 14.2, 1.77},
                                       {"13b", opt_13b, 6.8, 0.32, 1.73, 0, 0, 0, 0}}};
  std::vector<experiment> rows;
  for (const master_format masters : {master_format::int8, master_format::bf16}) {
    for (const size& s : sizes) {
      rows.push_back({"tune-w2a16g128", s.name, s.shape, 1, masters, s.tune, s.tune_seconds});
      rows.push_back({"tune-w2a16g128", s.name, s.shape, 16, masters, s.tune, s.tune_16_seconds});
      rows.push_back({"tune-w4a4", s.name, s.shape, 1, masters, s.phone, s.phone_seconds});
      rows.push_back({"tune-w4a4", s.name, s.shape, 16, masters, s.phone, 0});
    }
    for (const size& s : sizes)
      if (s.train > 0) rows.push_back({"train-w2a16g128", s.name, s.shape, 1, masters, s.train, s.train_seconds});
  }
  return rows;
}

// --- A row, in a process of its own --------------------------------------------------------------------------------

constexpr double megabyte = 1e6;

/// What a model keeps, by kind.
template <class Model>
void print_parts(Model& model) {
  double masters = 0, frozen = 0, quantizers = 0, base = 0, base_of_layers = 0;
  const auto add_to = [](double& total) {
    return [&](nn::trainable& t) { total += static_cast<double>(t.bytes()); };
  };
  nn::for_each_base_tensor(model, add_to(base));
  model.for_each_shared_input([&](auto&& input) {
    for (auto* layer : input.layers) {
      const auto grids = static_cast<double>(layer->quantizer_bytes());
      (layer->deployed() ? frozen : masters) += static_cast<double>(layer->held_bytes()) - grids;
      quantizers += grids;
      nn::for_each_base_tensor(*layer, add_to(base_of_layers));
    }
  });
  fmt::print("masters {}\nfrozen {}\ngrids {}\nembeddings {}\n", masters / megabyte, frozen / megabyte,
             quantizers / megabyte, (base - base_of_layers) / megabyte);
}

/// The least memory Linux counts for this process from now on is what it holds now.
void forget_peak() {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << 5;
}
double resident(const char* which) { return resident_megabytes(which) * 1.048576; }

/// Each sequence of a batch is a micro-batch, so that activations do not follow the batch.
std::vector<nn::token_batch> batches(const experiment& e) {
  std::vector<nn::token_batch> all(e.batch);
  rng::engine draw({.seed = 11, .use = rng::purpose::data});
  for (nn::token_batch& batch : all) {
    std::vector<nn::token> tokens(e.tokens());
    std::vector<std::int64_t> targets(e.tokens(), nn::not_scored);
    for (nn::token& t : tokens) t = draw.below(static_cast<std::uint32_t>(e.shape.vocabulary));
    for (std::size_t i = e.trains_all() ? 0 : prompt - scored; i + 1 != tokens.size(); ++i)
      targets[i] = tokens[i + 1];
    batch.add(tokens, targets);
  }
  return all;
}

template <class Scheme>
void run(const experiment& e, int steps, unsigned threads) {
  using model_type = nn::opt<Scheme>;
  nn::storage_plan plan{.masters = e.masters, .embeddings = std::max(e.masters, master_format::bf16)};
  if (e.trains_all()) plan.trained = {"*"}, plan.fixed_quantization = false, plan.norms = true;
  std::uint32_t name = 0;
  model_type model = model_type::build(
      e.shape,
      [&](nn::trainable& t) {
        fill_normal(t.values().flat(), name++, 0.02f);
        if (t.name().ends_with("norm.weight"))
          for (float& x : t.values().flat()) x += 1;
      },
      plan);
  fmt::print("loading {}\n", resident("VmHWM"));
  print_parts(model);
  forget_peak();
  const auto data = batches(e);
  thread_pool pool(threads);
  const per_group<float> epsilon = e.trains_all() ? per_group<float>::all(1e-3f) : per_group<float>{.weight = 1e-3f};
  training_step<model_type, zo::gaussian, thread_pool> step(model, epsilon, data, pool, reduction::cross_entropy);
  step();
  double seconds = 1e30;
  for (int i = 0; i != steps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    step();
    seconds = std::min(seconds, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  fmt::print("peak {}\nseconds {}\n", resident("VmHWM"), seconds);
}

void run(const experiment& e, int steps, unsigned threads) {
  if (e.task == "tune-w2a16g128") return run<w2a16g128>(e, steps, threads);
  if (e.task == "tune-w4a4") return run<w4a4>(e, steps, threads);
  run<w2a16g128_clipped>(e, steps, threads);
}

// --- The table -----------------------------------------------------------------------------------------------------

/// Runs a row in a process of its own and prints it, in megabytes of 10^6 bytes.
void print_row(const experiment& e, int steps, unsigned threads) {
  std::vector<std::pair<std::string, double>> figures;
  for (const std::string& line : output_of({"/proc/self/exe", "--row", e.name(), "--steps", std::to_string(steps),
                                            "--threads", std::to_string(threads)})) {
    const std::size_t space = line.find(' ');
    figures.emplace_back(line.substr(0, space), std::strtod(line.c_str() + space, nullptr));
  }
  const auto figure = [&](std::string_view name) -> std::optional<double> {
    for (const auto& [found, value] : figures)
      if (found == name) return value;
    return std::nullopt;
  };
  fmt::print("{:<34}", e.name());
  if (!figure("seconds")) return fmt::print(" did not run to its end: not enough memory?\n");
  const double peak = std::max(*figure("loading"), *figure("peak"));
  const double kept = *figure("masters") + *figure("frozen") + *figure("grids") + *figure("embeddings");
  for (const char* part : {"masters", "frozen", "grids", "embeddings"}) fmt::print(" {:>9.0f}", *figure(part));
  fmt::print(" {:>9.0f} {:>8.0f} {:>8.0f} {:>6.2f}", *figure("peak") - kept, *figure("loading"), *figure("peak"),
             peak / 1e3);
  if (e.paper_gigabytes > 0)
    fmt::print(" {:>6.1f}", e.paper_gigabytes);
  else
    fmt::print("      -");
  fmt::print(" {:>8.2f}", *figure("seconds"));
  if (e.paper_seconds > 0)
    fmt::print(" {:>7.2f}\n", e.paper_seconds);
  else
    fmt::print("       -\n");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Memory and time of quantized training and fine-tuning of OPT (Tables 7 and 8 of the paper)");
  std::string row, filter;
  int steps = 2;
  unsigned threads = 2;
  app.add_option("--filter", filter, "only rows whose name contains this, as in tune-w4a4/13b");
  app.add_option("--steps", steps, "steps that are timed, after one that is not; the shortest counts")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--threads", threads)->capture_default_str();
  app.add_option("--row", row, "one row, in this process")->group("");
  CLI11_PARSE(app, argc, argv);
  const auto rows = experiments();
  if (!row.empty()) {
    const auto found = std::ranges::find(rows, row, &experiment::name);
    if (found == rows.end()) return fmt::print(stderr, "memory_table: there is no row '{}'\n", row), 1;
    run(*found, steps, threads);
    return 0;
  }
  fmt::print("{} ({}), {} threads; Gaussian directions; megabytes of 10^6 bytes\n", simd::default_kernels::name(),
             simd::default_kernels::target(), threads);
  fmt::print("{:<34} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>6} {:>6} {:>8} {:>7}\n", "task/model/batch/masters",
             "masters", "frozen", "grids", "embedding", "running", "loading", "steps", "GB", "paper", "seconds",
             "paper");
  for (const experiment& e : rows)
    if (e.name().find(filter) != std::string::npos) {
      print_row(e, steps, threads);
      std::fflush(stdout);
    }
}
