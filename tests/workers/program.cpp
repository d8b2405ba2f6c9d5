// SPDX-License-Identifier: Apache-2.0
//
// workers STEPS NAME [mpi | listen ENDPOINT WORKERS MISSING PATIENCE | join ENDPOINT]: trains a small network, alone
// or on many workers. Leaves NAME.zlog and, of the coordinator, NAME.weights. A log that is there is gone on with.
// MISSING is take_over, leave_out or stop; PATIENCE, in milliseconds, is of the coordinator for a share.
#include <zoqat/core/error.hpp>
#include <zoqat/ext/sockets.hpp>
#include <zoqat/train/callbacks.hpp>
#include <zoqat/train/trainer.hpp>
#include <zoqat/zo/log/run_log.hpp>
#include <zoqat/zo/workers/coordinator.hpp>
#include <zoqat/zo/workers/worker.hpp>

#if ZOQAT_TEST_MPI
#include <zoqat/ext/mpi.hpp>
#endif

#include <fmt/format.h>
#include <unistd.h>
#include <workers/regression.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace zoqat;
namespace workers = zo::workers;

/// Everything that all workers have alike.
struct run {
  run(std::uint32_t how_many, std::string called) : steps(how_many), name(std::move(called)) {
    const auto scales = zo::balance(problem.parameters, objective, zo::rademacher());
    estimator = {.epsilon = scales.epsilon, .directions = 1, .micro_batches = 4};
    optimizer = {.scales = scales, .schedule = {steps}};
    terms = workers::terms_of(estimator, fmt::format("{} steps", steps));
  }

  std::uint32_t steps;
  std::string name;
  testing::regression problem;
  sequential threads;
  struct objective_type {
    testing::regression& problem;
    void select(std::uint32_t step) { problem.step = step; }
    void operator()(const zo::lane_points<zo::rademacher>& at, std::size_t m, std::span<double> losses) {
      zo::in_place(problem.parameters, [&] { return problem.loss(static_cast<std::uint32_t>(m)); })(at, m, losses);
    }
  } objective{problem};
  zo::estimator<zo::central, zo::rademacher> estimator;
  zo::parabolic<> optimizer;
  std::uint64_t terms = 0;
};

template <class Hub>
void coordinate(run& r, Hub&& hub, workers::coordinator_options how) {
  const std::string path = r.name + ".zlog";
  auto log = zo::run_log::is_begun(path) ? zo::run_log::resume(path)
                                         : zo::run_log::create(path, {.start = zo::fingerprint(r.problem.parameters),
                                                                      .distribution = zo::rademacher::name(),
                                                                      .steps = r.steps});
  const std::uint32_t first =
      train::replay(r.estimator.distribution, r.problem.parameters, log, r.optimizer, r.threads);
  how.say = [](std::string_view what) { fmt::print("{}\n", what), std::fflush(stdout); };
  how.fingerprint_every = 16;
  workers::coordinator shared(hub, r.objective, r.problem.parameters, log, r.terms, how);
  train::run(r.problem.parameters, shared, r.estimator, r.optimizer, {first, r.steps}, r.threads,
             train::write_log{&log});
  std::ofstream out(r.name + ".weights", std::ios::binary);
  for (const auto* values : {&r.problem.first, &r.problem.second})
    out.write(reinterpret_cast<const char*>(values->data()),
              static_cast<std::streamsize>(values->size() * sizeof(float)));
  require<io_error>(static_cast<bool>(out.flush()), "{}.weights: cannot write", r.name);
  fmt::print("{} steps, {} bytes received, {} bytes sent\n", r.steps - first, shared.bytes().received,
             shared.bytes().sent);
}

template <class Link>
void work(run& r, Link&& link) {
  workers::worker shared(link, r.objective, r.problem.parameters, r.terms,
                         {.name = fmt::format("worker {}", ::getpid()), .patience = std::chrono::seconds(20)});
  const std::uint32_t first = shared.join(r.estimator, r.optimizer, r.threads);
  train::run(r.problem.parameters, shared, r.estimator, r.optimizer, {first, r.steps}, r.threads);
  fmt::print("worked from step {} on, to {:016x}\n", first, zo::fingerprint(r.problem.parameters));
}

workers::missing_share missing_of(std::string_view name) {
  using enum workers::missing_share;
  if (name == "stop") return stop;
  if (name == "leave_out") return leave_out;
  require(name == "take_over", "{}: take_over, leave_out or stop is wanted", name);
  return take_over;
}

int by_sockets(std::span<char*> arguments) {
  require(arguments.size() >= 3,
          "workers STEPS NAME [mpi | listen ENDPOINT WORKERS MISSING PATIENCE | join ENDPOINT]");
  run r(static_cast<std::uint32_t>(std::atoi(arguments[1])), arguments[2]);
  const std::string role = arguments.size() > 4 ? arguments[3] : "";
  if (role == "join") {
    work(r, ext::socket_link(arguments[4], std::chrono::seconds(5)));
  } else if (role == "listen" && arguments.size() > 7) {
    coordinate(r, ext::socket_hub(arguments[4]),
               {.missing = missing_of(arguments[6]),
                .wait_for = static_cast<std::uint32_t>(std::atoi(arguments[5])),
                .start_patience = std::chrono::seconds(10),
                .patience = std::chrono::milliseconds(std::atoi(arguments[7]))});
  } else {
    const std::string none = fmt::format("unix:{}.sock", r.name);
    coordinate(r, ext::socket_hub(none), {});
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
#if ZOQAT_TEST_MPI
  if (argc == 4 && std::string_view(argv[3]) == "mpi")
    return ext::mpi_main(
        "workers", argc, argv,
        [&](ext::mpi_session& session) {
          run r(static_cast<std::uint32_t>(std::atoi(argv[1])), argv[2]);
          if (session.coordinates())
            coordinate(
                r, ext::mpi_hub(),
                {.wait_for = static_cast<std::uint32_t>(session.size()) - 1, .patience = std::chrono::seconds(2)});
          else
            work(r, ext::mpi_link());
          return 0;
        },
        std::chrono::seconds(3));
#endif
  try {
    return by_sockets(std::span(argv, static_cast<std::size_t>(argc)));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "workers: %s\n", e.what());
    return 1;
  }
}
