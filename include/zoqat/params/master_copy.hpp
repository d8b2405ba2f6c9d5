// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/params/parameter.hpp>

#include <cstddef>
#include <cstring>
#include <span>

namespace zoqat::inline ZOQAT_ABI {

/// The masters of a tensor as they lie in memory, byte for byte, and copies of them: what restores them exactly.
struct master_copy {
  /// Bytes that a copy takes, a multiple of `alignment`.
  [[nodiscard]] static std::size_t bytes(const parameter& p) noexcept {
    const std::size_t held = p.values.size_bytes() + p.compact.halves.size_bytes() + p.compact.codes.size_bytes();
    return (held + alignment - 1) / alignment * alignment;
  }
  /// `p` with its masters in `room`, `bytes(p)` of them, instead of where they lie; what is there is not changed.
  [[nodiscard]] static parameter rebased(parameter p, std::byte* room) noexcept {
    if (!p.values.empty()) p.values = {reinterpret_cast<float*>(room), p.values.size()};
    if (!p.compact.halves.empty()) p.compact.halves = {reinterpret_cast<bf16*>(room), p.compact.halves.size()};
    if (!p.compact.codes.empty()) p.compact.codes = {reinterpret_cast<std::uint8_t*>(room), p.compact.codes.size()};
    return p;
  }
  /// Copies elements [first, first + n) of masters stored alike.
  static void copy(const parameter& from, const parameter& to, std::size_t first, std::size_t n) noexcept {
    copy(from.values, to.values, first, n);
    copy(from.compact.halves, to.compact.halves, first, n);
    copy(from.compact.codes, to.compact.codes, first, n);
  }

 private:
  template <class T>
  static void copy(std::span<T> from, std::span<T> to, std::size_t first, std::size_t n) noexcept {
    if (!from.empty()) std::memcpy(to.data() + first, from.data() + first, n * sizeof(T));
  }
};

}  // namespace zoqat
