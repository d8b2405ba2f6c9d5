// SPDX-License-Identifier: Apache-2.0
//
// Quantization-aware training of a LLaMA-family model with forward passes alone: from the files of a model to a table
// of perplexities. The order of this file is the order of a run: settings, data, the start, the training, the table.
//
//   zeroqat train                              the model beside this file, on text that it writes itself
//   zeroqat train --model M --tokenizer T --text train.txt --eval eval.txt --scheme w3a16
//   zeroqat replay --log run.zlog              the trained model again, from the base model and the log alone
//   zeroqat eval --model q.safetensors …       perplexity of a base model or a trained one
//   zeroqat generate --model q.safetensors …   text from it

#include <zoqat/eval/perplexity.hpp>          // chunks, batches_of, perplexity
#include <zoqat/eval/sample.hpp>              // sample_corpus
#include <zoqat/io/io.hpp>                    // open_model, load, read_text, save_quantized
#include <zoqat/nn/llama.hpp>                 // llama<scheme>
#include <zoqat/ptq/ptq.hpp>                  // round_to_nearest, smoothquant, reconstructor
#include <zoqat/quant/scheme_registry.hpp>    // standard_schemes
#include <zoqat/text/llama2c_tokenizer.hpp>   // llama2c_tokenizer
#include <zoqat/train/train.hpp>              // language_model_loss, run, replay, callbacks
#include <zoqat/zo/optimizers/parabolic.hpp>  // parabolic
#include <zoqat/zo/optimizers/sgd.hpp>        // sgd
#include <zoqat/zo/scales/balance.hpp>        // balance, for_least_error
#include <zoqat/zo/scales/flipped_codes.hpp>  // flipped_codes

#include <CLI/CLI.hpp>

using namespace zoqat;
using teacher_model = nn::llama<quant::full_precision>;

const std::vector<train::results_table::column> figures{{"perplexity", 4}, {"weight bytes"}};

/// What this program offers. Others of quant::standard_schemes take their names here, and some seconds to compile
/// each.
using schemes = quant::standard_schemes::only<"w2a16g32", "w2a16g128", "w3a16", "w3a16g128", "w4a16g128", "w4a4",
                                              "w4a4kv4", "w6a6", "w8a8">;

struct settings {
  // What makes a run: kept in its log, so that it can be made again.
  std::string model = ZOQAT_MODELS "/tiny-llama", tokenizer, text, eval;
  std::string scheme = "w4a4", start = "codes", optimizer = "parabolic", loss = "teacher", direction = "rademacher",
              scales = "balanced";
  std::string train = "smoothing,score_scale,step_tensor,step_row,step_column,step_group,norm,norm_scale";
  std::uint64_t seed = 0;
  std::size_t length = 256, calibration = 256, sampled = 512, batch = 4;
  std::uint32_t steps = 600, micro_batches = 2, directions = 1;
  float smoothing_alpha = 0.5f, clip = 0, epsilon = 1e-3f;
  float weight_rate = 5e-7f, smoothing_rate = 5e-6f, clipping_rate = 1e-5f;
  double elevation = 0.05, trust = 0.6;
  // What does not change its result.
  std::string log, output, report, metrics, prompt = "Once upon a time";
  std::size_t threads = 0, count = 200;
  std::uint32_t evaluate_every = 0;
  float temperature = 0, top_p = 1;

