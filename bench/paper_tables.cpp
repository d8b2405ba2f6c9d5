// SPDX-License-Identifier: Apache-2.0
//
// The tables and figures of the paper (arXiv 2509.00031) for any model and texts: every method is a run of `zeroqat
// train` in a process of its own, whose time and memory are measured.
//
//   paper_tables --model M --tokenizer T --text TRAIN --eval TEST --output FOLDER [--tables 3,D.1] [--seeds 0,1,2]
//
// A run that is done stays in FOLDER/runs and is not made again, so a program that was ended goes on where it was.
// Writes FOLDER/tables.md, tables.csv, and tables.html with the charts. No run looks at TEST before it is over.
//
// Of the paper's tables, these: 3 (weight-activation and weight-only quantization; with --model an OPT it is E.1;
// Table 2 is its first columns), D.1, D.3, D.5, D.6, and Figures 1 and 2. Methods that need gradients are not among
// them; --points adds what others measured to the chart of perplexity against passes.

#include <zoqat/core/plural.hpp>           // plural
#include <zoqat/io/atomic_file.hpp>        // atomic_file
#include <zoqat/io/json.hpp>               // json, read_json
#include <zoqat/io/text_file.hpp>          // read_text
#include <zoqat/simd/default_kernels.hpp>  // target

#include <common/guarded_main.hpp>   // guarded_main
#include <common/report_page.hpp>    // html_page
#include <common/results_table.hpp>  // moments_of
#include <common/svg_chart.hpp>      // figure_of

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace zoqat;
using namespace zoqat::programs;

struct options {
  std::string model, tokenizer, text, eval, output, points, zeroqat = ZOQAT_ZEROQAT;
  std::vector<std::string> tables{"3", "D.1", "D.3", "D.5", "D.6"};
  std::vector<std::string> schemes{"w2a16", "w2a16g32", "w3a16", "w4a16", "w6a6", "w4a4", "w4a4shift", "w4a4b32"};
  std::vector<std::uint64_t> seeds{0, 1, 2};
  std::size_t length = 256, calibration = 128, batch = 4, threads = 0;
  std::uint32_t steps = 600, transform_steps = 100;
};

// --- What is run
// -------------------------------------------------------------------------------------------------------

/// One row of a table: a method under a scheme.
struct entry {
  std::string table, method, scheme;
  std::vector<std::string> arguments;  ///< of zeroqat train, besides those of all runs
  std::string row;                     ///< of its report
  double passes = 0;                   ///< of the whole model over one chunk
  bool trains = false;                 ///< and not only starts
};

class planner {
 public:
  explicit planner(const options& o) : o_(o) {}

  [[nodiscard]] std::vector<entry> entries() const {
    std::vector<entry> all;
    for (const std::string& table : o_.tables) {
      const std::size_t before = all.size();
      if (table == "3") add_methods(all);
      if (table == "D.1") add_components(all);
      if (table == "D.3") add_lightweight(all);
      if (table == "D.5") add_sweeps(all);
      if (table == "D.6") add_samples(all);
      require(all.size() > before, "--tables {}: there are 3, D.1, D.3, D.5 and D.6", table);
    }
    return all;
  }

 private:
  [[nodiscard]] static bool quantizes_inputs(const std::string& scheme) {
    return !scheme.ends_with("a16") && scheme.find("a16g") == scheme.npos;
  }
  /// Passes that a start takes, over `chunks` of calibration: one for ranges of inputs, and one for each of the four
  /// inputs of a block and one more where it is fitted, beside the teacher's.
  [[nodiscard]] double passes_of(const std::string& start, double chunks, double transform_steps) const {
    if (start == "smoothquant" || start == "rptq") return chunks;
    if (start == "clip" || start == "gptq") return 5 * chunks;
    if (start == "ranges" || start == "codes") return 7 * chunks;
    if (start == "os+") return chunks + 100.0 * 1024 / static_cast<double>(o_.length);  // thresholds, at most
    // SmoothQuant, a search, eight looks and two batches of eight chunks both ways for each step, with what balances
    // them.
    if (start == "omniquant") return 21 * chunks + 32 * transform_steps + (transform_steps > 0 ? 1500 : 0);
    return 0;
  }
  [[nodiscard]] double passes_of_training() const {
    return static_cast<double>(o_.steps) * static_cast<double>(o_.batch) * 3;  // both ways, and the teacher's
  }

