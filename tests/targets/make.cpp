// SPDX-License-Identifier: Apache-2.0
//
// usage: make MODEL LOG STEPS: a run from the default start, with its log, and the start beside it as zeroqat's
// --snapshot keeps it. Prints the kernels and a hash of the trained parameters.

#include <zoqat/eval/corpus.hpp>
#include <zoqat/eval/perplexity.hpp>
#include <zoqat/eval/sample.hpp>
#include <zoqat/io/load.hpp>
#include <zoqat/io/model_source.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/ptq/prepare.hpp>
#include <zoqat/quant/scheme_registry.hpp>
#include <zoqat/train/callbacks.hpp>
#include <zoqat/train/objective.hpp>
#include <zoqat/train/start_snapshot.hpp>
#include <zoqat/train/trainer.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/optimizers/parabolic.hpp>
#include <zoqat/zo/scales/balance.hpp>

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

using namespace zoqat;

int main(int argc, char** argv) {
  if (argc != 4) {
    fmt::print(stderr, "usage: make MODEL LOG STEPS\n");
    return 1;
  }
  try {
    const std::string log_path = argv[2];
    const auto steps = static_cast<std::uint32_t>(std::strtoul(argv[3], nullptr, 10));
    sequential threads;
    const auto source = io::open_model(argv[1]);
    auto teacher = io::load<nn::llama<quant::full_precision>>(source);
    auto model = io::load<nn::llama<quant::standard_schemes::scheme_of<"w4a4">>>(source);
    const eval::chunks corpus = eval::sample_corpus(teacher, 32, 64, {.temperature = 1}, 1, 0, threads);
    ptq::prepare(model, teacher, eval::batches_of(corpus), threads);

    auto loss = train::distillation(model, teacher, corpus, threads);
    auto groups = per_group<bool>::all(true);
    groups.weight = groups.clipping = false;
    const auto scales = zo::balance(model, loss, zo::rademacher{}, {.groups = groups});
    const zo::estimator<zo::central, zo::rademacher> estimator{.epsilon = scales.epsilon, .micro_batches = 2};
    zo::parabolic optimizer{.scales = scales, .schedule = zo::linear_decay{steps}};
    train::save_start(log_path + ".start", model);
    zo::run_log log = zo::run_log::create(
        log_path, {estimator.seed, zo::fingerprint(model), "", estimator.distribution.name(), steps},
        {.replace = true});
    train::run(model, loss, estimator, optimizer, {0, steps}, threads, train::write_log{&log});
    fmt::print("{} {}: {} steps, parameters {:016x}\n", simd::default_kernels::name(),
               simd::default_kernels::target(), steps, zo::fingerprint(model));
  } catch (const std::exception& e) {
    fmt::print(stderr, "make: {}\n", e.what());
    return 1;
  }
}
