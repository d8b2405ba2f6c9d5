// SPDX-License-Identifier: Apache-2.0
//
// Fine-tuning of a LLaMA or OPT model on a downstream task, quantized, with forward passes alone (sections 4.3 and
// 5.2 of the paper): from a model and a task's files to a table of test scores. The order of this file is the order
// of a run: settings, the task, one training, the rows of the table.
//
//   finetune --task sst2 --train train.tsv --test dev.tsv                       the model beside this file
//   finetune --model M --task choices --train a.jsonl --test b.jsonl --scheme w2a16g128 --seeds 0,1,2
//   finetune … --only-zeroqat --trains '*.q_proj' '*.q_proj,*.v_proj' '*'       Table D.4: which layers train
//
// The best step is chosen by the validation score (for Alpaca by the validation loss), never by the test score, and
// the model as it was then is made again from the base and the run log.

#include <zoqat/core/plural.hpp>              // plural
#include <zoqat/eval/answers.hpp>             // answer_accuracy: the token F1 of answers
#include <zoqat/eval/choices.hpp>             // accuracy among candidates
#include <zoqat/io/io.hpp>                    // open_model, load, save_quantized
#include <zoqat/nn/llama.hpp>                 // llama<scheme>
#include <zoqat/nn/opt.hpp>                   // opt<scheme, activation>
#include <zoqat/ptq/ptq.hpp>                  // round_to_nearest, smoothquant, reconstructor
#include <zoqat/quant/scheme_registry.hpp>    // scheme_registry, named, standard_schemes
#include <zoqat/tasks/tasks.hpp>              // read_sst2, …, split
#include <zoqat/text/open_tokenizer.hpp>      // open_tokenizer
#include <zoqat/train/train.hpp>              // task_loss, run, keep_best, replay_first
#include <zoqat/zo/optimizers/parabolic.hpp>  // parabolic
#include <zoqat/zo/optimizers/sgd.hpp>        // sgd
#include <zoqat/zo/scales/balance.hpp>        // balance

#include <common/results_table.hpp>

#include <CLI/CLI.hpp>

#include <limits>
#include <ranges>

using namespace zoqat;
using full_precision = quant::full_precision;

/// Grids stay where they are while weights are fine-tuned, so none of them learns its clipping; those of two bits are
/// held apart from the weights (clip::codes), so that a reconstruction can choose them.
using schemes = quant::scheme_registry<
    quant::named<"w4a4", quant::scheme<quant::weight<4>, quant::activation<4>>>,
    quant::named<"w4a4shift", quant::scheme<quant::weight<4>, quant::activation<4>, quant::shift>>,
    quant::named<"w2a16g128", quant::standard_schemes::scheme_of<"w2a16g128">>>;
template <class Scheme>
constexpr bool holds_grids = std::is_same_v<typename Scheme::weight_type::clipping, quant::clip::codes>;

constexpr float smoothing_alpha = 0.5f;  // SmoothQuant's exponent
constexpr const char* lightweight = "*.q_proj,*.v_proj";
constexpr const char* mezo = "MeZO";         // the row of full-precision ZO
constexpr const char* log_ending = ".zlog";  // of the files that a run writes
constexpr const char* model_ending = ".safetensors";

/// The parts of a text between commas.
std::vector<std::string> parts_of(std::string_view list) {
  std::vector<std::string> parts;
  for (const auto part : std::views::split(list, ',')) parts.emplace_back(part.begin(), part.end());
  return parts;
}

struct settings {
  // What makes a run, in its log.
  std::string model = ZOQAT_MODELS "/tiny-llama", tokenizer, task, train, test, scheme = "w4a4";
  std::string start = "smoothquant", masters = "fp32", embeddings = "fp32", optimizer = "parabolic";
  std::size_t train_items = 1000, validation_items = 500, test_items = 1000, calibration = 128;
  std::size_t batch = 32, length = 256, part_tokens = eval::default_part_tokens;
  std::uint32_t steps = 300, every = 50, micro_batches = 2;
  float epsilon = 1e-3f, rate = 5e-7f;
  double elevation = 0.4, smooth_elevation = 0.01, trust = 0.3, final_rate = 0;
  // Which runs there are, and what becomes of them.
  std::vector<std::uint64_t> seeds{0};
  std::vector<std::string> trains{lightweight, "*"};
  bool only_zeroqat = false, overwrite = false;
  std::string output = "finetuned", report;
  std::size_t threads = 0;