  void add_start(std::vector<entry>& to, const std::string& table, std::string method, const std::string& scheme,
                 const std::string& start, std::vector<std::string> arguments = {}) const {
    arguments.insert(arguments.end(), {"--start", start, "--steps", "0"});
    if (start == "omniquant")
      arguments.insert(arguments.end(), {"--transform-steps", std::to_string(o_.transform_steps)});
    const auto chunks =
        static_cast<double>(start == "clip" && arguments.front() == "--clip-metric" ? 0 : o_.calibration);
    to.push_back({table, std::move(method), scheme, std::move(arguments), "zeroqat",
                  passes_of(start, chunks, o_.transform_steps)});
  }
  void add_training(std::vector<entry>& to, const std::string& table, std::string method, const std::string& scheme,
                    const std::string& start, std::vector<std::string> arguments, std::optional<double> chunks = {},
                    std::optional<std::uint32_t> transform_steps = {}) const {
    const std::uint32_t steps = transform_steps.value_or(o_.transform_steps);
    arguments.insert(arguments.end(), {"--start", start, "--steps", std::to_string(o_.steps), "--evaluate-every",
                                       std::to_string(std::max<std::uint32_t>(1, o_.steps / 6))});
    if (start == "omniquant") arguments.insert(arguments.end(), {"--transform-steps", std::to_string(steps)});
    to.push_back(
        {table, std::move(method), scheme, std::move(arguments), "zeroqat",
         passes_of(start, chunks.value_or(static_cast<double>(o_.calibration)), steps) + passes_of_training(), true});
  }

