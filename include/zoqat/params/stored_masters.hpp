// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/params/parameter.hpp>

#include <cstddef>
#include <cstring>
#include <span>

namespace zoqat::inline ZOQAT_ABI {

/// The masters of a tensor as memory, whatever their format: for copies that give every bit back.

namespace detail {

[[nodiscard]] inline std::size_t master_size(const parameter& p) noexcept {
  return !p.compact.codes.empty() ? 1 : p.compact.halves.empty() && p.compact.fp16s.empty() ? sizeof(float) : 2;
}
[[nodiscard]] inline std::byte* master_data(const parameter& p) noexcept {
  const compact_masters& m = p.compact;
  return !m.halves.empty()  ? std::as_writable_bytes(m.halves).data()
         : !m.codes.empty() ? std::as_writable_bytes(m.codes).data()
         : !m.fp16s.empty() ? std::as_writable_bytes(m.fp16s).data()
                            : std::as_writable_bytes(m.floats.empty() ? p.values : m.floats).data();
}

}  // namespace detail

/// Bytes of the masters alone, without scales and without what lies between rows.
[[nodiscard]] inline std::size_t stored_bytes(const parameter& p) noexcept {
  return p.size() * detail::master_size(p);
}

/// Calls f(std::span<const std::byte>) for the runs of memory that hold the masters, in their order.
template <class F>
void for_each_stored_run(const parameter& p, F&& f) {
  const std::size_t size = detail::master_size(p);
  detail::for_each_run(p.compact, 0, p.size(), [&](std::size_t, std::size_t n, std::size_t at) {
    f(std::span<const std::byte>(detail::master_data(p) + at * size, n * size));
  });
}

/// The same tensor with its masters in `memory`, as one run in the same format: stored_bytes(p) bytes, aligned to 4.
/// Its scales and units stay where they are.
[[nodiscard]] inline parameter stored_in(const parameter& p, std::byte* memory) noexcept {
  parameter copy = p;
  const std::size_t n = p.size();
  compact_masters& m = copy.compact;
  if (!m.halves.empty())
    m.halves = {reinterpret_cast<bf16*>(memory), n};
  else if (!m.codes.empty())
    m.codes = {reinterpret_cast<std::uint8_t*>(memory), n};
  else if (!m.fp16s.empty())
    m.fp16s = {reinterpret_cast<fp16*>(memory), n};
  else
    copy.values = {reinterpret_cast<float*>(memory), n}, m.floats = {};
  m.cols = m.stride = 0;
  return copy;
}

/// Copies elements [begin, begin + count) of masters, bit by bit, between tensors of one size and format.
inline void copy_masters(const parameter& from, const parameter& to, std::size_t begin, std::size_t count) noexcept {
  const std::size_t size = detail::master_size(from);
  detail::for_each_run(from.compact, begin, count, [&](std::size_t first, std::size_t n, std::size_t at) {
    detail::for_each_run(to.compact, first, n, [&](std::size_t element, std::size_t m, std::size_t there) {
      std::memcpy(detail::master_data(to) + there * size, detail::master_data(from) + (at + (element - first)) * size,
                  m * size);
    });
  });
}

}  // namespace zoqat