  /// Calls f(name, member, help) for everything that makes a run.
  template <class Settings, class F>
  static void for_each(Settings& s, F&& f) {
    f("model", s.model, "folder with config.json, .safetensors file or llama2.c .bin file");
    f("tokenizer", s.tokenizer, "tokenizer.bin of llama2.c; by default that beside the model");
    f("text", s.text, "text to calibrate and train on; without it the model writes its own");
    f("eval", s.eval, "text to evaluate on; without it a part of the training text is held out");
    f("scheme", s.scheme, "what is quantized, one of " + schemes::names());
    f("start", s.start, "rtn, smoothquant, ranges (clipping by reconstruction) or codes (codes and steps too)");
    f("train", s.train,
      "parameter groups that train, by commas; weight and clipping too, from the starts rtn and ranges");
    f("loss", s.loss, "teacher: KL from the full-precision model; text: cross-entropy");
    f("optimizer", s.optimizer, "parabolic: epsilon and rate from measured curvature; sgd: from the options below");
    f("direction", s.direction, "rademacher or gaussian");
    f("seed", s.seed, "of directions, calibration and data order, and sampled text");
    f("length", s.length, "tokens in a chunk, at most the model's positions");
    f("calibration", s.calibration, "chunks drawn for smoothing and reconstruction");
    f("sampled", s.sampled, "chunks the model writes where there is no --text; an eighth more to evaluate on");
    f("batch", s.batch, "chunks per step (Table C.1: 4)");
    f("steps", s.steps, "steps, with a rate that falls linearly to zero (Table C.1: 10,000 for models of billions)");
    f("micro-batches", s.micro_batches,
      "parts of a batch whose agreement measures the signal; each is one forward pass");
    f("directions", s.directions, "directions averaged per step (q in eq. 2)");
    f("smoothing-alpha", s.smoothing_alpha, "SmoothQuant's exponent");
    f("elevation", s.elevation, "parabolic: what all perturbations together add to the loss, relative to it");
    f("scales", s.scales,
      "parabolic: balanced, so that all groups raise the loss alike, or least-error, so that the gradient is "
      "estimated best");
    f("trust", s.trust, "parabolic: part of the way to the bottom of the parabola");
    f("clip", s.clip, "sgd: bound on |L+ - L-| / 2, 0 for none");
    f("epsilon", s.epsilon, "sgd: perturbation (Table C.1: 1e-3 to 1e-4); for weights in step sizes");
    f("weight-rate", s.weight_rate, "sgd: learning rate of weights (Table C.1: 5e-7)");
    f("smoothing-rate", s.smoothing_rate, "sgd: learning rate of smoothing (Table C.1: 5e-6)");
    f("clipping-rate", s.clipping_rate, "sgd: learning rate of clipping and step sizes (Table C.1: 1e-5)");
  }
  [[nodiscard]] std::string as_text() const {
    std::string lines;
    for_each(*this,
             [&](const char* name, const auto& value, const auto&) { lines += fmt::format("{}={}\n", name, value); });
    return lines;
  }
  /// Takes over what made the run of a log.
  void read_text(const std::string& lines, const std::string& source) {
    for_each(*this, [&](const std::string& name, auto& value, const auto&) {
      const std::size_t at = ("\n" + lines).find("\n" + name + "=");
      require<io_error>(at != lines.npos, "{}: the log's settings lack '{}'", source, name);
      const std::size_t from = at + name.size() + 1;
      const std::string found = lines.substr(from, lines.find('\n', from) - from);
      require<io_error>(CLI::detail::lexical_cast(found, value), "{}: setting '{}': '{}' makes no sense", source,
                        name, found);
    });
  }

  [[nodiscard]] std::filesystem::path tokenizer_path() const {
    if (!tokenizer.empty()) return tokenizer;
    const std::filesystem::path path(model);
    return (std::filesystem::is_directory(path) ? path : path.parent_path()) / "tokenizer.bin";
  }
  [[nodiscard]] zo::either distribution() const { return {direction == "gaussian"}; }
  [[nodiscard]] per_group<bool> trained() const {
    per_group<bool> groups;
    for (const std::string& name : CLI::detail::split(train, ',')) {
      const auto found = std::ranges::find(parameter_group_names, name);
      require(found != parameter_group_names.end(), "--train: there is no parameter group '{}'; there are {}", name,
              fmt::join(parameter_group_names, ", "));
      groups[all_parameter_groups[static_cast<std::size_t>(found - parameter_group_names.begin())]] = true;
    }
    return groups;
  }
  /// One value for each group that trains, 0 for the others.
  template <class F>
  [[nodiscard]] per_group<float> of_trained(F&& value) const {
    per_group<float> result;
    for (const parameter_group group : all_parameter_groups) result[group] = trained()[group] ? value(group) : 0.0f;
    return result;
  }
  [[nodiscard]] per_group<float> rates() const {
    return of_trained([&](parameter_group group) {
      if (group == parameter_group::weight) return weight_rate;
      return group == parameter_group::smoothing || group == parameter_group::score_scale ? smoothing_rate
                                                                                          : clipping_rate;
    });
  }
};