  void add_methods(std::vector<entry>& to) const {
    for (const std::string& scheme : o_.schemes) {
      if (scheme.ends_with("shift")) {  // what a method needs beside the others' scheme
        add_start(to, "3", "Outlier Suppression+ with shift", scheme, "os+");
        continue;
      }
      if (scheme.ends_with("b32")) {
        add_start(to, "3", "RTN, groups of 32 inputs", scheme, "rtn");
        add_start(to, "3", "RPTQ, groups of 32 inputs", scheme, "rptq");
        continue;
      }
      const bool inputs = quantizes_inputs(scheme);
      add_start(to, "3", "RTN", scheme, "rtn");
      add_start(to, "3", "RTN, clipped by weights", scheme, "clip", {"--clip-metric", "weights"});
      add_start(to, "3", "RTN, clipped by inputs", scheme, "clip");
      if (inputs) {
        add_start(to, "3", "SmoothQuant", scheme, "smoothquant");
        add_start(to, "3", "Outlier Suppression+", scheme, "os+");
      }
      add_start(to, "3", "GPTQ", scheme, "gptq", {"--gptq-grids", "range"});
      add_start(to, "3", "GPTQ, clipped", scheme, "gptq", {"--gptq-grids", "clipped"});
      add_start(to, "3", "OmniQuant (forward passes only)", scheme, "omniquant");
      add_start(to, "3", "reconstruction", scheme, "codes");
      add_training(to, "3", "scales only from GPTQ (PEQA, QZO)", scheme, "gptq",
                   {"--train", "step_tensor,step_row,step_column,step_group"});
      add_training(to, "3", "SGD by forward passes (MeZO)", scheme, inputs ? "omniquant" : "clip",
                   {"--train", "weight,smoothing,clipping", "--optimizer", "sgd"});
      add_training(to, "3", "ZeroQAT", scheme, "codes", {});
    }
  }
  void add_components(std::vector<entry>& to) const {
    for (const std::string& scheme : o_.schemes) {
      if (scheme != "w4a4" && scheme != "w2a16g32" && scheme != "w3a16") continue;
      const bool inputs = quantizes_inputs(scheme);
      const auto add = [&](const char* method, const char* start, const char* train) {
        add_training(to, "D.1", method, scheme, start, {"--train", train});
      };
      if (inputs) add("smoothing and clipping", "ranges", "weight,smoothing,clipping");
      add(inputs ? "without smoothing" : "clipping", "clip", "weight,clipping");
      if (inputs) add("without clipping", "smoothquant", "weight,smoothing");
      add(inputs ? "neither" : "without clipping", "rtn", "weight");
    }
  }
  void add_lightweight(std::vector<entry>& to) const {
    for (const std::string& scheme : o_.schemes) {
      if (scheme != "w4a4" && scheme != "w2a16g32" && scheme != "w2a16") continue;
      add_training(to, "D.3", "all layers", scheme, "ranges", {"--train", "weight,clipping,norm"});
      add_training(to, "D.3", "lightweight", scheme, "ranges",
                   {"--train", "weight,clipping,norm", "--layers", "*.q_proj,*.v_proj"});
    }
  }
  void add_sweeps(std::vector<entry>& to) const {
    for (const std::string& scheme : o_.schemes)
      if (scheme == "w4a4" || scheme == "w2a16g32")
        for (const std::uint32_t steps : {0u, o_.transform_steps / 4, o_.transform_steps, 4 * o_.transform_steps})
          add_training(to, "D.5", fmt::format("{} of initialization", plural(steps, "step")), scheme, "omniquant",
                       {"--train", "weight,smoothing,clipping"}, {}, steps);
  }
  void add_samples(std::vector<entry>& to) const {
    for (const std::string& scheme : o_.schemes)
      if (scheme == "w4a4" || scheme == "w2a16g32")
        for (const std::size_t chunks : {o_.calibration / 8, o_.calibration / 2, o_.calibration, 2 * o_.calibration})
          add_training(to, "D.6", fmt::format("{}", plural(chunks, "sample")), scheme, "codes",
                       {"--calibration", std::to_string(chunks)}, static_cast<double>(chunks));
  }

  const options& o_;
};

// --- Running it
// --------------------------------------------------------------------------------------------------------

/// What a run of one seed came to.
struct outcome {
  double perplexity = 0, seconds = 0, megabytes = 0;
  std::vector<std::array<double, 2>> curve;   ///< (steps, perplexity), while it trained
  std::vector<std::array<double, 2>> blocks;  ///< OmniQuant's loss of each block, before and after
};

class runner {
 public:
  explicit runner(const options& o) : o_(o), folder_(std::filesystem::path(o.output) / "runs") {
    std::filesystem::create_directories(folder_);
  }

  [[nodiscard]] std::vector<std::string> command(const entry& e, std::uint64_t seed) const {
    std::vector<std::string> words{o_.zeroqat,     "train",
                                   "--model",      o_.model,
                                   "--text",       o_.text,
                                   "--eval",       o_.eval,
                                   "--scheme",     e.scheme,
                                   "--seed",       std::to_string(seed),
                                   "--length",     std::to_string(o_.length),
                                   "--batch",      std::to_string(o_.batch),
                                   "--threads",    std::to_string(o_.threads),
                                   "--allow-worse"};
    if (!o_.tokenizer.empty()) words.insert(words.end(), {"--tokenizer", o_.tokenizer});
    const bool is_calibrated = std::ranges::find(e.arguments, "rtn") == e.arguments.end();  // --start rtn is not
    if (is_calibrated && std::ranges::find(e.arguments, "--calibration") == e.arguments.end())
      words.insert(words.end(), {"--calibration", std::to_string(o_.calibration)});
    words.insert(words.end(), e.arguments.begin(), e.arguments.end());
    return words;
  }
  /// Whether it lies in the folder already.
  [[nodiscard]] bool done(const entry& e, std::uint64_t seed) const {
    return std::filesystem::exists(path(e, seed, ".json"));
  }
  /// Runs it, or reads what an earlier program ran.
  [[nodiscard]] outcome operator()(const entry& e, std::uint64_t seed) const {
    if (!done(e, seed)) run(e, seed);
    const io::json found = io::read_json(path(e, seed, ".json"));
    outcome result{found.at("perplexity").get<double>(),
                   found.at("seconds").get<double>(),
                   found.at("megabytes").get<double>(),
                   {},
                   {}};
    std::istringstream log(io::read_text(path(e, seed, ".log")));
    for (std::string line; std::getline(log, line);) {
      std::array<double, 2> point{};
      unsigned block = 0, blocks = 0;
      if (std::sscanf(line.c_str(), "step %lf: perplexity %lf", &point[0], &point[1]) == 2)
        result.curve.push_back(point);
      if (std::sscanf(line.c_str(), "omniquant: block %u of %u: loss %lf -> %lf", &block, &blocks, &point[0],
                      &point[1]) == 4)
        result.blocks.push_back(point);
    }
    return result;
  }

