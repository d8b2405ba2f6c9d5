// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

/// Makes memory run out at the n-th allocation of this thread. Replaces operator new of the program, so one source
/// file of a program may include it.
namespace zoqat::testing {

inline thread_local std::size_t allocations_left = 0;  ///< 0: no end

/// Calls f() again and again, with memory that runs out at the first allocation, the second, …, until f gets through;
/// calls after_failure() after each time that it does not. Returns how often that was.
template <class F, class After>
std::size_t fail_each_allocation(F&& f, After&& after_failure) {
  for (std::size_t n = 1;; ++n) {
    allocations_left = n;
    try {
      f();
      allocations_left = 0;
      return n - 1;
    } catch (const std::bad_alloc&) {
      allocations_left = 0;
      after_failure();
    }
  }
}

inline void* allocate(std::size_t bytes, std::size_t alignment) {
  if (allocations_left != 0 && --allocations_left == 0) throw std::bad_alloc();
  void* const p = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (!p && bytes != 0) throw std::bad_alloc();
  return p;
}

}  // namespace zoqat::testing

// Not inlined: the compiler would see free() take what operator new gave.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return zoqat::testing::allocate(bytes != 0 ? bytes : 1, alignof(std::max_align_t));
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return zoqat::testing::allocate(bytes != 0 ? bytes : 1, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
