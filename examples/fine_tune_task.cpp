// SPDX-License-Identifier: Apache-2.0
//
// A whole fine-tuner to start from: a quantized model learns a task of choices, its Q and V weights
// training in bf16 and all others frozen and packed. A file has lines of {"prompt", "choices",
// "correct"}; the best step is chosen by validation, and made again from the run log.
//
//   fine_tune_task train.jsonl test.jsonl [steps [model]]

#include <zoqat/eval/choices.hpp>             // encode, accuracy
#include <zoqat/io/io.hpp>                    // open_model, load
#include <zoqat/nn/llama.hpp>                 // llama<scheme>
#include <zoqat/ptq/weight_units.hpp>         // set_weight_units
#include <zoqat/tasks/choices.hpp>            // read_choices
#include <zoqat/tasks/split.hpp>              // split: training and validation items
#include <zoqat/text/open_tokenizer.hpp>      // open_tokenizer
#include <zoqat/train/train.hpp>              // task_loss, run, keep_best, replay_first
#include <zoqat/zo/optimizers/parabolic.hpp>  // parabolic: steps from measured curvature
#include <zoqat/zo/optimizers/sgd.hpp>        // sgd: has no state to bring back from a log
#include <zoqat/zo/scales/balance.hpp>        // balance: measures how far to perturb

#include <common/number_argument.hpp>  // number_argument

#include <cstdint>
#include <cstdio>

using namespace zoqat;
using model_type = nn::llama<quant::scheme<quant::weight<4>, quant::activation<4>>>;
using estimator_type = zo::estimator<zo::central, zo::rademacher>;  // pairs along signs

int main(int argc, char** argv) try {
  require(argc > 2, "usage: fine_tune_task train.jsonl test.jsonl [steps [model]]");
  programs::require_at_most(argc, argv, 5);
  const auto steps = programs::number_argument<std::uint32_t>(argc, argv, 3, "steps", 300);
  const std::filesystem::path path = argc > 4 ? argv[4] : ZOQAT_MODELS "/tiny-llama";
  thread_pool threads;
  nn::workspace work;

  // The task, in tokens.
  const auto source = io::open_model(path);
  const auto tokenizer = text::open_tokenizer(path);
  const auto parts = tasks::split(tasks::read_choices(argv[1]), tasks::read_choices(argv[2]));
  const eval::encoding how{.positions = source.shape().positions};
  const auto train_items = eval::encode(tokenizer, parts.train, how);
  const auto validation = eval::encode(tokenizer, parts.validation, how);
  const auto test = eval::encode(tokenizer, parts.test, how);

  // The model, made twice: to be trained, and as it was at the best step.
  const auto load = [&] {
    nn::storage_plan plan{.trained = {"*.q_proj", "*.v_proj"}, .masters = master_format::bf16};
    auto model = io::load<model_type>(source, plan);
    ptq::set_weight_units(model);
    return model;
  };
  auto model = load();
  const auto percent = [&](model_type& of, const auto& items) {
    return 100 * eval::accuracy(of, items, threads, work);
  };
  std::printf("before: test %.1f %%\n", percent(model, test));

  // Train. How far to perturb and to step is measured.
  train::task_loss loss(model, train_items, threads, {.batch = 8, .micro_batches = 2});
  const auto scales = zo::balance(model, loss, zo::rademacher{}, {.relative_loss_increase = 0.4});
  const estimator_type estimator{.epsilon = scales.epsilon, .micro_batches = 2};
  zo::parabolic optimizer{.scales = scales, .schedule = zo::linear_decay{steps}};
  const zo::run_header start{.start = zo::fingerprint(model), .distribution = "rademacher"};
  auto log = zo::run_log::create("fine_tune_task.zlog", start, {.replace = true});
  train::keep_best best(50, [&] { return percent(model, validation); });
  train::write_log write{&log};
  train::progress_bar bar;
  train::run(model, loss, estimator, optimizer, {.steps = steps}, threads, write, best, bar);

  // The best step again, from the base model and the log.
  auto tuned = load();
  zo::sgd<> stateless;
  const std::uint32_t chosen = best.require_best().steps;
  train::replay_first(zo::rademacher{}, tuned, log, chosen, stateless, threads);
  std::printf("step %u: test %.1f %%\n", chosen, percent(tuned, test));
} catch (const std::exception& e) {
  return std::fprintf(stderr, "fine_tune_task: %s\n", e.what()), 1;
}