 private:
  /// Named by all that makes the run, so that another one never takes its place.
  [[nodiscard]] std::filesystem::path path(const entry& e, std::uint64_t seed, std::string_view ending) const {
    std::uint64_t hash = 14695981039346656037u;  // FNV-1a
    for (const std::string& word : command(e, seed))
      for (const char c : word + " ") hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
    return folder_ / fmt::format("{}-{:016x}{}", e.scheme, hash, ending);
  }
  void run(const entry& e, std::uint64_t seed) const {
    const std::filesystem::path report = path(e, seed, ".report"), log = path(e, seed, ".log");
    std::vector<std::string> words = command(e, seed);
    words.insert(words.end(), {"--report", report.native()});
    const auto begin = std::chrono::steady_clock::now();
    const auto [status, kilobytes] = wait_for(words, log);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    require(status == 0, "{}: `{}` ended with status {}; its last words are there", log.native(),
            fmt::join(words, " "), status);
    const io::json row = io::read_json(report).at(e.row).at("perplexity");
    const double perplexity = row.is_array() ? row.back().get<double>() : row.get<double>();
    io::atomic_file file(path(e, seed, ".json"));
    file.write(io::json{{"perplexity", perplexity}, {"seconds", seconds}, {"megabytes", kilobytes / 1000}}.dump());
    file.commit();
  }
  /// Runs a program whose output goes to a file: its exit status, and the most kilobytes it held.
  static std::pair<int, double> wait_for(const std::vector<std::string>& words, const std::filesystem::path& log) {
    std::fflush(nullptr);
    const pid_t id = fork();
    require<io_error>(id >= 0, "{}: no process for it could be made", words.front());
    if (id == 0) {
      const int to = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
      if (to < 0 || dup2(to, STDOUT_FILENO) < 0 || dup2(to, STDERR_FILENO) < 0) _exit(126);
      std::vector<char*> arguments;
      for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
      arguments.push_back(nullptr);
      execvp(arguments.front(), arguments.data());
      _exit(127);
    }
    int status = 0;
    rusage used{};
    require<io_error>(wait4(id, &status, 0, &used) == id, "{}: its end was not seen", words.front());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), static_cast<double>(used.ru_maxrss)};
  }

  const options& o_;
  std::filesystem::path folder_;
};

/// An entry with what it came to, seed by seed.
struct result {
  entry of;
  std::vector<outcome> seeds;

  [[nodiscard]] sample_moments moments(double outcome::*member) const {
    std::vector<double> values;
    for (const outcome& o : seeds) values.push_back(o.*member);
    return moments_of(values);
  }
};