  /// Calls f(name, member, help) for everything that makes a run.
  template <class Settings, class F>
  static void for_each(Settings& s, F&& f) {
    f("model", s.model, "folder with config.json, .safetensors file or llama2.c .bin file, of LLaMA or OPT");
    f("tokenizer", s.tokenizer, "folder or file of the tokenizer; by default the model's folder");
    f("task", s.task, "sst2, cb, choices (lines of {prompt, choices, correct}), squad, drop or alpaca");
    f("train", s.train, "the task's file to draw training and validation items from");
    f("test", s.test, "and to test on");
    f("scheme", s.scheme, "what is quantized, one of " + schemes::names());
    f("start", s.start,
      "smoothquant; reconstructed: clipping and codes block by block (section 4.1), for w2a16g128; "
      "or rtn, loaded tensor by tensor, so that the base is never in memory whole");
    f("masters", s.masters, "of the weights that train: fp32, bf16 or int8");
    f("embeddings", s.embeddings, "of tokens and positions, which do not train: the same");
    f("train-items", s.train_items, "items to train with (appendix C.3)");
    f("validation-items", s.validation_items, "items to choose the best step by");
    f("test-items", s.test_items, "items to test with, at most");
    f("calibration", s.calibration, "training items that SmoothQuant and the reconstruction see");
    f("batch", s.batch, "items per step (MeZO: 16)");
    f("length", s.length, "tokens of a prompt with its answer, at most the model's positions");
    f("part-tokens", s.part_tokens, "tokens that go through the model at once");
    f("steps", s.steps, "steps of a training (Table C.1: 8,000 for models of billions)");
    f("every", s.every, "steps between validations");
    f("micro-batches", s.micro_batches, "parts of a batch whose agreement measures the signal");
    f("optimizer", s.optimizer, "parabolic: epsilon and rate from measured curvature; sgd: from the options below");
    f("elevation", s.elevation, "parabolic: what a perturbation adds to the loss, relative to it");
    f("smooth-elevation", s.smooth_elevation, "the same in full precision, where no rounding hides small ones");
    f("trust", s.trust, "parabolic: part of the way to the bottom of the parabola");
    f("final-rate", s.final_rate, "part of the rate that a linear fall leaves at the end; 1: constant (Table C.1)");
    f("epsilon", s.epsilon, "sgd: perturbation of weights (Table C.1: 1e-3)");
    f("rate", s.rate, "sgd: learning rate of weights (Table C.1: 5e-7, for models of billions)");
  }
  [[nodiscard]] std::string as_text(const std::string& trained) const {
    std::string lines = fmt::format("trains={}\n", trained);
    for_each(*this,
             [&](const char* name, const auto& value, const auto&) { lines += fmt::format("{}={}\n", name, value); });
    return lines;
  }
  [[nodiscard]] std::filesystem::path tokenizer_path() const {
    if (!tokenizer.empty()) return tokenizer;
    const std::filesystem::path path(model);
    return std::filesystem::is_directory(path) ? path : path.parent_path();
  }
  [[nodiscard]] static std::string row_of(const std::string& trained) {
    return "zeroqat " + (trained == lightweight ? "lightweight" : trained == "*" ? "full" : trained);
  }
  /// Of a run's files, which end in their own ways.
  [[nodiscard]] std::string path(const std::string& row, std::uint64_t seed) const {
    std::filesystem::path of_model = std::filesystem::weakly_canonical(model).lexically_normal();
    if (std::filesystem::is_regular_file(of_model)) of_model.replace_extension();
    std::string name =
        fmt::format("{}-{}-{}-{}-{}-{}-{}", task, of_model.filename().native(), scheme, start, masters, row, seed);
    for (const char special : {' ', '*', ',', '?', '/'}) std::ranges::replace(name, special, '_');
    return (std::filesystem::path(output) / name).native();
  }
  /// Throws before hours of work where a run would replace what another one wrote.
  void require_new_files() const {
    std::vector<std::string> rows;
    if (!only_zeroqat) rows.push_back(mezo);
    for (const std::string& trained : trains) rows.push_back(row_of(trained));
    for (const std::uint64_t seed : seeds)
      for (const std::string& row : rows)
        for (const char* const ending : {log_ending, model_ending}) {
          const std::string file = path(row, seed) + ending;
          require<io_error>(overwrite || !std::filesystem::exists(file),
                            "{}: is there already, from another run; give --overwrite to replace it, or another "
                            "--output",
                            file);
        }
  }
  [[nodiscard]] nn::storage_plan plan(const std::string& trained) const {
    const auto format = [](const std::string& name) {
      return static_cast<master_format>(std::ranges::find(master_format_names, name) - master_format_names.begin());
    };
    return {.trained = parts_of(trained), .masters = format(masters), .embeddings = format(embeddings)};
  }
};

