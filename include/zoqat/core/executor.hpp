// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI {

/// Something that runs independent tasks: `parallel_for(n, f)` calls `f(i)` once for every i in [0, n), in any
/// order and on any thread, and returns when all are done. `concurrency()` says how many run at a time.
/// A host plugs in its own pool by modeling this. Results never depend on it: every task of the library
/// writes a place of its own, and how work is cut into tasks does not follow the number of threads.
template <class E>
concept executor = requires(E& e, std::size_t n, void (&f)(std::size_t)) {
  { e.parallel_for(n, f) };
  { e.concurrency() } -> std::convertible_to<std::size_t>;
};

/// Runs everything on the calling thread.
struct sequential {
  [[nodiscard]] std::size_t concurrency() const noexcept { return 1; }
  template <class F>
  void parallel_for(std::size_t n, F&& f) const {
    for (std::size_t i = 0; i != n; ++i) f(i);
  }
};

namespace detail {

/// Calls `done()` until it is true, for some tens of microseconds at most: what one step of a forward pass leaves
/// between two parallel loops. False if it never was.
template <class Done>
bool spin_until(Done&& done) noexcept {
  for (int i = 0; i != 4096; ++i) {
    if (done()) return true;
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
  return false;
}

}  // namespace detail

/// Persistent threads that take tasks from a shared counter. One `parallel_for` at a time; calls must not nest.
/// An exception thrown by a task is rethrown by `parallel_for` (the first one; the rest of the tasks still run).
///
/// Waiting threads spin for a moment before they sleep: waking a thread takes as long as a small matrix product. They
/// do not spin on, since that would starve whoever shares the core.
class thread_pool {
 public:
  /// `threads` counts the calling thread too; 0 takes one per core.
  explicit thread_pool(std::size_t threads = 0) {
    if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
    workers_.reserve(threads - 1);
    for (std::size_t i = 1; i < threads; ++i)
      workers_.emplace_back([this](const std::stop_token& stop) { work(stop); });
  }
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;
  ~thread_pool() {
    for (auto& worker : workers_) worker.request_stop();
    wake_.notify_all();
  }

  [[nodiscard]] std::size_t concurrency() const noexcept { return workers_.size() + 1; }

  template <class F>
  void parallel_for(std::size_t n, F&& f) {
    if (n <= 1) {
      for (std::size_t i = 0; i != n; ++i) f(i);
      return;
    }
    auto task = [&f](std::size_t i) { f(i); };  // an object, whatever f is: a function has no void*
    context_ = &task;
    invoke_ = [](void* context, std::size_t i) { (*static_cast<decltype(task)*>(context))(i); };
    count_ = n;
    next_.store(0, std::memory_order_relaxed);
    busy_.store(workers_.size(), std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);  // publishes all of the above
    {
      std::lock_guard lock(mutex_);
      if (sleeping_ > 0) wake_.notify_all();
    }
    drain();
    wait_for_workers();
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

 private:
  void drain() noexcept {
    for (std::size_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) {
#if ZOQAT_EXCEPTIONS
      try {
        invoke_(context_, i);
      } catch (...) {
        std::lock_guard lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
      }
#else
      invoke_(context_, i);
#endif
    }
  }
  void wait_for_workers() {
    const auto idle = [&] { return busy_.load(std::memory_order_acquire) == 0; };
    if (detail::spin_until(idle)) return;
    std::unique_lock lock(mutex_);
    done_.wait(lock, idle);
  }
  void work(const std::stop_token& stop) {
    std::size_t seen = 0;
    const auto called = [&] { return generation_.load(std::memory_order_acquire) != seen; };
    while (true) {
      if (!detail::spin_until(called)) {
        std::unique_lock lock(mutex_);
        ++sleeping_;
        const bool go_on = wake_.wait(lock, stop, called);
        --sleeping_;
        if (!go_on) return;
      }
      ++seen;  // nobody calls again before this thread is idle
      drain();
      if (busy_.fetch_sub(1, std::memory_order_acq_rel) != 1) continue;
      std::lock_guard lock(mutex_);  // the caller is not between its look at busy_ and its sleep
      done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::condition_variable done_;
  void* context_ = nullptr;
  void (*invoke_)(void*, std::size_t) = nullptr;
  std::size_t count_ = 0, sleeping_ = 0;
  std::atomic<std::size_t> generation_{0}, next_{0}, busy_{0};
  std::exception_ptr failure_;
  std::vector<std::jthread> workers_;  // last: its threads use the members above
};

}  // namespace zoqat