/// Runs what is missing, starts before what trains, and calls after_each(results so far) after each entry; those are
/// in the order of the entries.
template <class AfterEach>
void run_all(const options& o, const std::vector<entry>& entries, AfterEach&& after_each) {
  const runner run(o);
  const std::size_t total = entries.size() * o.seeds.size();
  std::size_t left = 0, finished = 0;
  for (const entry& e : entries)
    for (const std::uint64_t seed : o.seeds) left += run.done(e, seed) ? 0 : 1;
  fmt::print("{} of {} are there already\n", total - left, plural(total, "run"));
  double spent = 0;
  std::vector<std::optional<result>> all(entries.size());
  for (const bool trains : {false, true})
    for (std::size_t i = 0; i != entries.size(); ++i) {
      const entry& e = entries[i];
      if (e.trains != trains) continue;
      result r{e, {}};
      for (const std::uint64_t seed : o.seeds) {
        const bool fresh = !run.done(e, seed);
        r.seeds.push_back(run(e, seed));
        if (!fresh) continue;
        spent += r.seeds.back().seconds, ++finished;
        fmt::print("[{}/{}] {} {}, {}, seed {}: perplexity {:.3f} ({:.1f} s; {:.1f} min so far)\n", finished, left,
                   e.table, e.scheme, e.method, seed, r.seeds.back().perplexity, r.seeds.back().seconds, spent / 60);
        std::fflush(stdout);
      }
      all[i] = std::move(r);
      std::vector<result> so_far;
      for (const auto& found : all)
        if (found) so_far.push_back(*found);
      after_each(so_far);
    }
}

// --- What is written
// ---------------------------------------------------------------------------------------------------

constexpr std::string_view title_of(std::string_view table) {
  if (table == "3") return "Tables 2, 3 and E.1: methods";
  if (table == "D.1") return "Table D.1: smoothing and clipping";
  if (table == "D.3") return "Table D.3: the lightweight variant";
  if (table == "D.5") return "Table D.5: initialization";
  return "Table D.6: samples";
}

/// One line for each result of a table: f(result, "mean ± deviation", cells of cost).
template <class F>
void for_each_row(const std::vector<result>& results, const std::string& table, F&& f) {
  for (const result& r : results) {
    if (r.of.table != table) continue;
    const sample_moments p = r.moments(&outcome::perplexity);
    f(r, r.seeds.size() > 1 ? fmt::format("{:.3f} ± {:.3f}", p.mean, p.deviation) : fmt::format("{:.3f}", p.mean),
      std::array{fmt::format("{:.1f}", r.moments(&outcome::seconds).mean), fmt::format("{:.0f}", r.of.passes),
                 fmt::format("{:.0f}", r.moments(&outcome::megabytes).mean)});
  }
}

std::string text_of_run(const options& o) {
  return fmt::format(
      "Kernels: {} on {}. Model {}, trained on {}, evaluated on {}; seeds {}; chunks of {} tokens, {} of them to "
      "calibrate with, {} steps of {}. Perplexity is the mean over seeds and its standard deviation; seconds are "
      "those of a whole run, with loading and evaluation; passes are of the whole model over one chunk, from counts "
      "of what each method runs; MB is the most a run held.",
      simd::default_kernels::name(), simd::default_kernels::target(), o.model, o.text, o.eval,
      fmt::join(o.seeds, ", "), o.length, o.calibration, o.steps, plural(o.batch, "chunk"));
}

void write(const std::filesystem::path& path, const std::string& text) {
  io::atomic_file file(path);
  file.write(text);
  file.commit();
}

std::string markdown_of(const options& o, const std::vector<result>& results) {
  std::string text = fmt::format("{}\n", text_of_run(o));
  for (const std::string& table : o.tables) {
    text += fmt::format(
        "\n## {}\n\n| scheme | method | perplexity | seconds | passes | MB |\n|---|---|---|---|---|---|\n",
        title_of(table));
    for_each_row(results, table, [&](const result& r, const std::string& perplexity, const auto& cost) {
      text += fmt::format("| {} | {} | {} | {} |\n", r.of.scheme, r.of.method, perplexity, fmt::join(cost, " | "));
    });
  }
  return text;
}
std::string csv_of(const options& o, const std::vector<result>& results) {
  std::string text = "table,scheme,method,seed,perplexity,seconds,passes,megabytes\n";
  for (const result& r : results)
    for (std::size_t i = 0; i != r.seeds.size(); ++i)
      text += fmt::format("{},{},\"{}\",{},{:.6g},{:.3g},{:.0f},{:.4g}\n", r.of.table, r.of.scheme, r.of.method,
                          o.seeds[i], r.seeds[i].perplexity, r.seeds[i].seconds, r.of.passes, r.seeds[i].megabytes);
  return text;
}