/// Items of a task; the questions themselves where they are answered freely.
struct task_part {
  std::vector<eval::encoded_item> items;
  std::vector<tasks::answer_item> questions;
};

/// What all rows of a seed share.
///
/// A text begins with the tokenizer's BOS. For OPT that is </s> (id 2): Hugging Face's tokenizer puts it in front,
/// and OPT's own configuration names it. MeZO's run.py makes it <s> (id 0) instead; "bos_token": "<s>" in a
/// tokenizer_config.json beside the tokenizer does the same here.
struct workbench {
  workbench(const settings& s, std::uint64_t run_seed)
      : threads(s.threads),
        source(io::open_model(s.model)),
        tokenizer(text::open_tokenizer(s.tokenizer_path())),
        seed(run_seed),
        part_tokens(s.part_tokens),
        instructions(s.task == "alpaca"),
        how{.positions = std::min(s.length, source.shape().positions), .bos = tokenizer.bos().has_value()} {
    require<io_error>(tokenizer.size() <= source.shape().vocabulary,
                      "{}: has {} tokens, but the model {} a vocabulary of {}: they do not belong together",
                      s.tokenizer_path().native(), tokenizer.size(), s.model, source.shape().vocabulary);
    const auto from_files = [&](auto read) { take(read(s.train), read(s.test), s); };
    if (s.task == "sst2")
      from_files([](const auto& file) { return tasks::read_sst2(file); });
    else if (s.task == "cb")
      from_files([](const auto& file) { return tasks::read_cb(file); });
    else if (s.task == "choices")
      from_files([](const auto& file) { return tasks::read_choices(file); });
    else if (s.task == "squad")
      from_files([](const auto& file) { return tasks::read_squad(file); });
    else if (s.task == "drop")
      from_files(read_drop);
    else {
      how.end = tokenizer.eos();  // an instruction's output may have several lines
      end.text = {};
      from_files([](const auto& file) { return tasks::read_alpaca(file); });
    }
  }
  static std::vector<tasks::answer_item> read_drop(const std::filesystem::path& file) {
    std::size_t left_out = 0;
    auto items = tasks::read_drop(file, {}, &left_out);
    if (left_out > 0) fmt::print("{}: {} questions without a clear answer are left out\n", file.native(), left_out);
    return items;
  }
  template <class Item>
  void take(const std::vector<Item>& training, const std::vector<Item>& evaluation, const settings& s) {
    if (const auto eos = tokenizer.eos()) end.tokens = {*eos};
    const auto parts =
        tasks::split(training, evaluation,
                     {.train = s.train_items, .validation = s.validation_items, .test = s.test_items, .seed = seed});
    std::size_t cut = 0;
    const auto part = [&](const std::vector<Item>& items) {
      task_part encoded{eval::encode(tokenizer, items, how), {}};
      cut += cut_items(items, encoded.items);
      if constexpr (std::is_same_v<Item, tasks::answer_item>) encoded.questions = items;
      return encoded;
    };
    train = part(parts.train), validation = part(parts.validation), test = part(parts.test);
    fmt::print(
        "seed {}: {} items to train with, {} to validate with, {} to test with; {} are longer than {} tokens "
        "and were cut\n",
        seed, train.items.size(), validation.items.size(), test.items.size(), cut, how.positions);
    for (std::size_t i = 0; i < std::min(s.calibration, train.items.size()); ++i) {
      if (i % 16 == 0) calibration.emplace_back();
      calibration.back().add(train.items[i].right().read());
    }
  }
  /// How many items are longer than what `encoded` holds of them.
  template <class Item>
  std::size_t cut_items(const std::vector<Item>& items, const std::vector<eval::encoded_item>& encoded) const {
    eval::encoding uncut = how;
    uncut.positions = std::numeric_limits<std::size_t>::max();
    std::size_t cut = 0;
    for (std::size_t i = 0; i != items.size(); ++i) cut += eval::encode(tokenizer, items[i], uncut) != encoded[i];
    return cut;
  }
  [[nodiscard]] bool answers() const { return !test.questions.empty(); }
  /// Accuracy, or the token F1 of free answers, in percent.
  template <class Model>
  double score(Model& model, const task_part& part) {
    if (answers()) return 100 * eval::answer_accuracy(model, tokenizer, part.questions, how, end, threads).f1;
    return 100 * eval::accuracy(model, part.items, threads, work, part_tokens);
  }
  /// What the best step is chosen by, more is better: the validation score, or for instructions, whose outputs are
  /// longer than what is generated to be scored, minus the loss per token.
  template <class Model>
  double merit(Model& model) {
    if (!instructions) return score(model, validation);
    const auto texts = eval::all_candidates(validation.items);
    const matrix<double> losses =
        eval::continuation_losses(model, inference_lane{}, texts, part_tokens, threads, work);
    double loss = 0;
    std::size_t tokens = 0;
    for (std::size_t i = 0; i != texts.size(); ++i) loss += losses(0, i), tokens += texts[i]->scored();
    return -loss / static_cast<double>(tokens);
  }

