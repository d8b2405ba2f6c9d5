// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/plural.hpp>              // plural
#include <zoqat/io/load.hpp>                  // load
#include <zoqat/io/quantized_model.hpp>       // save_quantized
#include <zoqat/ptq/prepare.hpp>              // prepare
#include <zoqat/train/best_point.hpp>         // best_point
#include <zoqat/train/callbacks.hpp>          // write_log, evaluate_every, csv_metrics
#include <zoqat/train/objective.hpp>          // language_model_loss
#include <zoqat/train/omniquant.hpp>          // omniquant
#include <zoqat/train/progress_bar.hpp>       // progress_bar
#include <zoqat/train/trainer.hpp>            // run, replay
#include <zoqat/zo/log/run_log.hpp>           // run_log, fingerprint
#include <zoqat/zo/scales/balance.hpp>        // balance, for_least_error
#include <zoqat/zo/scales/flipped_codes.hpp>  // flipped_codes

#include <common/either_optimizer.hpp>
#include <common/kept_start.hpp>
#include <common/model_origin.hpp>
#include <common/model_parts.hpp>
#include <common/outcome.hpp>
#include <common/recipe.hpp>
#include <common/results_table.hpp>
#include <common/run_inputs.hpp>
#include <common/stop_signal.hpp>
#include <zeroqat/files.hpp>  // open_base_model
#include <zeroqat/plan.hpp>   // inputs_of, require_groups, require_space_for
#include <zeroqat/scheme.hpp>
#include <zeroqat/workbench.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>

/// A run in its order: the start, the training, the table.
namespace zoqat::programs {

[[nodiscard]] inline results_table new_table() { return results_table({{"perplexity", 4}, {"weight bytes"}}); }

// --- The start ---

/// OmniQuant's learnable clipping and transformation, fitted by forward passes, from where SmoothQuant and a search
/// for clipped ranges end.
template <class Model, class Family>
void fit_transforms(Model& model, workbench<Family>& bench, const settings& s,
                    std::span<const nn::token_batch> calibration,
                    const std::function<void(ptq::stage)>& after_stage) {
  ptq::clip_search(model, calibration, ptq::clip_metric::inputs, bench.threads, [](auto, auto) {});
  const train::omniquant_options how{.steps = s.transform_steps, .seed = s.seed};
  train::omniquant(model, bench.teacher, calibration, bench.threads, how,
                   [](std::size_t block, std::size_t blocks, const train::block_fit& fit) {
                     fmt::print("omniquant: block {} of {}: loss {:.5g} -> {:.5g}\n", block + 1, blocks, fit.before,
                                fit.after);
                   });
  ptq::set_weight_units(model);
  if (after_stage) after_stage(ptq::stage::ranges);  // ranges and smoothing moved, and the weights stayed
}

/// Takes a model from the teacher's weights to where training begins, and calls `after_stage` on the way.
template <class Model, class Family>
void prepare(Model& model, workbench<Family>& bench, const settings& s,
             std::function<void(ptq::stage)> after_stage = {}) {
  ptq::prepare_options how = recipe(s.stage());
  how.smoothing_alpha = s.smoothing_alpha;
  const auto metric = std::ranges::find(ptq::stream_metric_names, s.output_metric);
  how.outputs.used = metric != ptq::stream_metric_names.end();  // otherwise none
  if (how.outputs.used)
    how.outputs.stream = static_cast<ptq::stream_metric>(metric - ptq::stream_metric_names.begin());
  how.clipping = s.clip_metric == "weights" ? ptq::clip_metric::weights : ptq::clip_metric::inputs;
  how.feedback = {.damping = s.gptq_damping,
                  .activation_order = s.gptq_order == "activations",
                  .clipped = s.gptq_grids == "clipped"};
  how.after_stage = std::move(after_stage);
  const std::vector<nn::token_batch> calibration = bench.calibration(s);
  ptq::prepare(model, bench.teacher, calibration, bench.threads, how);
  if (s.start == settings::omniquant) fit_transforms(model, bench, s, calibration, how.after_stage);
}

/// Packs the layers that do not train, where not all of them do.
template <class Model>
void pack_what_stays(Model& model, const settings& s) {
  if (s.layers != "*") model.store({.trained = parts_of(s.layers), .fixed_quantization = false, .norms = true});
}

// --- The training ---

/// SGD with the rates that were given, or steps to the bottom of parabolas whose curvature is measured here.
template <class Model, class Loss>
step_plan plan_steps(Model& model, Loss& loss, const settings& s) {
  const zo::linear_decay schedule{s.steps};
  if (s.optimizer == "sgd")
    return {{zo::sgd<zo::linear_decay>{s.rates(), schedule}}, s.of_trained([&](auto) { return s.epsilon; })};
  const zo::balance_options how{.relative_loss_increase = s.elevation, .groups = s.trained(), .seed = ~s.seed};
  zo::balanced_scales scales = zo::balance(model, loss, s.distribution(), how);
  if (s.scales == "least-error") scales = zo::for_least_error(scales, loss, s.distribution(), how);
  for (const parameter_group group : all_parameter_groups)
    if (scales.epsilon[group] > 0)
      fmt::print("epsilon of {} = {:.4g}\n", parameter_group_names[static_cast<std::size_t>(group)],
                 scales.epsilon[group]);
  return parabolic_plan(std::move(scales), s.trust, schedule);
}

/// Chooses among the steps of a run by held-out training text, where the settings ask for it.
template <class Model>
class chosen_step {
 public:
  chosen_step(Model& model, texts_of_run& bench, const settings& s) : steps_(s.steps) {
    if (s.keep == "best" && s.steps > 0)
      best_.emplace(model, s.trained(), s.validate_every,
                    std::function([&] { return -bench.validation_perplexity(model); }));
  }

