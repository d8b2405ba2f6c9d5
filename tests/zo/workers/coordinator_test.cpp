// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/workers/coordinator.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/local_links.hpp>
#include <support/quadratic.hpp>
#include <zoqat/zo/workers/worker.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::workers;
using zoqat::testing::check_mentions;
using zoqat::testing::local_network;
using zoqat::testing::message_of;
using zoqat::testing::read_file;
using zoqat::testing::temporary_folder;

namespace {

constexpr std::uint32_t steps = 30;

/// The problem of a worker: the loss differs by micro-batch, and may be spoiled.
struct problem : zoqat::testing::quadratic {
  std::function<double(std::uint32_t step, double loss)> spoil;

  problem() {
    estimator.directions = 2;
    estimator.micro_batches = 3;
  }
  void operator()(const lane_points<rademacher>& points, std::size_t m, std::span<double> losses) const {
    quadratic::operator()(points, m, losses);
    for (double& loss : losses) {
      loss *= 1 + 0.1 * static_cast<double>(m * m);  // without any one of them the mean is another one
      if (spoil) loss = spoil(selected.back(), loss);
    }
  }
  [[nodiscard]] std::uint64_t terms() const { return terms_of(estimator, "a test"); }
  /// Makes steps as train::run does.
  template <class Shared>
  void run(Shared& shared, std::uint32_t first, run_log* log = nullptr) {
    for (std::uint32_t step = first; step != steps; ++step) {
      select(step);
      const auto next = plan(optimizer, estimator(step, shared));
      if (log) log->append(next);
      apply(next, parameters, threads);
    }
  }
};

/// A worker in a thread of its own.
struct thread_worker {
  problem own;
  worker_options how{.name = "the worker"};
  std::function<void(problem&)> before_join, after_join;
  std::string failure;
  std::uint32_t first = 0;

  void operator()(local_network& network, peer id) {
    try {
      local_network::link link(network, id);
      if (before_join) before_join(own);
      worker shared(link, own, own.parameters, own.terms(), how);
      first = shared.join(own.estimator, own.optimizer, own.threads);
      if (after_join) after_join(own);
      own.run(shared, first);
    } catch (const std::exception& e) {
      failure = e.what();
    }
  }
};

/// What a run of several workers left.
struct result {
  std::string log, failure;
  std::vector<float> values;
  std::vector<std::string> said;
  traffic bytes;

