// SPDX-License-Identifier: Apache-2.0
//
// What has no derivative can be trained on: a quantized model learns to answer questions, by the token F1 of its own
// answers or, to compare, by cross-entropy. Another reward is a function of an answer and its item. A file has lines
// of {"instruction", "output"}, as models/name_task.py writes them; the best step is chosen by validation.
//
//   optimize_reward train.jsonl test.jsonl [f1|exact|loss [steps [seed]]]

#include <zoqat/eval/answers.hpp>             // answer_accuracy
#include <zoqat/io/io.hpp>                    // open_model, load
#include <zoqat/nn/llama.hpp>                 // llama<scheme>
#include <zoqat/ptq/weight_units.hpp>         // set_weight_units
#include <zoqat/tasks/alpaca.hpp>             // read_alpaca
#include <zoqat/tasks/split.hpp>              // split: training and validation items
#include <zoqat/text/open_tokenizer.hpp>      // open_tokenizer
#include <zoqat/train/train.hpp>              // reward_loss, task_loss, run, keep_best, replay_first
#include <zoqat/zo/optimizers/parabolic.hpp>  // parabolic: steps from measured curvature
#include <zoqat/zo/optimizers/sgd.hpp>        // sgd: has no state to bring back from a log
#include <zoqat/zo/scales/balance.hpp>        // balance: measures how far to perturb

#include <common/number_argument.hpp>  // number_argument

#include <cstdint>
#include <cstdio>
#include <string_view>

using namespace zoqat;
using model_type = nn::llama<quant::scheme<quant::weight<4>, quant::activation<4>>>;
using estimator_type = zo::estimator<zo::central, zo::rademacher>;  // pairs along signs

int main(int argc, char** argv) try {
  require(argc > 2, "usage: optimize_reward train.jsonl test.jsonl [f1|exact|loss [steps [seed]]]");
  const std::string_view objective = argc > 3 ? argv[3] : "f1";
  require(objective == "f1" || objective == "exact" || objective == "loss",
          "{}: the objectives are f1, exact and loss", objective);
  programs::require_at_most(argc, argv, 6);
  const auto steps = programs::number_argument<std::uint32_t>(argc, argv, 4, "steps", 200);
  const auto seed = programs::number_argument<std::uint64_t>(argc, argv, 5, "seed", 0);
  constexpr std::size_t batch = 32;
  thread_pool threads;

  // The task. An answer is a few words, up to the end of the sentence.
  const auto source = io::open_model(ZOQAT_MODELS "/tiny-llama");
  const auto tokenizer = text::open_tokenizer(ZOQAT_MODELS "/tiny-llama");
  const tasks::alpaca_format format{.prompt = "{instruction}", .completion = " {output}."};
  const auto parts = tasks::split(tasks::read_alpaca(argv[1], format), tasks::read_alpaca(argv[2], format),
                                  {.train = 300, .validation = 100, .test = 200, .seed = seed});
  const eval::encoding how{.positions = source.shape().positions};
  const eval::answer_end end{.max_tokens = 10, .texts = {".", ",", "\n"}};

  // The model, made twice: to be trained, and as it was at the best step. Q and V train, all else is packed.
  const auto load = [&] {
    auto model = io::load<model_type>(source, nn::storage_plan{.trained = {"*.q_proj", "*.v_proj"}});
    ptq::set_weight_units(model);
    return model;
  };
  auto model = load();
  const auto score = [&](model_type& of, const auto& items) {
    return eval::answer_accuracy(of, tokenizer, items, how, end, threads);
  };
  const eval::answer_score before = score(model, parts.test);
  std::printf("before: test F1 %.3f, exact %.3f\n", before.f1, before.exact);

  // Train. How far to perturb and to step is measured, on whatever is optimized.
  const auto train = [&](auto& loss) {
    const auto scales = zo::balance(
        model, loss, zo::rademacher{},
        {.relative_loss_increase = objective == "loss" ? 0.2 : 0.02,  // a reward near 0 has little to lose
         .most_rounds = 4,
         .first_epsilon = 0.05f,
         .largest_epsilon = 0.5f,  // in steps of the codes: less than one moves few of them
         .seed = ~seed});
    std::printf("epsilon %.3f, loss %.3f + %.3f\n", static_cast<double>(scales.epsilon.weight), scales.loss,
                scales.loss_increase);
    const estimator_type estimator{.epsilon = scales.epsilon, .micro_batches = 2, .seed = seed};
    zo::parabolic optimizer{.scales = scales, .schedule = zo::linear_decay{steps}};
    const zo::run_header start{.seed = seed, .start = zo::fingerprint(model), .distribution = "rademacher"};
    auto log = zo::run_log::create("optimize_reward.zlog", start, {.replace = true});
    train::keep_best best(20, [&] { return score(model, parts.validation).f1; });
    best.observe(0);
    train::write_log write{&log};
    train::progress_bar bar;
    train::run(model, loss, estimator, optimizer, {.steps = steps}, threads, write, best, bar);

    // The best step again, from the base model and the log.
    auto tuned = load();
    zo::sgd<> stateless;
    const std::uint32_t chosen = best.require_best().steps;
    train::replay_first(zo::rademacher{}, tuned, log, chosen, stateless, threads);
    const eval::answer_score after = score(tuned, parts.test);
    std::printf("step %u: test F1 %.3f, exact %.3f\n", chosen, after.f1, after.exact);
  };
  const auto train_on = [&](auto reward) {
    train::reward_loss loss(model, tokenizer, parts.train, reward, threads,
                            {.how = how, .end = end, .batch = batch, .micro_batches = 2, .seed = seed});
    train(loss);
  };
  if (objective == "loss") {
    const auto items = eval::encode(tokenizer, parts.train, how);
    train::task_loss loss(
        model, items, threads,
        {.batch = batch, .micro_batches = 2, .compared_with = train::task_target::tokens, .seed = seed});
    train(loss);
  } else if (objective == "exact") {
    train_on(train::exact_match_reward{});
  } else {
    train_on(train::f1_reward{});
  }
} catch (const std::exception& e) {
  return std::fprintf(stderr, "optimize_reward: %s\n", e.what()), 1;
}
