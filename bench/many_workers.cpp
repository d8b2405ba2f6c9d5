// SPDX-License-Identifier: Apache-2.0
//
// Many workers: what a step takes on this machine with 1, 2 and 4 of them, and by simulation with up to 10,000.
//
//   many_workers measure     runs workers as processes of one thread, numbers of them in turns, calibrates the
//                            simulation by the runs of one worker and by messages, and compares it with the others
//   many_workers update      what an update costs, by the number of its directions
//   many_workers simulate    a table over numbers of workers

#include "timing.hpp"         // seconds_of, wall_seconds, median
#include "workers_model.hpp"  // the simulation

#include <zoqat/core/executor.hpp>            // sequential
#include <zoqat/ext/sockets.hpp>              // socket_hub, socket_link
#include <zoqat/random/stream.hpp>            // random numbers
#include <zoqat/simd/default_kernels.hpp>     // what it is measured with
#include <zoqat/zo/embed/in_place.hpp>        // in_place
#include <zoqat/zo/embed/parameter_list.hpp>  // parameter_list
#include <zoqat/zo/optimizers/sgd.hpp>        // sgd
#include <zoqat/zo/workers/coordinator.hpp>   // coordinator
#include <zoqat/zo/workers/worker.hpp>        // worker

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace zoqat;
using namespace zoqat::bench;
namespace workers = zo::workers;

constexpr std::size_t width = 192, layers = 4, batch = 64;
constexpr std::uint32_t micro_batches = 4;

/// An engine with a forward pass of its own, in plain loops, that reads its buffers: in_place's kind of host.
struct engine {
  std::vector<std::vector<float>> matrices = std::vector<std::vector<float>>(layers);
  std::vector<float> x = std::vector<float>(batch * width), y = x;
  zo::parameter_list parameters;
  std::uint32_t step = 0;
  double evaluating = 0;  ///< processor time

  engine() {
    rng::engine random({.seed = 1, .use = rng::purpose::data});
    for (std::size_t l = 0; l != layers; ++l) {
      for (std::size_t i = 0; i != width * width; ++i)
        matrices[l].push_back((static_cast<float>(random.below(2001)) / 1000 - 1) / std::sqrt(float{width}));
      parameters.add(fmt::format("layer {}", l), matrices[l]);
    }
  }
  void select(std::uint32_t next) { step = next; }
  void operator()(const zo::lane_points<zo::rademacher>& at, std::size_t m, std::span<double> losses) {
    const double start = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    zo::in_place(parameters, [&] { return loss(static_cast<std::uint32_t>(m)); })(at, m, losses);
    evaluating += seconds_of(CLOCK_PROCESS_CPUTIME_ID) - start;
  }

 private:
  double loss(std::uint32_t m) {
    rng::engine random({.seed = 2, .step = step, .tensor = m, .use = rng::purpose::data});
    for (float& value : x) value = static_cast<float>(random.below(2001)) / 1000 - 1;
    for (const std::vector<float>& w : matrices) {
      std::ranges::fill(y, 0.0f);
      for (std::size_t b = 0; b != batch; ++b)
        for (std::size_t i = 0; i != width; ++i)
          for (std::size_t o = 0; o != width; ++o) y[b * width + o] += x[b * width + i] * w[i * width + o];
      for (float& value : y) value = value > 0 ? value : 0.1f * value;
      x.swap(y);
    }
    double sum = 0;
    for (const float value : x) sum += double{value} * double{value};
    return sum / static_cast<double>(x.size());
  }
};

/// What the processes of a run leave for the one that measures.
struct shared_times {
  std::array<double, 64> processor{};
  double wall = 0, evaluating = 0;
};

struct settings {
  std::uint32_t steps = 60, rounds = 5;
  std::string folder = ".";
};

void pin(std::size_t worker) {
  cpu_set_t all, one;
  sched_getaffinity(0, sizeof(all), &all);
  const auto cores = static_cast<std::size_t>(CPU_COUNT(&all));
  std::size_t nth = worker % cores;
  for (int cpu = 0; cpu != CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &all) && nth-- == 0) {
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      sched_setaffinity(0, sizeof(one), &one);
      return;
    }
}

