// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>
#include <zoqat/core/error.hpp>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

// One program for processors of several generations: a source of the host is compiled once for each instruction set
// (CMake: zoqat_target_dispatch), and the best one is called at run time. In a header the host names what is to be
// called, in functions of plain types,
//
//   struct tuning { void (*run)(float* weights, std::size_t n, std::uint32_t steps); };
//
// the source fills it in,
//
//   template <>
//   tuning zoqat::dispatch::table<tuning, zoqat::dispatch::here>() { return {.run = run}; }
//
// and everybody else calls zoqat::dispatch::best<tuning>().run(…).

namespace zoqat::dispatch {

/// What a source is compiled for. Processors that are not x86-64 have the first alone, which is then what the flags
/// of the build allow.
enum class instruction_set {
  baseline,  ///< x86-64-v2: SSE4.2 and POPCNT, any processor since 2011
  avx2,      ///< x86-64-v3 with AES and PCLMUL, which Highway wants too
  avx512     ///< x86-64-v4 with AES, PCLMUL and VNNI
};

#if defined(ZOQAT_DISPATCH_HERE)
/// That of this translation unit, as zoqat_target_dispatch compiles it.
inline constexpr instruction_set here = instruction_set::ZOQAT_DISPATCH_HERE;
#else
inline constexpr instruction_set here = instruction_set::baseline;
#endif

/// What the host's source offers for an instruction set; it specializes this for `here`. Called on processors alone
/// that have the set. In no inline namespace of an instruction set, since units of different sets meet here.
template <class Table, instruction_set Set>
[[nodiscard]] Table table();

}  // namespace zoqat::dispatch

namespace zoqat::dispatch::inline ZOQAT_ABI {

[[nodiscard]] constexpr const char* name(instruction_set set) noexcept {
  return set == instruction_set::avx512 ? "AVX-512" : set == instruction_set::avx2 ? "AVX2" : "baseline";
}

/// Whether this processor, and the system it runs, have all that the compiler may use for a set.
[[nodiscard]] inline bool supported(instruction_set set) noexcept {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0, extended = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !__get_cpuid(0x80000001u, &a, &b, &extended, &d)) return false;
  constexpr unsigned movbe = 1u << 22, f16c = 1u << 29, lzcnt = 1u << 5;  // compilers know no names of these
  const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  const bool v3 = v2 && (c & movbe) && (c & f16c) && (extended & lzcnt) && __builtin_cpu_supports("avx2") &&
                  __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                  __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  return set == instruction_set::avx512 ? v4 : set == instruction_set::avx2 ? v3 : v2;
#else
  return set == instruction_set::baseline;
#endif
}

/// The best set of this processor. Throws error for an x86-64 processor that lacks even the baseline.
[[nodiscard]] inline instruction_set best_set() {
  for (const instruction_set set : {instruction_set::avx512, instruction_set::avx2})
    if (supported(set)) return set;
  require<error>(supported(instruction_set::baseline),
                 "dispatch: this processor lacks SSE4.2 or POPCNT, and the program is compiled for no less");
  return instruction_set::baseline;
}

/// The host's functions for the best set of this processor. Asks the processor each time: some hundred nanoseconds,
/// or many microseconds in a virtual machine, so keep what is returned. Throws as `best_set`.
template <class Table>
[[nodiscard]] Table best() {
#if defined(__x86_64__)
  switch (best_set()) {
    case instruction_set::avx512:
      return table<Table, instruction_set::avx512>();
    case instruction_set::avx2:
      return table<Table, instruction_set::avx2>();
    case instruction_set::baseline:
      break;
  }
#endif
  return table<Table, instruction_set::baseline>();
}

}  // namespace zoqat::dispatch
