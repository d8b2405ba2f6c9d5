// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <cstddef>
#include <new>
#include <vector>

namespace zoqat::inline ZOQAT_ABI {

/// Alignment of every buffer the library allocates, on every target: one cache line, and the widest vector.
inline constexpr std::size_t alignment = 64;

/// Standard allocator with `alignment`. It leaves trivial elements uninitialized on `resize`, so that a
/// buffer about to be overwritten is not swept twice.
template <class T>
struct aligned_allocator {
  using value_type = T;

  aligned_allocator() = default;
  template <class U>
  constexpr aligned_allocator(const aligned_allocator<U>&) noexcept {}

  [[nodiscard]] T* allocate(std::size_t n) {
    return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t{alignment}));
  }
  void deallocate(T* p, std::size_t) noexcept { ::operator delete(p, std::align_val_t{alignment}); }

  template <class U>
  void construct(U* p) noexcept(noexcept(::new(static_cast<void*>(p)) U)) {
    ::new (static_cast<void*>(p)) U;
  }
  template <class U, class... Args>
  void construct(U* p, Args&&... args) {
    ::new (static_cast<void*>(p)) U(static_cast<Args&&>(args)...);
  }

  friend bool operator==(aligned_allocator, aligned_allocator) noexcept { return true; }
};

/// Contiguous storage aligned to 64 bytes. `resize` leaves new trivial elements uninitialized; `buffer(n, v)`
/// and `assign` initialize.
template <class T>
using buffer = std::vector<T, aligned_allocator<T>>;

}  // namespace zoqat