std::filesystem::path log_in(const std::string& folder) { return folder + "/workers.zlog"; }

/// Steps of one worker among `all`, in a process of its own.
void run_worker(std::size_t index, std::size_t all, const settings& how, shared_times& times) {
  pin(index);
  engine host;
  sequential threads;
  const zo::estimator<zo::central, zo::rademacher> estimator{.epsilon = per_group<float>::all(1e-3f),
                                                             .micro_batches = micro_batches};
  const zo::sgd<> optimizer{.learning_rate = per_group<float>::all(1e-4f)};
  const std::string endpoint = fmt::format("unix:{}/workers.sock", how.folder);
  const auto make_step = [&](auto& shared, std::uint32_t step) {
    host.select(step);
    const auto next = zo::plan(optimizer, estimator(step, shared));
    zo::apply(next, host.parameters, threads);
    return next;
  };
  if (index != 0) {
    ext::socket_link link(endpoint);
    workers::worker shared(link, host, host.parameters, 0);
    shared.join(estimator, optimizer, threads);
    static_cast<void>(make_step(shared, 0));
    const double from = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    for (std::uint32_t step = 1; step <= how.steps; ++step) static_cast<void>(make_step(shared, step));
    times.processor[index] = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - from;
    return;
  }
  ext::socket_hub hub(endpoint);
  auto log = zo::run_log::create(log_in(how.folder),
                                 {.start = zo::fingerprint(host.parameters), .distribution = zo::rademacher::name()},
                                 {.replace = true});
  workers::coordinator shared(hub, host, host.parameters, log, 0,
                              {.wait_for = static_cast<std::uint32_t>(all - 1), .fingerprint_every = 0});
  log.append(make_step(shared, 0));
  const double from = seconds_of(CLOCK_PROCESS_CPUTIME_ID), wall = wall_seconds();
  host.evaluating = 0;
  for (std::uint32_t step = 1; step <= how.steps; ++step) log.append(make_step(shared, step));
  times.wall = wall_seconds() - wall;
  times.processor[0] = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - from;
  times.evaluating = host.evaluating;
}

