// SPDX-License-Identifier: Apache-2.0
//
// usage: replay MODEL LOG OUTPUT: the model that a run of zeroqat (--scheme w4a4 --snapshot) ended in, from its base
// model, its log and the start beside the log, without a forward pass: every step is replayed, none is left out as
// --keep best might. Prints the kernels and a hash of the trained parameters. It is built for one instruction set
// after the other: both this hash and the file are the same on all.

#include <zoqat/core/executor.hpp>
#include <zoqat/io/load.hpp>
#include <zoqat/io/model_source.hpp>
#include <zoqat/io/quantized_model.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/ptq/prepare.hpp>
#include <zoqat/quant/scheme_registry.hpp>
#include <zoqat/train/start_snapshot.hpp>
#include <zoqat/train/trainer.hpp>
#include <zoqat/zo/direction.hpp>
#include <zoqat/zo/log/run_log.hpp>
#include <zoqat/zo/optimizers/sgd.hpp>

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>

using namespace zoqat;

int main(int argc, char** argv) {
  if (argc != 4) {
    fmt::print(stderr, "usage: replay MODEL LOG OUTPUT\n");
    return 1;
  }
  try {
    const std::string log_path = argv[2];
    const zo::run_log log = zo::run_log::read(log_path);
    auto model = io::load<nn::llama<quant::standard_schemes::scheme_of<"w4a4">>>(io::open_model(argv[1]));
    ptq::prepare(model);  // the memory of a start; what is in it comes from the file
    train::restore_start(log_path + ".start", model);
    zo::sgd<> stateless;
    sequential threads;
    const zo::runtime_distribution distribution{log.header().distribution == "gaussian"};
    const std::uint32_t steps = train::replay(distribution, model, log, stateless, threads);
    fmt::print("{} {}: {} steps, parameters {:016x}\n", simd::default_kernels::name(),
               simd::default_kernels::target(), steps, zo::fingerprint(model));
    model.deploy();
    io::save_quantized(argv[3], model, "w4a4");
  } catch (const std::exception& e) {
    fmt::print(stderr, "replay: {}\n", e.what());
    return 1;
  }
}
