// SPDX-License-Identifier: Apache-2.0
#include <hostile/memory_count.hpp>

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace zoqat::testing {

namespace {

void* counted(void* p, std::size_t bytes) noexcept {
  if (!p) return nullptr;
  const std::size_t size = malloc_usable_size(p), now = bytes_in_use += size;
  bytes_allocated += bytes;
  for (std::size_t most = most_bytes_in_use; most < now && !most_bytes_in_use.compare_exchange_weak(most, now);) {
  }
  return p;
}
void* or_throw(void* p) {
  if (!p) throw std::bad_alloc();
  return p;
}
void give_back(void* p) noexcept {
  if (p) bytes_in_use -= malloc_usable_size(p);
  std::free(p);
}

}  // namespace

}  // namespace zoqat::testing

// Not inlined: the compiler would see free() take what operator new gave.
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return zoqat::testing::counted(std::malloc(std::max<std::size_t>(bytes, 1)), bytes);
}
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return zoqat::testing::or_throw(operator new(bytes, std::nothrow));
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  const auto to = static_cast<std::size_t>(alignment);
  return zoqat::testing::or_throw(
      zoqat::testing::counted(std::aligned_alloc(to, (std::max<std::size_t>(bytes, 1) + to - 1) / to * to), bytes));
}
[[gnu::noinline]] void operator delete(void* p) noexcept { zoqat::testing::give_back(p); }
[[gnu::noinline]] void operator delete(void* p, const std::nothrow_t&) noexcept { zoqat::testing::give_back(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { zoqat::testing::give_back(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { zoqat::testing::give_back(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
  zoqat::testing::give_back(p);
}