/// Perplexity against passes under one scheme: a mark for each start, a line for what trains.
std::optional<chart> passes_chart(const options& o, const std::vector<result>& results, const std::string& scheme,
                                  const std::vector<std::array<std::string, 4>>& points) {
  chart c{.title = fmt::format("{}: perplexity by passes", scheme),
          .x_label = "passes of the model over a chunk, thousands",
          .y_label = "perplexity, logarithm to base 10",
          .note = "Means over seeds; a line follows the evaluations of a run that trains."};
  std::map<std::string, std::vector<std::array<double, 2>>> others;
  for (const auto& [of, method, passes, perplexity] : points)
    if (of == scheme) others[method].push_back({std::stod(passes) / 1000, std::log10(std::stod(perplexity))});
  for (const result& r : results) {
    if (r.of.table != "3" || r.of.scheme != scheme) continue;
    chart_series series{.name = r.of.method, .marked = true, .color = c.series.size()};
    const std::size_t steps = r.seeds[0].curve.size();
    for (std::size_t i = 0; i != steps; ++i) {
      double mean = 0;
      for (const outcome& s : r.seeds) mean += std::log10(s.curve[i][1]) / static_cast<double>(r.seeds.size());
      const double rest = (static_cast<double>(o.steps) - r.seeds[0].curve[i][0]) / static_cast<double>(o.steps);
      const double training = static_cast<double>(o.steps) * static_cast<double>(o.batch) * 3;
      series.points.push_back({(r.of.passes - rest * training) / 1000, mean});
    }
    if (steps == 0) series.points.push_back({r.of.passes / 1000, std::log10(r.moments(&outcome::perplexity).mean)});
    c.series.push_back(std::move(series));
  }
  if (c.series.empty()) return {};
  for (auto& [method, at] : others)
    c.series.push_back({.name = method, .points = at, .marked = true, .color = c.series.size()});
  return c;
}
/// Figure 1: how much of its loss each block loses to OmniQuant's fitting.
std::optional<chart> blocks_chart(const std::vector<result>& results) {
  chart c{.title = "Figure 1: loss that fitting takes off each block",
          .x_label = "block",
          .y_label = "(before - after) / before, per cent",
          .note = "OmniQuant's transformation and clipping by forward passes, seed by seed the first.",
          .from_zero = true};
  for (const result& r : results) {
    if (r.of.table != "3" || r.seeds[0].blocks.empty() || !r.of.method.starts_with("OmniQuant")) continue;
    chart_series series{.name = r.of.scheme, .marked = true, .color = c.series.size()};
    for (std::size_t b = 0; b != r.seeds[0].blocks.size(); ++b) {
      const auto [before, after] = r.seeds[0].blocks[b];
      series.points.push_back({static_cast<double>(b + 1), 100 * (before - after) / before});
    }
    c.series.push_back(std::move(series));
  }
  if (c.series.empty()) return {};
  return c;
}
/// Figure 2: what the loss of the last block says of the perplexity, as fitting goes on.
std::optional<chart> objectives_chart(const std::vector<result>& results) {
  chart c{.title = "Figure 2: reconstruction loss and perplexity, as initialization takes more steps",
          .x_label = "loss of the last block after it was fitted",
          .y_label = "perplexity where training begins",
          .note = "The runs of Table D.5, seed by seed the first, joined in the order of their steps."};
  for (const result& r : results) {
    if (r.of.table != "D.5" || r.seeds[0].blocks.empty() || r.seeds[0].curve.empty()) continue;
    auto series = std::ranges::find(c.series, r.of.scheme, &chart_series::name);
    if (series == c.series.end())
      series = c.series.insert(series, {.name = r.of.scheme, .marked = true, .color = c.series.size()});
    series->points.push_back({r.seeds[0].blocks.back()[1], r.seeds[0].curve.front()[1]});
  }
  if (c.series.empty()) return {};
  return c;
}

