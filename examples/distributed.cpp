// SPDX-License-Identifier: Apache-2.0
//
// train.cpp on many workers, which send each other losses alone. The log and the model have the same bits for any
// number of them:
//
//   mpirun -n 4 distributed [steps [name [model]]]
//
// Over sockets, for workers that come and go:
//
//   distributed steps name model listen ENDPOINT WORKERS [take_over | leave_out | stop]    the coordinator
//   distributed steps name model join ENDPOINT                                             each of the others
//
// Leaves name.safetensors, name.zlog and name.zlog.start. Where the log is there already, its run goes on.

#include <zoqat/eval/perplexity.hpp>          // batches_of
#include <zoqat/eval/sample.hpp>              // sample_corpus: text that the model writes itself
#include <zoqat/ext/mpi.hpp>                  // mpi_main, mpi_hub, mpi_link
#include <zoqat/ext/sockets.hpp>              // socket_hub, socket_link
#include <zoqat/io/io.hpp>                    // open_model, load, save_quantized
#include <zoqat/nn/llama.hpp>                 // llama<scheme>
#include <zoqat/ptq/prepare.hpp>              // prepare: the start of quantization-aware training
#include <zoqat/quant/scheme_registry.hpp>    // standard_schemes
#include <zoqat/train/train.hpp>              // distillation, run, write_log, save_start, restore_start
#include <zoqat/zo/optimizers/parabolic.hpp>  // parabolic: steps from measured curvature
#include <zoqat/zo/scales/balance.hpp>        // balance: measures how far to perturb
#include <zoqat/zo/workers/coordinator.hpp>   // coordinator: gathers losses, keeps the log
#include <zoqat/zo/workers/worker.hpp>        // worker: evaluates a share, makes the same updates

#include <common/number_argument.hpp>  // number_argument

#include <unistd.h>

#include <cstdint>

using namespace zoqat;
namespace workers = zo::workers;
using w4a4 = quant::standard_schemes::scheme_of<"w4a4">;
using signs = zo::rademacher;  // what directions are drawn from

workers::missing_share missing_named(const std::string& name) {
  using enum workers::missing_share;
  require(name == "take_over" || name == "leave_out" || name == "stop",
          "'{}': take_over, leave_out or stop is wanted", name);
  return name == "stop" ? stop : name == "leave_out" ? leave_out : take_over;
}

int main(int argc, char** argv) {
  return ext::mpi_main("distributed", argc, argv, [&](ext::mpi_session& mpi) {
    const auto argument = [&](int i, const char* otherwise) { return std::string(argc > i ? argv[i] : otherwise); };
    programs::require_at_most(argc, argv, 8);
    const auto steps = programs::number_argument<std::uint32_t>(argc, argv, 1, "steps", 200);
    const std::string name = argument(2, "distributed"), log_path = name + ".zlog", start_path = log_path + ".start";
    const std::string role = argument(4, mpi.coordinates() ? "" : "join"), endpoint = argument(5, "");
    require(role.empty() || role == "listen" || role == "join", "'{}': listen or join is wanted", role);
    const auto others = programs::number_argument<std::uint32_t>(argc, argv, 6, "workers", 1);
    const workers::missing_share missing = missing_named(argument(7, "take_over"));
    thread_pool threads(std::max(1u, std::thread::hardware_concurrency() / static_cast<unsigned>(mpi.size())));

    // Load and prepare, as in train.cpp: everybody does it, and where that is not bit for bit the same, as on
    // machines of other instruction sets, the start that the coordinator kept is taken in its place.
    const auto source = io::open_model(argument(3, ZOQAT_MODELS "/tiny-llama"));
    auto teacher = io::load<nn::llama<quant::full_precision>>(source);
    auto model = io::load<nn::llama<w4a4>>(source);
    constexpr nn::token begin = 1;
    const auto corpus = eval::sample_corpus(teacher, 64, 64, {.temperature = 1}, begin, 0, threads);
    ptq::prepare(model, teacher, eval::batches_of(corpus), threads);
    if (std::filesystem::exists(start_path)) train::restore_start(start_path, model);

    auto loss = train::distillation(model, teacher, corpus, threads, {.batch = 8, .micro_batches = 4});
    auto groups = per_group<bool>::all(true);
    groups.weight = groups.clipping = false;
    const auto scales = zo::balance(model, loss, signs{}, {.groups = groups});
    const zo::estimator<zo::central, signs> estimator{.epsilon = scales.epsilon, .micro_batches = 4};
    zo::parabolic optimizer{.scales = scales, .schedule = zo::linear_decay{steps}};
    const std::uint64_t terms = workers::terms_of(estimator, fmt::format("{} steps", steps));

    // A worker joins, catches up and takes its share.
    const auto work = [&](auto&& link) {
      workers::worker shared(link, loss, model, terms, {.name = fmt::format("worker {}", ::getpid())});
      const std::uint32_t first = shared.join(estimator, optimizer, threads);
      train::run(model, shared, estimator, optimizer, {first, steps}, threads);
    };
    // The coordinator does the same, and keeps the log.
    const auto coordinate = [&](auto&& hub, std::uint32_t wait_for, workers::missing_share missing_shares) {
      const bool goes_on = zo::run_log::is_begun(log_path);
      if (!goes_on) train::save_start(start_path, model);
      auto log =
          goes_on ? zo::run_log::resume(log_path)
                  : zo::run_log::create(
                        log_path, {.start = zo::fingerprint(model), .distribution = signs::name(), .steps = steps});
      require(log.header().steps == steps,
              "{}: is of a run of {} steps, but {} are wanted; ask for as many, or take "
              "another name",
              log_path, log.header().steps, steps);
      train::replay(signs{}, model, log, optimizer, threads);
      const auto say = [](std::string_view what) { fmt::print(stderr, "{}\n", what); };
      workers::coordinator shared(hub, loss, model, log, terms,
                                  {.missing = missing_shares, .wait_for = wait_for, .say = say});
      train::run(model, shared, estimator, optimizer, {log.steps(), steps}, threads, train::write_log{&log});
      fmt::print("{}: {} steps, {} bytes received and {} sent\n", log_path, log.steps(), shared.bytes().received,
                 shared.bytes().sent);
      model.deploy();
      io::save_quantized(name + ".safetensors", model, "w4a4");
    };

    if (role == "listen")
      coordinate(ext::socket_hub(endpoint), others, missing);
    else if (role == "join" && !endpoint.empty())
      work(ext::socket_link(endpoint));
    else if (role == "join")
      work(ext::mpi_link());
    else
      coordinate(ext::mpi_hub(), static_cast<std::uint32_t>(mpi.size() - 1), workers::missing_share::take_over);
    return 0;
  });
}