  /// After some steps that come from a log.
  void operator()(std::uint32_t done) {
    if (best_) (*best_)(done, steps_);
  }
  void after_step(const train::step_report& report) {
    if (best_) best_->after_step(report);
  }
  [[nodiscard]] bool reads_parameters(const train::step_report& report) const {
    return best_ && best_->reads_parameters(report);
  }
  /// Goes back to the best step, and says which one that was, of so many that were made. Returns it.
  std::uint32_t restore(std::uint32_t made) {
    if (!best_) return made;
    const std::uint32_t step = best_->restore();
    const double start = -best_->scores().front().score, end = -best_->scores().back().score;
    fmt::print("{}", note_if_kept(step, "perplexity on held-out training text", start, end,
                                  "Give it more --steps or another --seed."));
    if (step != 0 && step != best_->scores().back().steps)
      fmt::print("kept: {} of {}, the best on held-out training text\n", plural(step, "step"), steps_);
    return step;
  }

 private:
  std::uint32_t steps_;
  std::optional<train::best_point<Model, std::function<double()>>> best_;
};

/// A callback of a run that may be missing.
template <class Callback>
struct if_given {
  std::optional<Callback> callback;

  void begin(std::uint32_t first, std::uint32_t steps) {
    if (callback) callback->begin(first, steps);
  }
  void after_step(const train::step_report& report) {
    if (callback) callback->after_step(report);
  }
  [[nodiscard]] bool reads_parameters(const train::step_report& report) const {
    return callback && callback->reads_parameters(report);
  }
};

[[nodiscard]] inline train::language_model_loss_options loss_options(const settings& s) {
  return {.batch = s.batch,
          .micro_batches = s.micro_batches,
          .compared_with = s.loss == "text" ? train::target::text : train::target::teacher,
          .seed = s.seed};
}
/// What a model is trained for. Each kind of workbench has its own.
template <class Model, class Family>
[[nodiscard]] auto loss_of(Model& model, workbench<Family>& bench, const settings& s) {
  return train::language_model_loss<Model, teacher_model<Family>, thread_pool>(model, bench.teacher, bench.training,
                                                                               bench.threads, loss_options(s));
}

/// Begins a training, or continues one: its log, if there is one, is replayed first. Returns 0, or for a run that a
/// signal ended what the program is to return.
template <class Model, class Bench>
[[nodiscard]] int train_to_the_end(Model& model, Bench& bench, const settings& s, io::safetensors_metadata& made_by) {
  if (s.resume) restore_kept_start(model, zo::run_log::read_intact(s.log));
  auto loss = loss_of(model, bench, s);
  auto [optimizer, epsilon] = plan_steps(model, loss, s);
  const zo::estimator<zo::central, zo::runtime_distribution> estimator{.epsilon = epsilon,
                                                                       .directions = s.directions,
                                                                       .micro_batches = s.micro_batches,
                                                                       .clip = s.clip,
                                                                       .seed = s.seed,
                                                                       .distribution = s.distribution()};
  chosen_step<Model> chosen(model, bench, s);
  std::optional<zo::run_log> log;
  std::uint32_t first = 0;
  if (s.resume) {
    log.emplace(zo::run_log::resume(s.log, s.log_how()));
    if (log->cut_bytes() > 0)
      fmt::print("{}: the run was cut off within a step; its {} are dropped\n", s.log,
                 plural(log->cut_bytes(), "byte"));
    first = train::replay(estimator.distribution, model, *log, optimizer, bench.threads, chosen);
    fmt::print("{}: {} replayed\n", s.log, plural(first, "step"));
  } else if (!s.log.empty()) {
    begin_start(model, s.log, s.snapshot, s.overwrite);  // first: a log that has a start never lacks it
    log.emplace(zo::run_log::create(
        s.log, {s.seed, zo::fingerprint(model), text_of(s), estimator.distribution.name(), s.steps, inputs_of(s)},
        s.log_how()));
  }
  double evaluated = results_table::none;  // after the last step, where that is due
  if_given<train::csv_metrics> metrics;
  if (!s.metrics.empty())
    metrics.callback.emplace(
        s.metrics,
        [&](const zo::measurement& e) { return zo::flipped_codes(estimator.distribution, e, model).rate(); }, 25,
        train::csv_metrics::evaluation{"perplexity", [&] { return std::exchange(evaluated, results_table::none); }});
  const auto evaluate = [&](std::uint32_t step) {
    evaluated = bench.perplexity(model);
    fmt::print("step {}: perplexity {:.4f}\n", step, evaluated);
  };
  stop_signal signals(first);
  const std::uint32_t rejected = train::run(
      model, loss, estimator, optimizer, {first, s.steps}, bench.threads, train::write_log{log ? &*log : nullptr},
      train::evaluate_every(s.evaluate_every, evaluate), train::progress_bar(), metrics, chosen, signals);
  if (rejected > 0)
    fmt::print("{} of {} steps had a loss that was not finite and changed nothing\n", rejected, s.steps);
  if (stop_signal::stop() && signals.made() < s.steps)
    fmt::print("ended by a signal after {} of {}; {}\n", plural(signals.made(), "step"), s.steps,
               log ? "--resume goes on" : "without a --log it cannot go on");
  const std::uint32_t kept = chosen.restore(signals.made());
  if (log) made_by = origin_of(*log, kept);
  return signals.made() < s.steps ? stop_signal::exit_status() : 0;
}

// --- The table ---

/// Prepares a model, and adds the baselines on the way. Returns the perplexity where training begins.
template <class Model, class Family>
double add_baselines(Model& model, workbench<Family>& bench, const settings& s, results_table& results) {
  constexpr std::array<std::string_view, ptq::stage_names.size()> rows{
      "rtn", "smoothquant", "reconstructed", "reconstructed", "clip", "gptq", "os+", "rptq"};
  double perplexity = 0, rounded = 0;
  prepare(model, bench, s, [&](ptq::stage done) {
    perplexity = bench.perplexity(model);
    if (done == ptq::stage::rtn) rounded = perplexity;
    const bool fitted = done == ptq::stage::ranges && s.start == settings::omniquant;
    results.add(fitted ? settings::omniquant : rows[static_cast<std::size_t>(done)],
                {perplexity, model.weight_bytes()});
  });
  fmt::print("{}", note_if_useless_start("perplexity", rounded, perplexity,
                                         fmt::format("Give --calibration more than {} chunks, of text like what the "
                                                     "model is for, or take --start rtn.",
                                                     s.calibration)));
  return perplexity;
}

/// A trained model's last steps: table row, file. It takes `bytes`, and `save` writes it. Returns its perplexity.
template <class Model, class Save>
double finish_with(Model& model, std::size_t bytes, texts_of_run& bench, const settings& s, results_table& results,
                   const io::safetensors_metadata& made_by, Save&& save) {
  const double perplexity = bench.perplexity(model);
  results.add("zeroqat", {perplexity, bytes});
  results.add_origin("zeroqat", made_by);
  require(s.output.empty() || std::isfinite(perplexity),
          "the trained model has a perplexity of {} and is not saved as {}: take smaller steps, or --keep best",
          perplexity, s.output);
  if (!s.output.empty()) save();
  fmt::print("\n{}", results.text(fmt::format("{} ({}, {})", s.scheme, simd::default_kernels::target(),
                                              plural(bench.threads.concurrency(), "thread"))));
  if (!s.report.empty()) results.write_json(s.report);
  return perplexity;
}

/// The same of a model that deployment packs.
template <class Model>
double finish(Model& model, texts_of_run& bench, const settings& s, results_table& results,
              const io::safetensors_metadata& made_by) {
  return finish_with(model, model.weight_bytes(), bench, s, results, made_by, [&] {
    model.deploy();
    io::save_quantized(s.output, model, s.scheme, made_by);
  });
}

/// What the program returns of a run that ended with perplexity `end` after it began with `start`.
[[nodiscard]] inline int verdict(const settings& s, double start, double end) {
  fmt::print("{}", note_if_worse("perplexity", start, end,
                                 "Give it more --steps or another --seed, or keep the start: --steps 0 saves it."));
  // A step that is best on held-out text may by chance be a little worse on another one.
  const double chance = s.keep == "best" ? 0.01 : 0;
  return !s.allow_worse && is_worse(start, end, chance) ? worse_than_before : 0;
}

/// Throws where a model, loaded and not prepared yet, has nothing of what is to train, or the disk no room for what
/// its run writes: a model of `output` bytes at least, a log and a snapshot. Says what is to train and is not there.
template <class Model>
void require_ready(Model& model, const settings& s, std::uintmax_t output) {
  per_group<bool> there;
  std::uintmax_t start = 0;
  model.for_each_parameter([&](const parameter& p) {
    there[p.group] = there[p.group] || p.size() > 0;
    start += p.size() * sizeof(float);
  });
  require_groups(there, s);
  require_space_for(s, output, s.layers == "*" && !s.trains_stored() ? start : 0);  // else less than that
}

template <class Scheme, class Family>
int train_model(const settings& s) {
  ptq::require_stage_fits<Scheme>(s.stage());
  const io::model_source source = open_base_model(s.model, s.unused_tensors == "ignored");
  require_layers("--layers", s.layers, source.shape());
  auto model = io::load<model_of<Family, Scheme>>(source);
  require_ready(model, s, packed_bytes(source.shape(), Scheme::weight_type::bits));
  workbench<Family> bench(s);
  results_table results = new_table();
  results.add("full_precision", {bench.perplexity(bench.teacher), bench.teacher.weight_bytes()});
  const double start = add_baselines(model, bench, s, results);
  pack_what_stays(model, s);
  io::safetensors_metadata made_by;
  const int stopped = train_to_the_end(model, bench, s, made_by);
  const double end = finish(model, bench, s, results, made_by);
  const int found = verdict(s, start, end);
  return stopped != 0 ? stopped : found;
}

/// The log of a run that is to be made again.
[[nodiscard]] inline zo::run_log log_to_replay(const settings& s) {
  zo::run_log log = s.allow_partial ? zo::run_log::read_intact(s.log) : zo::run_log::read(s.log);
  if (!s.allow_partial) log.require_finished();
  require_same_inputs(log, inputs_of(s));
  return log;
}

/// Makes the steps of a log in a model that is where its run began. Returns how many of them the run kept.
template <class Model>
std::uint32_t replay_steps(Model& model, texts_of_run& bench, const settings& s, const zo::run_log& log) {
  restore_kept_start(model, log);
  either_optimizer stateless;
  chosen_step<Model> chosen(model, bench, s);
  const std::uint32_t steps = train::replay(s.distribution(), model, log, stateless, bench.threads, chosen);
  fmt::print("{}: {} replayed\n", s.log, plural(steps, "step"));
  if (!log.damage().empty()) fmt::print("{}: {}\n", s.log, log.damage());
  if (steps < log.header().steps)
    fmt::print("{}: {} are missing\n", s.log, plural(log.header().steps - steps, "step"));
  return chosen.restore(steps);
}

template <class Scheme, class Family>
void replay_model(const settings& s) {
  const zo::run_log log = log_to_replay(s);
  workbench<Family> bench(s);
  results_table results = new_table();
  require_space_for(s, packed_bytes(bench.source.shape(), Scheme::weight_type::bits));
  auto model = io::load<model_of<Family, Scheme>>(bench.source);
  prepare(model, bench, s);
  pack_what_stays(model, s);
  const std::uint32_t kept = replay_steps(model, bench, s, log);
  finish(model, bench, s, results, origin_of(log, kept));
}

}  // namespace zoqat::programs