std::string page_of(const options& o, const std::vector<result>& results) {
  std::vector<std::array<std::string, 4>> points;
  if (!o.points.empty()) {
    std::istringstream lines(io::read_text(o.points));
    for (std::string line; std::getline(lines, line);) {
      std::array<std::string, 4> cells;
      std::istringstream from(line);
      for (std::string& cell : cells) std::getline(from, cell, ',');
      require(!cells[3].empty(), "{}: line '{}' is not scheme,method,passes,perplexity", o.points, line);
      points.push_back(std::move(cells));
    }
  }
  std::string body = fmt::format("<p>{}</p>\n", escaped(text_of_run(o)));
  for (const std::string& table : o.tables) {
    body += fmt::format(
        "<h2>{}</h2>\n<table><tr><th>scheme</th><th>method</th><th>perplexity</th><th>seconds</th>"
        "<th>passes</th><th>MB</th></tr>\n",
        title_of(table));
    for_each_row(results, table, [&](const result& r, const std::string& perplexity, const auto& cost) {
      body += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n", r.of.scheme,
                          escaped(r.of.method), perplexity, fmt::join(cost, "</td><td>"));
    });
    body += "</table>\n";
  }
  for (const std::string& scheme : o.schemes)
    if (const auto c = passes_chart(o, results, scheme, points)) body += figure_of(*c);
  if (const auto c = blocks_chart(results)) body += figure_of(*c);
  if (const auto c = objectives_chart(results)) body += figure_of(*c);
  return html_page("zeroqat: the paper's tables", body);
}

int run(int argc, char** argv) {
  options o;
  CLI::App app("The paper's tables for a model and texts");
  app.add_option("--model", o.model, "base model")->required();
  app.add_option("--tokenizer", o.tokenizer, "its tokenizer; by default the model's folder");
  app.add_option("--text", o.text, "text to calibrate and train on")->required();
  app.add_option("--eval", o.eval, "text to evaluate on")->required();
  app.add_option("--output", o.output, "folder for runs, tables and charts")->required();
  app.add_option("--tables", o.tables, "3, D.1, D.3, D.5, D.6")->delimiter(',');
  app.add_option("--schemes", o.schemes, "schemes, which the program must have been built with")->delimiter(',');
  app.add_option("--seeds", o.seeds, "seeds")->delimiter(',');
  app.add_option("--steps", o.steps, "steps of training")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--transform-steps", o.transform_steps, "steps of OmniQuant's fitting")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--calibration", o.calibration, "chunks to calibrate with")
      ->check(CLI::Range(8, 1 << 20))
      ->capture_default_str();
  app.add_option("--length", o.length, "tokens in a chunk")->check(CLI::Range(2, 1 << 20))->capture_default_str();
  app.add_option("--batch", o.batch, "chunks in a step")->check(CLI::Range(2, 1 << 20))->capture_default_str();
  app.add_option("--threads", o.threads, "of each run; 0: one per core")->capture_default_str();
  app.add_option("--points", o.points, "lines scheme,method,passes,perplexity of others for the charts");
  app.add_option("--zeroqat", o.zeroqat, "the program")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  require(!o.seeds.empty(), "--seeds: name one at least");
  const std::filesystem::path folder = o.output;
  std::string tables;
  run_all(o, planner(o).entries(), [&](const std::vector<result>& results) {
    write(folder / "tables.md", tables = markdown_of(o, results));
    write(folder / "tables.csv", csv_of(o, results));
    write(folder / "tables.html", page_of(o, results));
  });
  fmt::print("\n{}\n{}: tables.md, tables.csv, tables.html\n", tables, folder.native());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return guarded_main("paper_tables", [&] { return run(argc, argv); });
}
