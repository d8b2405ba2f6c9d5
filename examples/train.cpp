// SPDX-License-Identifier: Apache-2.0
//
// A whole trainer to start from: a model becomes one of 4-bit weights and activations.
//
//   train [steps [model [output]]]

#include <zoqat/eval/perplexity.hpp>          // perplexity, batches_of
#include <zoqat/eval/sample.hpp>              // sample_corpus: text that the model writes itself
#include <zoqat/io/io.hpp>                    // open_model, load, save_quantized
#include <zoqat/nn/llama.hpp>                 // llama<scheme>
#include <zoqat/ptq/prepare.hpp>              // prepare: the start of quantization-aware training
#include <zoqat/quant/scheme_registry.hpp>    // standard_schemes
#include <zoqat/train/train.hpp>              // distillation, run, progress_bar
#include <zoqat/zo/optimizers/parabolic.hpp>  // parabolic: steps from measured curvature
#include <zoqat/zo/scales/balance.hpp>        // balance: measures how far to perturb

#include <common/number_argument.hpp>  // number_argument

#include <cstdint>
#include <cstdio>

using namespace zoqat;
using w4a4 = quant::standard_schemes::scheme_of<"w4a4">;
using signs = zo::rademacher;  // what directions are drawn from

int main(int argc, char** argv) try {
  programs::require_at_most(argc, argv, 4);
  const auto steps = programs::number_argument<std::uint32_t>(argc, argv, 1, "steps", 200);
  thread_pool threads;
  nn::workspace work;

  // Load. The teacher is the model in full precision; the text to learn from is what it writes.
  const auto source = io::open_model(argc > 2 ? argv[2] : ZOQAT_MODELS "/tiny-llama");
  auto teacher = io::load<nn::llama<quant::full_precision>>(source);
  auto model = io::load<nn::llama<w4a4>>(source);
  const auto write = [&](std::size_t chunks, std::uint64_t seed) {
    constexpr nn::token begin = 1;
    return eval::sample_corpus(teacher, chunks, 64, {.temperature = 1}, begin, seed, threads);
  };
  const eval::chunks corpus = write(128, 0), held_out = write(32, 1), validation = write(32, 2);

  // Prepare. Each linear layer gets smoothing, grids and codes that keep its outputs.
  ptq::prepare(model, teacher, eval::batches_of(corpus), threads);
  std::printf("prepared: perplexity %.4f\n", eval::perplexity(model, held_out, threads, work));

  // Train smoothing, step sizes and norms; codes stay where they are. Nothing is differentiated.
  auto loss = train::distillation(model, teacher, corpus, threads);
  auto groups = per_group<bool>::all(true);
  groups.weight = groups.clipping = false;
  const auto scales = zo::balance(model, loss, signs{}, {.groups = groups});
  const zo::estimator<zo::central, signs> estimator{.epsilon = scales.epsilon, .micro_batches = 2};
  zo::parabolic optimizer{.scales = scales, .schedule = zo::linear_decay{steps}};
  const auto score = [&] { return -eval::perplexity(model, validation, threads, work); };
  train::best_point best(model, groups, 50, score);  // the step that is best on text of its own
  train::run(model, loss, estimator, optimizer, {0, steps}, threads, best, train::progress_bar());
  std::printf("step %u of %u is kept; 0 is the start\n", best.restore(), steps);

  std::printf("trained: perplexity %.4f\n", eval::perplexity(model, held_out, threads, work));
  model.deploy();
  if (argc > 3) io::save_quantized(argv[3], model, "w4a4");
} catch (const std::exception& e) {
  return std::fprintf(stderr, "train: %s\n", e.what()), 1;
}