  thread_pool threads;
  io::model_source source;
  text::any_tokenizer tokenizer;
  std::uint64_t seed;
  std::size_t part_tokens;
  bool instructions;
  eval::encoding how;
  eval::answer_end end{};
  task_part train, validation, test;
  std::vector<nn::token_batch> calibration;
  nn::workspace work;
};

/// The paper's SGD, or steps to the bottom of measured parabolas.
struct either_optimizer {
  zo::sgd<zo::linear_decay> sgd;
  std::optional<zo::parabolic<zo::linear_decay>> parabolic;

  [[nodiscard]] zo::planned_update plan(const zo::measurement& e) {
    return parabolic ? parabolic->plan(e) : sgd.plan(e);
  }
  void replay(const zo::planned_update& u) {
    if (parabolic) parabolic->replay(u);
  }
};

/// The table, and what its columns are made of.
struct results {
  using figure = programs::results_table::figure;
  programs::results_table table{
      {{"test", 1}, {"validation", 1}, {"step"}, {"weight bytes"}, {"training bytes"}, {"seconds", 1}}};
  std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();

  /// Adds a row with the time since the one before; `held` are the bytes of weights while they train.
  template <class Model>
  void add(const std::string& row, Model& model, workbench& bench, figure step = programs::results_table::none,
           figure held = programs::results_table::none) {
    const double validation = bench.score(model, bench.validation), test = bench.score(model, bench.test);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - since;
    table.add(row, {test, validation, step, model.weight_bytes(), held, seconds.count()});
    fmt::print("seed {}: {}: test {:.1f}, validation {:.1f}\n", bench.seed, row, test, validation);
    std::fflush(stdout);
    since = std::chrono::steady_clock::now();
  }
};

/// Prepares an optimizer, and returns the ε that goes with it.
template <class Model, class Loss>
per_group<float> plan_steps(Model& model, Loss& loss, either_optimizer& optimizer, const settings& s,
                            std::uint64_t seed) {
  per_group<float> epsilon, rate;
  epsilon.weight = s.epsilon, rate.weight = s.rate;
  optimizer.sgd = {rate, {s.steps, s.final_rate}};
  if (s.optimizer == "sgd") return epsilon;
  per_group<bool> weights;
  weights.weight = true;
  // A perturbation of much less than a cell of the grid (ε is in cells) would be lost in the noise of rounding.
  // Without rounding a small one is better: the loss is nearer to its parabola.
  const double elevation = Model::scheme::quantizes_weights ? s.elevation : s.smooth_elevation;
  const zo::balanced_scales scales = zo::balance(model, loss, zo::rademacher{},
                                                 {.relative_loss_increase = elevation,
                                                  .groups = weights,
                                                  .probes = 24,
                                                  .rounds = 4,
                                                  .first_epsilon = 0.05f,
                                                  .smallest_epsilon = 1e-3f,
                                                  .largest_epsilon = 0.5f,
                                                  .seed = ~seed});
  optimizer.parabolic = zo::parabolic<zo::linear_decay>{
      .scales = scales, .step_fraction = s.trust, .schedule = {s.steps, s.final_rate}};
  return scales.epsilon;
}

