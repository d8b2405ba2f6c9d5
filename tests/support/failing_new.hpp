// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <new>

/// Makes memory run out at the n-th allocation of this thread. For programs that are linked with failing_new.cpp,
/// which replaces operator new.
namespace zoqat::testing {

/// 0: no end.
extern constinit thread_local std::size_t allocations_left;

/// For n = 1, 2, … calls setup(), which returns what a trial needs, and f(of_trial), with memory that runs out at the
/// n-th allocation, until f gets through; calls after_failure(of_trial) each time that it does not. Returns how often
/// that was.
template <class Setup, class F, class After>
std::size_t fail_each_allocation(Setup&& setup, F&& f, After&& after_failure) {
  for (std::size_t n = 1;; ++n) {
    auto&& of_trial = setup();
    allocations_left = n;
    try {
      f(of_trial);
      allocations_left = 0;
      return n - 1;
    } catch (const std::bad_alloc&) {
      allocations_left = 0;
      after_failure(of_trial);
    } catch (...) {
      allocations_left = 0;
      throw;
    }
  }
}
/// Likewise with f() and after_failure(), which go on with what the trial before left.
template <class F, class After>
std::size_t fail_each_allocation(F&& f, After&& after_failure) {
  return fail_each_allocation([] { return 0; }, [&](int) { f(); }, [&](int) { after_failure(); });
}

}  // namespace zoqat::testing