/// Everything a run works on besides the model it trains.
struct workbench {
  explicit workbench(const settings& s)
      : threads(s.threads),
        source(io::open_model(s.model)),
        tokenizer(s.tokenizer_path(), source.shape().vocabulary),
        teacher(io::load<teacher_model>(source)),
        length(std::min(s.length, source.shape().positions)) {
    if (s.text.empty()) {
      fmt::print("no --text: the model writes {} chunks of {} tokens itself\n", s.sampled + s.sampled / 8, length);
      training =
          eval::sample_corpus(teacher, s.sampled, length, {.temperature = 1}, tokenizer.bos(), s.seed, threads);
    } else {
      training = read_corpus(s.text);
    }
    if (!s.eval.empty())
      evaluation = read_corpus(s.eval);
    else if (s.text.empty())
      evaluation = eval::sample_corpus(teacher, s.sampled / 8 + 1, length, {.temperature = 1}, tokenizer.bos(),
                                       ~s.seed, threads);
    else
      hold_out();
  }
  eval::chunks read_corpus(const std::string& path) const {
    const std::string text = io::read_text(path);
    return eval::chunk_documents(eval::split_documents(text), length,
                                 [&](auto d) { return tokenizer.encode(d, true); });
  }
  /// Without a text of its own, evaluation gets the last chunks of the training text, at most an eighth of it.
  void hold_out() {
    const std::size_t held = std::min<std::size_t>(128, training.size() / 8);
    require(held > 0, "the training text makes only {} chunks: too few to hold some out for evaluation",
            training.size());
    evaluation.assign(training.end() - static_cast<std::ptrdiff_t>(held), training.end());
    training.resize(training.size() - held);
  }
  template <class Model>
  double perplexity(Model& model) {
    return eval::perplexity(model, evaluation, threads, work);
  }

  thread_pool threads;
  io::model_source source;
  text::llama2c_tokenizer tokenizer;
  teacher_model teacher;
  std::size_t length;
  eval::chunks training, evaluation;
  nn::workspace work;
};

/// Takes a model from the teacher's weights to where training begins, and notes the baselines on the way.
template <class Model>
void start(Model& model, workbench& bench, const settings& s, train::results_table* results) {
  const auto note = [&](const char* row) {
    if (results) results->add(row, {bench.perplexity(model), model.weight_bytes()});
  };
  eval::chunks chosen;
  constexpr std::uint32_t before_the_first_step = ~0u;
  for (const std::uint32_t i :
       train::draw_chunks(bench.training.size(), s.calibration, s.seed, before_the_first_step))
    chosen.push_back(bench.training[i]);
  const auto calibration = eval::batches_of(chosen);
  ptq::round_to_nearest(model);
  note("rtn");
  if (s.start == "rtn") return;
  ptq::smoothquant(model, bench.teacher, calibration, s.smoothing_alpha, bench.threads);
  note("smoothquant");
  if (s.start == "smoothquant") return;
  const auto depth = s.start == "ranges" ? ptq::reconstruction::ranges : ptq::reconstruction::codes;
  ptq::reconstructor reconstruct(model, bench.teacher, bench.threads, {.depth = depth});
  reconstruct(calibration, [](std::size_t block, std::size_t blocks) {
    fmt::print(stderr, "reconstruction: block {} of {}\n", block + 1, blocks);
  });
  note("reconstructed");
}

template <class Model>
void prepare(Model& model, workbench& bench, const settings& s, train::results_table* results) {
  start(model, bench, s, results);
  model.for_each_site([](auto&& site) {
    for (auto* layer : site.layers) layer->set_weight_units(*site.smoothing);
  });
}

/// Continues or begins training with an optimiser; the log, if there is one, is replayed first.
template <class Model, class Loss, class Optimizer>
void optimize(Model& model, Loss& loss, Optimizer optimizer, const per_group<float>& epsilon, workbench& bench,
              const settings& s, bool resume) {
  const zo::estimator<zo::central, zo::either> estimator{.epsilon = epsilon,
                                                         .directions = s.directions,
                                                         .micro_batches = s.micro_batches,
                                                         .clip = s.clip,
                                                         .seed = s.seed,
                                                         .distribution = s.distribution()};
  std::optional<zo::run_log> log;
  std::uint32_t first = 0;
  if (resume) {
    log.emplace(zo::run_log::resume(s.log));
    first = train::replay(estimator.distribution, model, *log, optimizer, bench.threads);
    fmt::print("{}: {} steps replayed\n", s.log, first);
  } else if (!s.log.empty()) {
    log.emplace(
        zo::run_log::create(s.log, {s.seed, zo::fingerprint(model), s.as_text(), estimator.distribution.name()}));
  }
  const auto evaluate = [&](std::uint32_t step) {
    fmt::print("step {}: perplexity {:.4f}\n", step, bench.perplexity(model));
  };
  std::uint32_t rejected = 0;
  const auto train = [&](auto&&... more) {
    rejected = train::run(model, loss, estimator, optimizer, {first, s.steps}, bench.threads,
                          train::write_log{log ? &*log : nullptr}, train::evaluate_every(s.evaluate_every, evaluate),
                          train::progress_bar(), more...);
  };
  if (s.metrics.empty())
    train();
  else
    train(train::csv_metrics(
        s.metrics,
        [&](const zo::measurement& e) { return zo::flipped_codes(estimator.distribution, e, model).rate(); }, 25));
  if (rejected > 0)
    fmt::print("{} of {} steps had a loss that was not finite and changed nothing\n", rejected, s.steps);
}