/// Seconds a step of a run: by the clock, of processor time on the busiest core, and what the coordinator evaluated.
struct run_times {
  double wall, busiest, evaluating;
};
run_times run_all(std::size_t all, const settings& how, std::size_t cores) {
  void* const memory = mmap(nullptr, sizeof(shared_times), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  require(memory != MAP_FAILED, "workers: no memory to share with processes");
  auto& times = *new (memory) shared_times;
  std::vector<pid_t> children;
  for (std::size_t index = 0; index != all; ++index) {
    const pid_t child = fork();
    if (child == 0) {
      run_worker(index, all, how, times);
      std::_Exit(0);
    }
    children.push_back(child);
  }
  bool well = true;
  for (const pid_t child : children) {
    int status = 0;
    well &= waitpid(child, &status, 0) == child && status == 0;
  }
  std::filesystem::remove(log_in(how.folder));
  require(well, "workers: a process of {} workers failed", all);
  std::vector<double> of_core(cores);
  for (std::size_t index = 0; index != all; ++index) of_core[index % cores] += times.processor[index];
  const run_times result{times.wall / how.steps, std::ranges::max(of_core) / how.steps, times.evaluating / how.steps};
  munmap(memory, sizeof(shared_times));
  return result;
}

/// Half of a round trip of a small message between threads over a socket, by the clock and of processor time.
std::array<double, 2> message_times(const settings& how) {
  constexpr int trips = 2000;
  ext::socket_hub hub(fmt::format("unix:{}/ping.sock", how.folder));
  std::jthread other([&] {
    ext::socket_link link(hub.endpoint());
    const auto ping = workers::message_format::encode({workers::message::kind::ready, 0, std::vector<std::byte>(24)});
    for (int i = 0; i != trips; ++i) {
      link.send(ping);
      static_cast<void>(link.receive(workers::worker_clock::now() + std::chrono::seconds(10)));
    }
  });
  std::vector<double> halves;
  const double processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  for (int i = 0; i != trips; ++i) {
    const double from = wall_seconds();
    const auto heard = hub.receive(workers::worker_clock::now() + std::chrono::seconds(10));
    static_cast<void>(hub.send(heard->from, heard->bytes));
    halves.push_back((wall_seconds() - from) / 2);
  }
  return {median(halves), (seconds_of(CLOCK_PROCESS_CPUTIME_ID) - processor) / (4 * trips)};
}

int measure(const settings& how) {
  cpu_set_t mine;
  sched_getaffinity(0, sizeof(mine), &mine);
  const auto cores = static_cast<std::size_t>(CPU_COUNT(&mine));
  fmt::print("kernels: {}; {} cores; {} steps in each of {} rounds\n", simd::default_kernels::name(), cores,
             how.steps, how.rounds);
  constexpr std::array<std::size_t, 3> numbers{1, 2, 4};
  std::array<std::vector<double>, 3> wall, busiest;
  std::vector<double> evaluating;
  for (std::uint32_t round = 0; round != how.rounds; ++round)
    for (std::size_t i = 0; i != numbers.size(); ++i) {
      const run_times t = run_all(numbers[i], how, cores);
      wall[i].push_back(t.wall);
      busiest[i].push_back(t.busiest);
      if (i == 0) evaluating.push_back(t.evaluating);
    }
  const auto [latency, handling] = message_times(how);
  workers_setting calibrated{.micro_batches = micro_batches, .cores = cores};
  calibrated.part = median(evaluating) / micro_batches;
  calibrated.update = median(busiest[0]) - median(evaluating);
  calibrated.latency = latency, calibrated.handling = handling;
  fmt::print(
      "calibrated by one worker: {:.3f} ms a part, {:.3f} ms an update; a message {:.1f} us, {:.1f} us of it "
      "processor time\n",
      1e3 * calibrated.part, 1e3 * calibrated.update, 1e6 * latency, 1e6 * handling);
  fmt::print("{:>7} {:>12} {:>12} {:>12} {:>10} {:>10} {:>9}\n", "workers", "wall ms", "busiest ms", "simulated",
             "off by", "speed-up", "by wall");
  for (std::size_t i = 0; i != numbers.size(); ++i) {
    calibrated.workers = numbers[i];
    const double simulated = workers_simulation(calibrated).run(200).seconds_per_step;
    const double measured = median(busiest[i]);
    fmt::print("{:>7} {:>12.3f} {:>12.3f} {:>12.3f} {:>9.1f}% {:>10.3f} {:>9.3f}\n", numbers[i],
               1e3 * median(wall[i]), 1e3 * measured, 1e3 * simulated, 100 * (simulated / measured - 1),
               median(busiest[0]) / measured, median(wall[0]) / median(wall[i]));
  }
  const double idle = 1 - median(busiest[0]) / median(wall[0]);
  if (idle > 0.03)
    fmt::print("disturbed: one worker had its core for {:.0f} % of the time; only processor time means something\n",
               100 * (1 - idle));
  return 0;
}

/// Processor time of an update of fp32 masters on one thread.
int update_rates() {
  std::vector<float> masters(std::size_t{1} << 24);
  zo::parameter_list parameters;
  parameters.add("masters", masters);
  sequential threads;
  fmt::print("kernels: {}; {} masters\n{:>10} {:>16} {:>26}\n", simd::default_kernels::name(), masters.size(),
             "directions", "ms an update", "elements/s and direction");
  for (const std::size_t directions : {1u, 4u, 16u, 64u}) {
    zo::update<zo::rademacher> u{{.step = 0, .gain = per_group<float>::all(1), .half_difference = {}}, {}};
    u.half_difference.assign(directions, 1e-3f);
    std::vector<double> times;
    for (; u.step != 7; ++u.step) {
      const double from = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
      zo::apply(u, parameters, threads);
      times.push_back(seconds_of(CLOCK_PROCESS_CPUTIME_ID) - from);
    }
    const double t = median(times);
    fmt::print("{:>10} {:>16.2f} {:>26.3g}\n", directions, 1e3 * t,
               static_cast<double>(directions * masters.size()) / t);
  }
  return 0;
}

int simulate(workers_setting s, const std::vector<std::size_t>& numbers, bool grows, std::size_t steps) {
  const std::size_t parts = s.directions * s.micro_batches;
  fmt::print("{:>7} {:>6} {:>11} {:>9} {:>10} {:>12} {:>12} {:>9} {:>9} {:>6}\n", "workers", "parts", "steps/s",
             "parts/s", "B/worker", "kB/s in", "kB/s out", "sharing", "missed", "busy");
  for (const std::size_t n : numbers) {
    s.workers = n;
    if (grows) s.directions = std::max<std::size_t>(1, n * parts / s.micro_batches);
    const workers_outcome r = workers_simulation(s, n).run(steps);
    const double rate = 1 / r.seconds_per_step, all = static_cast<double>(s.directions * s.micro_batches);
    fmt::print("{:>7} {:>6} {:>11.4g} {:>9.4g} {:>10.0f} {:>12.4g} {:>12.4g} {:>8.1f}% {:>9.3g} {:>5.1f}%\n", n, all,
               rate, rate * all, r.bytes_of_worker, rate * r.bytes_in / 1e3, rate * r.bytes_out / 1e3,
               100 * r.sharing, r.missed, 100 * r.busy);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app{"Many workers: measured here, and simulated"};
  app.require_subcommand(1);
  settings how;
  auto* const here = app.add_subcommand("measure", "1, 2 and 4 workers on this machine, beside the simulation");
  here->add_option("--steps", how.steps, "of a run");
  here->add_option("--rounds", how.rounds, "of runs of 1, 2 and 4 workers in turns");
  here->add_option("--folder", how.folder, "for a log and sockets");
  auto* const moves = app.add_subcommand("update", "what an update costs on one thread");
  workers_setting s;
  std::vector<std::size_t> numbers{1, 2, 4, 10, 30, 100, 300, 1000, 3000, 10000};
  bool grows = false;
  std::size_t steps = 200;
  auto* const there = app.add_subcommand("simulate", "any number of workers anywhere; times in seconds");
  there->add_option("--workers", numbers, "a row for each")->delimiter(',');
  there->add_option("--directions", s.directions, "of a step");
  there->add_option("--micro-batches", s.micro_batches, "of a step");
  there->add_flag("--grows", grows, "as many directions and micro-batches for each worker, in place of for all");
  there->add_option("--part", s.part, "evaluating a direction on a micro-batch");
  there->add_option("--update", s.update, "making an update");
  there->add_option("--latency", s.latency, "of a message, at least");
  there->add_option("--latency-spread", s.latency_spread, "mean of an exponential on top");
  there->add_option("--handling", s.handling, "of a message, by the coordinator");
  there->add_option("--bandwidth", s.bandwidth, "bytes per second of the coordinator, each way");
  there->add_option("--jitter", s.jitter, "sigma of a lognormal factor on evaluations");
  there->add_option("--straggler", s.straggler, "probability of a Pareto factor on an evaluation");
  there->add_option("--straggler-shape", s.straggler_shape, "of the Pareto factor");
  there->add_option("--patience", s.patience, "of the coordinator");
  there->add_option("--lifetime", s.lifetime, "mean of a worker's exponential life");
  there->add_option("--absence", s.absence, "until a worker that died knocks again");
  there->add_flag("--leaves-out", s.leaves_out, "what is missing, in place of taking it over");
  there->add_option("--steps", steps, "simulated");
  CLI11_PARSE(app, argc, argv);
  if (moves->parsed()) return update_rates();
  return here->parsed() ? measure(how) : simulate(s, numbers, grows, steps);
} catch (const std::exception& e) {
  fmt::print(stderr, "many_workers: {}\n", e.what());
  return 1;
}
