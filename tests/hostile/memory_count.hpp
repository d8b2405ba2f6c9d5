// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>

/// Counts the memory that operator new gives out, in a program that memory_count.cpp is a part of: it replaces it.
namespace zoqat::testing {

inline std::atomic<std::size_t> bytes_in_use{0}, most_bytes_in_use{0}, bytes_allocated{0};

/// What happened since it was made.
class memory_count {
 public:
  memory_count() : before_(bytes_in_use), allocated_(bytes_allocated) { most_bytes_in_use = before_; }
  /// The most bytes that were in use at once, beyond those in use at the start.
  [[nodiscard]] std::size_t peak() const noexcept { return most_bytes_in_use - before_; }
  /// All bytes that were asked for: a measure of work, since what is given back counts too.
  [[nodiscard]] std::size_t allocated() const noexcept { return bytes_allocated - allocated_; }

 private:
  std::size_t before_, allocated_;
};

}  // namespace zoqat::testing