template <class Model>
void train_model(Model& model, workbench& bench, const settings& s, bool resume) {
  train::language_model_loss<Model, teacher_model, thread_pool> loss(
      model, bench.teacher, bench.training, bench.threads,
      {.batch = s.batch,
       .micro_batches = s.micro_batches,
       .compared_with = s.loss == "text" ? train::target::text : train::target::teacher,
       .seed = s.seed});
  const zo::linear_decay schedule{s.steps};
  if (s.optimizer == "sgd")
    return optimize(model, loss, zo::sgd<zo::linear_decay>{s.rates(), schedule},
                    s.of_trained([&](auto) { return s.epsilon; }), bench, s, resume);
  const zo::balance_options how{.relative_loss_increase = s.elevation, .groups = s.trained(), .seed = ~s.seed};
  zo::balanced_scales scales = zo::balance(model, loss, s.distribution(), how);
  if (s.scales == "least-error") scales = zo::for_least_error(scales, loss, s.distribution(), how);
  for (const parameter_group group : all_parameter_groups)
    if (scales.epsilon[group] > 0)
      fmt::print("epsilon of {} = {:.4g}\n", parameter_group_names[static_cast<std::size_t>(group)],
                 scales.epsilon[group]);
  zo::parabolic<zo::linear_decay> optimizer{.scales = scales, .step_fraction = s.trust, .schedule = schedule};
  optimize(model, loss, std::move(optimizer), scales.epsilon, bench, s, resume);
}

/// A trained model's last steps: table row, deployment, file.
template <class Model>
void finish(Model& model, workbench& bench, const settings& s, train::results_table& results) {
  results.add("zeroqat", {bench.perplexity(model), model.weight_bytes()});
  model.deploy();
  if (!s.output.empty()) io::save_quantized(s.output, model, s.scheme);
  fmt::print("\n{}", results.text(fmt::format("{} ({}, {} threads)", s.scheme, simd::default_kernels::target(),
                                              bench.threads.concurrency())));
  if (!s.report.empty()) results.write_json(s.report);
}

void train_command(settings s, bool resume) {
  if (resume) s.read_text(zo::run_log::read(s.log).header().settings, s.log);
  schemes::with(s.scheme, [&]<class Scheme>() {
    workbench bench(s);
    train::results_table results(figures);
    results.add("full_precision", {bench.perplexity(bench.teacher), bench.teacher.weight_bytes()});
    auto model = io::load<nn::llama<Scheme>>(bench.source);
    prepare(model, bench, s, &results);
    train_model(model, bench, s, resume);
    finish(model, bench, s, results);
  });
}

/// The start again from the settings in the log, then the log.
void replay_command(settings s) {
  const zo::run_log log = zo::run_log::read(s.log);
  s.read_text(log.header().settings, s.log);
  schemes::with(s.scheme, [&]<class Scheme>() {
    workbench bench(s);
    train::results_table results(figures);
    auto model = io::load<nn::llama<Scheme>>(bench.source);
    prepare(model, bench, s, nullptr);
    zo::sgd<> stateless;
    const std::uint32_t steps = train::replay(s.distribution(), model, log, stateless, bench.threads);
    fmt::print("{}: {} steps replayed\n", s.log, steps);
    finish(model, bench, s, results);
  });
}

/// Calls f(model) with the base model or the trained one at `path`.
template <class F>
void with_model(const settings& s, F&& f) {
  if (std::filesystem::path(s.model).extension() == ".safetensors") {
    const io::safetensors_file file(s.model);
    if (io::is_quantized_model(file))
      return schemes::with(io::scheme_of(file), [&]<class Scheme>() {
        auto model = io::load_quantized<nn::llama<Scheme>>(file);
        f(model);
      });
  }
  auto model = io::load<teacher_model>(io::open_model(s.model));
  f(model);
}

