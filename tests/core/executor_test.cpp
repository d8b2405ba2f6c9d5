// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/executor.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using namespace zoqat;

namespace {

constexpr std::size_t pool_sizes[] = {1, 2, 3};
constexpr std::size_t task_counts[] = {0, 1, 2, 3, 7, 64, 1000};

// A host's pool: what is asked of it, and no more.
struct backwards {
  int concurrency() { return 1; }
  template <class F>
  void parallel_for(std::size_t n, F&& f) {
    while (n-- != 0) f(n);
  }
};

template <class Executor>
void check_each_index_once(Executor& threads) {
  for (const std::size_t n : task_counts) {
    std::vector<std::atomic<int>> calls(n);
    threads.parallel_for(n, [&](std::size_t i) { ++calls.at(i); });
    std::size_t once = 0;
    for (const auto& count : calls) once += count == 1;
    CHECK(once == n);
  }
}

std::atomic<std::size_t> total{0};
void add_to_total(std::size_t i) { total += i; }

}  // namespace

static_assert(executor<sequential> && executor<const sequential> && executor<thread_pool> && executor<backwards>);
static_assert(!executor<int> && !executor<const thread_pool>);
static_assert(!std::is_copy_constructible_v<thread_pool>);

TEST_CASE("every index is called once") {
  sequential alone;
  check_each_index_once(alone);
  backwards host;
  check_each_index_once(host);
  for (const std::size_t size : pool_sizes) {
    CAPTURE(size);
    thread_pool pool(size);
    CHECK(pool.concurrency() == size);
    check_each_index_once(pool);
  }
}

TEST_CASE("a pool has at least the calling thread, and by default one per core") {
  CHECK(sequential().concurrency() == 1);
  thread_pool pool;
  CHECK(pool.concurrency() >= 1);
  if (const unsigned cores = std::thread::hardware_concurrency()) CHECK(pool.concurrency() == cores);
  check_each_index_once(pool);
}

TEST_CASE("what tasks wrote is there when parallel_for returns, call after call") {
  for (const std::size_t size : pool_sizes) {
    thread_pool pool(size);
    std::vector<std::size_t> values(13, 0);  // plain memory: only the pool orders the accesses
    for (std::size_t round = 0; round != 2000; ++round)
      pool.parallel_for(values.size(), [&](std::size_t i) { values[i] += i; });
    for (std::size_t i = 0; i != values.size(); ++i) CHECK(values[i] == 2000 * i);
  }
}

TEST_CASE("threads that fell asleep, that still spin and that are more than there is work for all join in") {
  for (const std::size_t size : {1u, 2u, 3u, 9u}) {
    CAPTURE(size);
    thread_pool pool(size);
    std::size_t wanted = 0;
    std::vector<std::size_t> sums(20, 0);  // plain memory
    for (std::size_t round = 0; round != 400; ++round) {
      if (round % 20 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // longer than anyone spins
      for (std::size_t n = 0; n != sums.size(); ++n) {
        pool.parallel_for(n, [&](std::size_t i) { sums[i] += n; });
        wanted += n * n;
      }
    }
    CHECK(std::accumulate(sums.begin(), sums.end(), std::size_t{0}) == wanted);
  }
}

TEST_CASE("a pool can be made and destroyed at any moment") {
  std::size_t calls = 0;
  for (std::size_t round = 0; round != 100; ++round) {
    thread_pool pool(1 + round % 4);
    if (round % 3 == 0) continue;                                                   // its threads may not have begun
    if (round % 7 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // they sleep
    std::vector<std::size_t> called(5, 0);
    pool.parallel_for(called.size(), [&](std::size_t i) { called[i] = 1; });
    calls += std::accumulate(called.begin(), called.end(), std::size_t{0});
  }
  CHECK(calls == 5 * 66);
}

TEST_CASE("pools of several threads do not disturb each other") {
  constexpr std::size_t hosts = 3, rounds = 500;
  std::vector<std::vector<std::size_t>> sums(hosts, std::vector<std::size_t>(4, 0));
  {
    std::vector<std::jthread> threads;
    for (std::size_t host = 0; host != hosts; ++host)
      threads.emplace_back([&, host] {
        thread_pool pool(2);
        for (std::size_t round = 0; round != rounds; ++round)
          pool.parallel_for(4, [&](std::size_t i) { sums[host][i] += host + i; });
      });
  }
  for (std::size_t host = 0; host != hosts; ++host)
    for (std::size_t i = 0; i != 4; ++i) CHECK(sums[host][i] == rounds * (host + i));
}

TEST_CASE("a task is any callable: a function, a constant object, a temporary") {
  for (const std::size_t size : pool_sizes) {
    thread_pool pool(size);
    total = 0;
    pool.parallel_for(5, add_to_total);
    pool.parallel_for(5, &add_to_total);
    const auto constant = [](std::size_t i) { add_to_total(i); };
    pool.parallel_for(5, constant);
    pool.parallel_for(5, [](std::size_t i) mutable { add_to_total(i); });
    CHECK(total == 40);
  }
}

TEST_CASE("an exception of a task comes out once, and the other tasks still run") {
  for (const std::size_t size : pool_sizes) {
    CAPTURE(size);
    thread_pool pool(size);
    for (int round = 0; round != 50; ++round)
      for (const std::size_t n : {2u, 17u}) {
        std::vector<std::atomic<int>> calls(n);
        std::string what;
        try {
          pool.parallel_for(n, [&](std::size_t i) {
            ++calls[i];
            if (i % 2 == 0) throw std::runtime_error("task");
          });
        } catch (const std::runtime_error& failure) {
          what = failure.what();
        }
        REQUIRE(what == "task");
        for (const auto& count : calls) REQUIRE(count == 1);
        // The next call sees nothing of it.
        std::atomic<std::size_t> sum{0};
        REQUIRE_NOTHROW(pool.parallel_for(n, [&](std::size_t i) { sum += i + 1; }));
        REQUIRE(sum == n * (n + 1) / 2);
      }
    CHECK_THROWS_AS(pool.parallel_for(1, [](std::size_t) { throw std::logic_error("only"); }), std::logic_error);
    CHECK_NOTHROW(pool.parallel_for(0, [](std::size_t) { throw std::logic_error("never"); }));
  }
}

TEST_CASE("the exception that comes out is the first") {
  thread_pool pool(1);  // more threads have no order
  try {
    pool.parallel_for(5, [](std::size_t i) { throw i + 1; });
    FAIL("nothing was thrown");
  } catch (const std::size_t number) {
    CHECK(number == 1);
  }
}

TEST_CASE("with several threads, tasks run at the same time") {
  // Each task waits for the other: with one thread this would never end, and with two it always does.
  thread_pool pool(2);
  std::atomic<int> arrived{0};
  pool.parallel_for(2, [&](std::size_t) {
    ++arrived;
    arrived.notify_all();
    for (int seen = arrived; seen != 2; seen = arrived) arrived.wait(seen);
  });
  CHECK(arrived == 2);
}