  [[nodiscard]] std::string all_said() const {
    std::string text;
    for (const std::string& sentence : said) text += sentence + "\n";
    return text;
  }
};

/// Runs a coordinator with these workers; `each(step)` is called by the coordinator before a step.
result run_all(const std::filesystem::path& path, std::vector<std::unique_ptr<thread_worker>>& others,
               coordinator_options how = {}, const std::function<void(std::uint32_t, local_network&)>& each = {},
               const std::function<void(problem&)>& prepare = {}) {
  local_network network;
  std::vector<std::jthread> threads;
  for (peer id = 1; id != 10; ++id) network.expect(id);
  result r;
  problem own;
  if (prepare) prepare(own);
  own.spoil = [&, spoil = own.spoil](std::uint32_t step, double loss) { return spoil ? spoil(step, loss) : loss; };
  run_log log = run_log::create(
      path, {.seed = own.estimator.seed, .start = fingerprint(own.parameters), .distribution = rademacher::name()},
      {.replace = true});
  {
    local_network::hub hub(network);
    for (peer id = 1; id <= others.size(); ++id)
      threads.emplace_back([&network, id, w = others[id - 1].get()] { (*w)(network, id); });
    if (how.wait_for == 0) how.wait_for = static_cast<std::uint32_t>(others.size());
    how.say = [&](std::string_view sentence) { r.said.emplace_back(sentence); };
    try {
      coordinator shared(hub, own, own.parameters, log, own.terms(), how);
      for (std::uint32_t step = 0; step != steps; ++step) {
        if (each) each(step, network);
        own.select(step);
        const auto next = plan(own.optimizer, own.estimator(step, shared));
        log.append(next);
        apply(next, own.parameters, own.threads);
      }
      r.bytes = shared.bytes();
    } catch (const std::exception& e) {
      r.failure = e.what();
    }
  }
  threads.clear();
  r.values = own.values;
  log.sync();
  r.log = read_file(path);
  return r;
}
std::vector<std::unique_ptr<thread_worker>> some_workers(std::size_t count) {
  std::vector<std::unique_ptr<thread_worker>> all;
  for (std::size_t i = 0; i != count; ++i) all.push_back(std::make_unique<thread_worker>());
  return all;
}
/// Lets a step of the coordinator last a while where what a worker is to do by the end has not happened yet.
void give_time(const std::atomic<bool>& has_happened) {
  for (int i = 0; i != 100 && !has_happened; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
}
/// The same run by one, without any of this.
result alone(const std::filesystem::path& path) {
  problem own;
  run_log log = run_log::create(
      path, {.seed = own.estimator.seed, .start = fingerprint(own.parameters), .distribution = rademacher::name()},
      {.replace = true});
  own.run(own, 0, &log);
  log.sync();
  return {.log = read_file(path), .failure = {}, .values = own.values, .said = {}, .bytes = {}};
}

}  // namespace

TEST_CASE("any number of workers end in the log and the weights of a single one, bit for bit") {
  const temporary_folder folder;
  const result single = alone(folder / "one.zlog");
  for (const std::size_t count : {0u, 1u, 2u, 3u, 6u, 8u}) {
    auto others = some_workers(count);
    const result r = run_all(folder / "many.zlog", others);
    CHECK(r.failure.empty());
    CHECK(r.log == single.log);
    CHECK(r.values == single.values);
    for (const auto& w : others) {
      CHECK(w->failure.empty());
      CHECK(w->own.values == single.values);
    }
  }
}

TEST_CASE("a step takes at most 64 bytes of a worker, both ways, with one direction on four micro-batches") {
  const temporary_folder folder;
  const auto four = [](problem& p) { p.estimator.directions = 1, p.estimator.micro_batches = 4; };
  for (const std::size_t count : {1u, 3u}) {
    auto others = some_workers(count);
    for (auto& w : others) w->before_join = four;
    coordinator_options how;
    how.fingerprint_every = 0;
    const result r = run_all(folder / "log", others, how, {}, four);
    CHECK(r.failure.empty());
    // Beside the steps: a hello and a ready, the log's header, a share, and a word at the end.
    constexpr std::uint64_t once = 400;
    CHECK(r.bytes.received + r.bytes.sent <= (64 * steps + once) * count);
    CHECK(r.bytes.received >= 20 * steps * count);
  }
}

TEST_CASE("workers for whom a step has no part say nothing, and nobody waits for them") {
  const temporary_folder folder;
  const auto one_part = [](problem& p) { p.estimator.directions = 1, p.estimator.micro_batches = 1; };
  auto others = some_workers(2);
  for (auto& w : others) w->before_join = one_part;
  coordinator_options how;
  how.fingerprint_every = 0;
  const result r = run_all(folder / "log", others, how, {}, one_part);
  CHECK(r.failure.empty());
  for (const auto& w : others) CHECK(w->own.values == r.values);
  // A hello with a name of 10 characters and a ready of each, and two losses a step of the one that has a share.
  CHECK(r.bytes.received == 2 * (4 + 20 + 10 + 4) + (4 + 2 * 8) * steps);
}

TEST_CASE("a step that messages cannot hold is refused before anybody evaluates anything") {
  const temporary_folder folder;
  auto none = some_workers(0);
  const result r = run_all(folder / "log", none, {}, {}, [](problem& p) {
    p.estimator.directions = 9000;
    p.spoil = [](std::uint32_t, double) -> double { fail("it was evaluated"); };
  });
  check_mentions(r.failure, "9000 directions on 3 micro-batches");
}

TEST_CASE("a worker that comes late catches up from the log and takes a share") {
  const temporary_folder folder;
  const result single = alone(folder / "one.zlog");
  auto others = some_workers(2);
  std::atomic<bool> may_come = false, has_come = false;
  others[1]->before_join = [&](problem&) { may_come.wait(false); };
  others[1]->own.spoil = [&](std::uint32_t, double loss) {
    has_come = true;
    has_come.notify_all();
    return loss;
  };
  coordinator_options how;
  how.wait_for = 1;
  const result r = run_all(folder / "many.zlog", others, how, [&](std::uint32_t step, local_network&) {
    if (step == 10) may_come = true, may_come.notify_all();
    if (step > 10) give_time(has_come);
  });
  CHECK(r.failure.empty());
  CHECK(others[1]->failure.empty());
  CHECK(others[1]->first >= 10);
  CHECK(has_come);
  CHECK(r.log == single.log);
  CHECK(others[1]->own.values == single.values);
}

TEST_CASE(
    "what a worker does not send is taken over, left out and said in the log, or ends the run, as is asked for") {
  const temporary_folder folder;
  const result single = alone(folder / "one.zlog");
  for (const missing_share missing : {missing_share::take_over, missing_share::leave_out, missing_share::stop}) {
    auto others = some_workers(2);
    std::atomic<bool> other_has_come = false;  // shares are dealt in the order in which workers come
    others[0]->after_join = [&](problem&) {
      other_has_come = true;
      other_has_come.notify_all();
    };
    others[1]->before_join = [&](problem&) { other_has_come.wait(false); };
    others[1]->how.name = "the one that dies";
    others[1]->own.spoil = [](std::uint32_t step, double loss) {
      require(step != 12, "dead");
      return loss;
    };
    coordinator_options how;
    how.missing = missing;
    const result r = run_all(folder / "many.zlog", others, how);
    CHECK(others[1]->failure == "dead");
    CHECK(r.all_said().find("step 12: the one that dies is gone.") != std::string::npos);
    if (missing == missing_share::take_over) {
      CHECK(r.failure.empty());
      CHECK(r.log == single.log);
      CHECK(r.values == single.values);
      CHECK(others[0]->own.values == single.values);
      continue;
    }
    const run_log log = run_log::read(folder / "many.zlog");
    if (missing == missing_share::stop) {
      check_mentions(r.failure, "step 12", "the one that dies", "many.zlog", "12 steps");
      check_mentions(others[0]->failure, "told to leave", "can be gone on with");
      CHECK(log.steps() == 12);
      CHECK(std::string_view(single.log).starts_with(r.log));
      continue;
    }
    CHECK(r.failure.empty());
    CHECK(r.values == others[0]->own.values);
    CHECK(r.values != single.values);
    for (const planned_update& u : log.updates())
      CHECK(u.absent == (u.step == 12 ? std::vector<std::uint32_t>{2, 5} : std::vector<std::uint32_t>{}));
    problem again;
    for (const planned_update& u : log.updates()) apply(update{u, rademacher()}, again.parameters, again.threads);
    CHECK(again.values == r.values);
  }
}

TEST_CASE("a worker that is too late follows until it is abreast, and takes a share again") {
  const temporary_folder folder;
  const result single = alone(folder / "one.zlog");
  auto others = some_workers(1);
  std::atomic<bool> was_missed = false, is_back = false;
  others[0]->own.spoil = [&](std::uint32_t step, double loss) {
    if (was_missed) is_back = true;
    if (step >= 5) was_missed.wait(false);
    return loss;
  };
  coordinator_options how;
  how.patience = std::chrono::milliseconds(20);
  const result r = run_all(folder / "many.zlog", others, how, [&](std::uint32_t step, local_network&) {
    if (step == 12) was_missed = true, was_missed.notify_all();
    if (step > 12) give_time(is_back);
  });
  CHECK(r.failure.empty());
  CHECK(others[0]->failure.empty());
  CHECK(is_back);
  CHECK(r.log == single.log);
  CHECK(others[0]->own.values == single.values);
  check_mentions(r.all_said(), "the worker was not heard from for 20 ms", "takes over the share of the worker");
}

TEST_CASE("a worker with other weights is named and put out, and the run is not the worse for it") {
  const temporary_folder folder;
  const result single = alone(folder / "one.zlog");
  const auto spoil_weights = [](problem& p) { p.values[3] += 1e-6f; };
  SUBCASE("at its first share, if it caught up wrongly") {
    auto others = some_workers(2);
    others[1]->after_join = spoil_weights;
    others[1]->how.name = "the odd one";
    const result r = run_all(folder / "many.zlog", others);
    CHECK(r.failure.empty());
    CHECK(r.log == single.log);
    check_mentions(others[1]->failure, "the odd one was told to leave", "its weights have the fingerprint");
    check_mentions(r.all_said(), "step 0: the odd one is put out");
  }
  SUBCASE("at the next comparison, if that happens later") {
    auto others = some_workers(2);
    others[1]->own.spoil = [p = &others[1]->own](std::uint32_t step, double loss) {
      if (step == 11) p->values[3] += 1e-6f;
      return loss;
    };
    coordinator_options how;
    how.fingerprint_every = 7;
    const result r = run_all(folder / "many.zlog", others, how);
    CHECK(r.failure.empty());
    check_mentions(r.all_said(), "step 14: the worker is put out");
    CHECK(r.values == others[0]->own.values);
  }
  SUBCASE("and where it is the coordinator that differs from most, the run ends") {
    auto others = some_workers(2);
    coordinator_options how;
    how.fingerprint_every = 7;
    const result r = run_all(folder / "many.zlog", others, how, {}, [](problem& p) {
      p.spoil = [&p](std::uint32_t step, double loss) {
        if (step == 11) p.values[3] += 1e-6f;
        return loss;
      };
    });
    check_mentions(r.failure, "step 14", "the coordinator that differs", "2 of 3 workers");
  }
}

TEST_CASE("a worker of another start or other terms is refused with the reason") {
  const temporary_folder folder;
  auto others = some_workers(3);
  others[0]->before_join = [](problem& p) { p.values[0] = 2; };
  others[1]->before_join = [](problem& p) { p.estimator.clip = 1; };
  coordinator_options how;
  how.wait_for = 3;
  how.start_patience = std::chrono::milliseconds(2000);
  const result r = run_all(folder / "many.zlog", others, how);
  CHECK(r.failure.empty());
  CHECK(r.log == alone(folder / "one.zlog").log);
  check_mentions(others[0]->failure, "starts from weights of fingerprint");
  check_mentions(others[1]->failure, "its settings or data are not those of the run");
  CHECK(others[2]->failure.empty());
  check_mentions(r.all_said(), "1 of 3 workers came within 2000 ms");
  auto none = some_workers(0);
  how.missing = missing_share::stop;
  how.start_patience = std::chrono::milliseconds(1);
  check_mentions(run_all(folder / "none.zlog", none, how).failure, "step 0: 0 of 3 workers came", "does not begin");
}

TEST_CASE("messages that make no sense put their sender out") {
  const temporary_folder folder;
  const result single = alone(folder / "one.zlog");
  auto others = some_workers(1);
  const result r = run_all(folder / "many.zlog", others, {}, [&](std::uint32_t step, local_network& network) {
    if (step != 4) return;
    local_network::link stranger(network, 5);
    stranger.send(std::array<std::byte, 3>{});
    local_network::link early(network, 6);
    early.send(message_format::encode({message::kind::losses, 4, {}}));
    local_network::link old(network, 7);
    message hello{message::kind::hello, 0, {}};
    message_format::put(hello.content, message_format::protocol + 1);
    old.send(message_format::encode(hello));
  });
  CHECK(r.failure.empty());
  CHECK(r.log == single.log);
  check_mentions(r.all_said(), "worker 5 is put out", "worker 6 is put out", "worker 7 is put out");
}

TEST_CASE("nonsense losses of a worker are bounded where that is asked for") {
  const temporary_folder folder;
  const auto robust = [](problem& p) { p.estimator.median_bound = 4; };
  for (const double nonsense : {1e20, -1e20, std::numeric_limits<double>::quiet_NaN()}) {
    const auto run_with = [&](bool bounded) {
      auto others = some_workers(2);
      for (auto& w : others)
        if (bounded) w->before_join = robust;
      others[1]->own.spoil = [&, lane = 0](std::uint32_t, double loss) mutable {
        return lane++ % 2 ? nonsense : loss;
      };
      coordinator_options how;
      how.missing = missing_share::leave_out;
      const result r = run_all(
          folder / "many.zlog", others, how, {}, bounded ? robust : [](problem&) {});
      CHECK(r.failure.empty());
      double size = 0;
      for (const float v : r.values) size += double{v} * double{v};
      return size;
    };
    CHECK(run_with(true) < 20);      // the loss has fallen from where it began
    CHECK(!(run_with(false) < 20));  // without the rule it has not
  }
}