void eval_command(const settings& s) {
  with_model(s, [&](auto& model) {
    thread_pool threads(s.threads);
    nn::workspace work;
    const text::llama2c_tokenizer tokenizer(s.tokenizer_path(), model.shape().vocabulary);
    const std::string text = io::read_text(s.eval);
    const auto corpus =
        eval::chunk_documents(eval::split_documents(text), std::min(s.length, model.shape().positions),
                              [&](auto d) { return tokenizer.encode(d, true); });
    const nn::token_loss loss = eval::cross_entropy(model, corpus, threads, work);
    fmt::print("perplexity {:.4f}  loss {:.17g}  tokens {}  weight bytes {}\n", std::exp(loss.mean()), loss.mean(),
               loss.tokens, model.weight_bytes());
  });
}

void generate_command(const settings& s) {
  with_model(s, [&](auto& model) {
    thread_pool threads(s.threads);
    const text::llama2c_tokenizer tokenizer(s.tokenizer_path(), model.shape().vocabulary);
    nn::generator generate(model, threads);
    random::engine random({.seed = s.seed, .use = random::purpose::sampling});
    const auto prompt = tokenizer.encode(s.prompt, true);
    fmt::print("{}", tokenizer.decode(prompt));
    generate(
        prompt, s.count, {s.temperature, s.top_p}, random,
        [&](nn::token t) { return t == tokenizer.bos() || t == tokenizer.eos(); },
        [&, previous = prompt.back()](nn::token t) mutable {
          fmt::print("{}", tokenizer.decode(std::exchange(previous, t), t));
          std::fflush(stdout);
        });
    fmt::print("\n");
  });
}

int main(int argc, char** argv) {
  settings s;
  bool resume = false;
  CLI::App app(
      "Quantization-aware training of LLaMA-family models with forward passes alone (ZeroQAT, arXiv 2509.00031)");
  app.require_subcommand(1);
  CLI::App* const train = app.add_subcommand("train", "quantize a model, train it, print the table");
  CLI::App* const replay = app.add_subcommand("replay", "make a trained model again from its log");
  CLI::App* const eval = app.add_subcommand("eval", "perplexity of a base or a trained model on --eval");
  CLI::App* const generate = app.add_subcommand("generate", "text from a base or a trained model");
  settings::for_each(s, [&](const std::string& name, auto& value, const std::string& help) {
    train->add_option("--" + name, value, help)->capture_default_str();
  });
  train->get_option("--start")->check(CLI::IsMember({"rtn", "smoothquant", "ranges", "codes"}));
  train->get_option("--optimizer")->check(CLI::IsMember({"parabolic", "sgd"}));
  train->get_option("--loss")->check(CLI::IsMember({"teacher", "text"}));
  train->get_option("--scales")->check(CLI::IsMember({"balanced", "least-error"}));
  train->get_option("--direction")->check(CLI::IsMember({"rademacher", "gaussian"}));
  CLI::Option* const log = train->add_option("--log", s.log, "run log to write");
  train
      ->add_flag("--resume", resume, "go on with the run in --log; everything that makes the run is taken from there")
      ->needs(log);
  train->add_option("--metrics", s.metrics, "CSV file with one line per step");
  train->add_option("--evaluate-every", s.evaluate_every, "steps between evaluations, 0 for none")
      ->capture_default_str();
  replay->add_option("--log", s.log, "run log")->required();
  for (CLI::App* command : {train, replay}) {
    command->add_option("--output", s.output, "file for the trained quantized model (.safetensors)");
    command->add_option("--report", s.report, "file for the table as JSON");
  }
  for (CLI::App* command : {eval, generate}) {
    command->add_option("--model", s.model, "base model, or a trained one that --output wrote")
        ->capture_default_str();
    command->add_option("--tokenizer", s.tokenizer, "tokenizer.bin of llama2.c; by default that beside the model");
  }
  eval->add_option("--eval", s.eval, "text")->required();
  eval->add_option("--length", s.length, "tokens in a chunk")->capture_default_str();
  generate->add_option("--prompt", s.prompt, "what the text begins with")->capture_default_str();
  generate->add_option("--tokens", s.count, "how many at most")->capture_default_str();
  generate->add_option("--temperature", s.temperature, "0: always the most likely token")->capture_default_str();
  generate->add_option("--top-p", s.top_p, "sample from the fewest tokens of this probability")
      ->capture_default_str();
  generate->add_option("--seed", s.seed, "of the sampling")->capture_default_str();
  for (CLI::App* command : {train, replay, eval, generate})
    command->add_option("--threads", s.threads, "0: one per core; the result does not depend on it")
        ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    if (*train)
      train_command(s, resume);
    else if (*replay)
      replay_command(s);
    else if (*eval)
      eval_command(s);
    else
      generate_command(s);
  } catch (const std::exception& e) {
    fmt::print(stderr, "zeroqat: {}\n", e.what());
    return 1;
  }
}
