// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

namespace zoqat::programs {

/// Says that memory ran out. Takes none.
inline void say_out_of_memory(const char* program) noexcept {
  std::fprintf(stderr, "%s: there is not enough memory for this; a run that has a log can be resumed\n", program);
}

/// What a program returns: what run() does, or 1 after a message for what it throws.
///
/// Some destructors and functions of other libraries that may not throw take memory all the same: those of JSON
/// values and of the entries of folders. Where it runs out there, the program ends with the same message.
template <class Run>
[[nodiscard]] int guarded_main(const char* name, Run&& run) {
  static const char* const program = name;
  static bool ran_out = false;
  std::set_new_handler([] {
    ran_out = true;
    throw std::bad_alloc();
  });
  std::set_terminate([] {
    if (!ran_out) std::abort();
    say_out_of_memory(program);
    std::_Exit(1);
  });
  try {
    return run();
  } catch (const std::bad_alloc&) {
    say_out_of_memory(name);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", name, e.what());
  }
  return 1;
}

}  // namespace zoqat::programs