/// One training of `model`, written to `log`. Returns the step with the best validation score, 0 for the start.
template <class Model>
std::uint32_t train_once(const std::string& row, Model model, zo::run_log& log, workbench& bench, const settings& s) {
  train::task_loss<Model, thread_pool> loss(
      model, bench.train.items, bench.threads,
      {.batch = s.batch,
       .micro_batches = s.micro_batches,
       .compared_with = bench.answers() ? train::task_target::tokens : train::task_target::candidates,
       .part_tokens = s.part_tokens,
       .seed = bench.seed});
  either_optimizer optimizer;
  const zo::estimator<zo::central, zo::rademacher> estimator{
      .epsilon = plan_steps(model, loss, optimizer, s, bench.seed),
      .micro_batches = s.micro_batches,
      .seed = bench.seed};
  train::keep_best best(s.every, [&] { return bench.merit(model); });
  best.observe(0);
  const std::uint32_t rejected = train::run(model, loss, estimator, optimizer, {0, s.steps}, bench.threads,
                                            train::write_log{&log}, best, train::progress_bar());
  fmt::print("seed {}: {}: epsilon {:.3g}, validation", bench.seed, row, estimator.epsilon.weight);
  for (const train::scored_step& score : best.scores()) fmt::print(" {:.4g}", score.score);
  fmt::print(" at every {} steps\n", s.every);
  if (rejected > 0) fmt::print("{} with a loss that was not finite changed nothing\n", plural(rejected, "step"));
  return best.best()->steps;
}

/// Trains the model that `make` makes, adds its row, and returns it as it was at the best step: made again from its
/// start and the log, so that there is never a second copy of the weights.
template <class Make>
auto tune(const std::string& row, const std::string& trained, Make&& make, workbench& bench, const settings& s,
          results& to) {
  using model_type = decltype(make());
  const std::string path = s.path(row, bench.seed);
  auto start = make();
  std::size_t moving = 0;
  start.for_each_parameter([&](const parameter& p) { moving += p.group == parameter_group::weight ? p.size() : 0; });
  require(moving > 0, "--trains: no layer has a name like '{}'", trained);
  auto log = zo::run_log::create(path + log_ending,
                                 {bench.seed, zo::fingerprint(start), s.as_text(trained), zo::rademacher::name()});
  const std::uint32_t steps = train_once<model_type>(row, std::move(start), log, bench, s);
  model_type model = make();
  zo::sgd<> stateless;
  train::replay_first(zo::rademacher{}, model, log, steps, stateless, bench.threads);
  to.add(row, model, bench, steps, model.held_bytes());
  if constexpr (model_type::scheme::quantizes_weights) {
    model.deploy();
    io::save_quantized(path + model_ending, model, s.scheme);
  }
  return model;
}

/// A base model under a scheme, where ZeroQAT begins to train the layers named.
template <class Model, class Base>
Model quantized_start(const std::string& trained, workbench& bench, const settings& s) {
  const auto measured_in_steps = [&](Model model) {
    if (s.optimizer == "parabolic") ptq::set_weight_units(model);
    return model;
  };
  if (s.start == "rtn") return measured_in_steps(io::load<Model>(bench.source, s.plan(trained)));
  auto base = io::load<Base>(bench.source);
  auto model = io::load<Model>(bench.source);
  ptq::smoothquant(model, base, bench.calibration, smoothing_alpha, bench.threads);
  if constexpr (holds_grids<typename Model::scheme>) {
    if (s.start == "reconstructed") {
      ptq::reconstructor reconstruct(model, base, bench.threads);
      reconstruct(bench.calibration, [](std::size_t block, std::size_t blocks) {
        fmt::print(stderr, "reconstruction: block {} of {}\n", block + 1, blocks);
      });
    }
  }
  model.store(s.plan(trained));
  return measured_in_steps(std::move(model));
}

/// Zero-shot, full-precision ZO, and what quantizing that leaves of it.
template <class Model, class Base>
void add_baselines(workbench& bench, const settings& s, results& to) {
  const auto load = [&] { return io::load<Base>(bench.source); };
  {
    Base base = load();
    to.add("zero-shot", base, bench);
  }
  Base tuned = tune(mezo, "*", load, bench, s, to);
  Model rounded(bench.source.shape());
  nn::copy_base_tensors(tuned, rounded);
  ptq::round_to_nearest(rounded);
  to.add("MeZO, rtn", rounded, bench);
  if constexpr (Model::scheme::smooths_inputs) {
    ptq::smoothquant(rounded, tuned, bench.calibration, smoothing_alpha, bench.threads);
    to.add("MeZO, smoothquant", rounded, bench);
  }
}

