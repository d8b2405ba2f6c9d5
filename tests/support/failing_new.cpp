// SPDX-License-Identifier: Apache-2.0
#include <support/failing_new.hpp>

#include <cstdlib>

namespace zoqat::testing {

constinit thread_local std::size_t allocations_left = 0;

namespace {

void* allocate(std::size_t bytes, std::size_t alignment) {
  if (allocations_left != 0 && --allocations_left == 0) throw std::bad_alloc();
  if (bytes == 0) bytes = 1;
  void* const p = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (!p) throw std::bad_alloc();
  return p;
}

}  // namespace

}  // namespace zoqat::testing

// Not inlined: the compiler would see free() take what operator new gave.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return zoqat::testing::allocate(bytes, alignof(std::max_align_t));
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return zoqat::testing::allocate(bytes, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