template <class Model, class Base>
void add_rows(workbench& bench, const settings& s, results& to) {
  if (!s.only_zeroqat) add_baselines<Model, Base>(bench, s, to);
  for (const std::string& trained : s.trains) {
    const auto make = [&] { return quantized_start<Model, Base>(trained, bench, s); };
    tune(settings::row_of(trained), trained, make, bench, s, to);
  }
}

/// Calls f.operator()<Model, the same in full precision>() with the model type of a file and a scheme. Shifts are for
/// OPT as it is published: more types would take their time to compile.
template <class F>
void with_model(const model_kind& kind, const std::string& scheme, F&& f) {
  schemes::with(scheme, [&]<class Scheme>() {
    const auto opt = [&]<class Activation>(Activation) {
      f.template operator()<nn::opt<Scheme, Activation>, nn::opt<full_precision, Activation>>();
    };
    if constexpr (Scheme::shifts_inputs) {
      require(kind.family == model_family::opt && kind.activation == activation_function::relu,
              "--scheme {}: is offered for OPT with ReLU; for another model take one without the shift", scheme);
      opt(nn::relu{});
    } else {
      if (kind.family == model_family::llama)
        f.template operator()<nn::llama<Scheme>, nn::llama<full_precision>>();
      else if (kind.activation == activation_function::relu)
        opt(nn::relu{});
      else if (kind.activation == activation_function::gelu_tanh)
        opt(nn::gelu_tanh{});
      else
        opt(nn::gelu_erf{});
    }
  });
}

int main(int argc, char** argv) {
  settings s;
  CLI::App app("Quantized fine-tuning of LLaMA and OPT models with forward passes alone (ZeroQAT, arXiv 2509.00031)");
  settings::for_each(s, [&](const std::string& name, auto& value, const std::string& help) {
    app.add_option("--" + name, value, help)->capture_default_str();
  });
  app.get_option("--task")->required()->check(CLI::IsMember({"sst2", "cb", "choices", "squad", "drop", "alpaca"}));
  for (const char* file : {"--train", "--test"}) app.get_option(file)->required()->check(CLI::ExistingFile);
  app.get_option("--start")->check(CLI::IsMember({"smoothquant", "reconstructed", "rtn"}));
  for (const char* stored : {"--masters", "--embeddings"})
    app.get_option(stored)->check(CLI::IsMember(master_format_names));
  app.get_option("--optimizer")->check(CLI::IsMember({"parabolic", "sgd"}));
  app.add_option("--seeds", s.seeds, "of items, their order and directions; a row of the table is the mean over them")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--trains", s.trains, "layers that train, a row for each set: patterns of their names, by commas")
      ->capture_default_str();
  app.add_flag("--only-zeroqat", s.only_zeroqat, "leave out the rows in full precision and those made from it");
  app.add_option("--output", s.output, "folder for run logs and trained models")->capture_default_str();
  app.add_flag("--overwrite", s.overwrite, "replace the logs and models that another run left in that folder");
  app.add_option("--report", s.report, "file for the table as JSON");
  app.add_option("--threads", s.threads, "0: one per core; the result does not depend on it")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    if (std::filesystem::equivalent(s.train, s.test))
      fmt::print(stderr, "finetune: --train and --test are one file, {}: the table shows what was learned by heart\n",
                 s.test);
    s.require_new_files();
    std::filesystem::create_directories(s.output);
    results all;
    with_model(io::open_model(s.model).shape().kind, s.scheme, [&]<class Model, class Base>() {
      require(s.start != "reconstructed" || holds_grids<typename Model::scheme>,
              "--start reconstructed: scheme {} has no grids that could be chosen; take w2a16g128", s.scheme);
      for (const std::uint64_t seed : s.seeds) {
        workbench bench(s, seed);
        add_rows<Model, Base>(bench, s, all);
      }
    });
    fmt::print("\n{}", all.table.text(fmt::format("{}, {}, {} masters", s.task, s.scheme, s.masters)));
    if (!s.report.empty()) all.table.write_json(s.report);
  } catch (const std::exception& e) {
    fmt::print(stderr, "finetune: {}\n", e.what());
    return 1;
  }
}
