// SPDX-License-Identifier: Apache-2.0
#include <common/guarded_main.hpp>

#include <doctest/doctest.h>

#include <exception>
#include <new>
#include <stdexcept>

using zoqat::programs::guarded_main;

TEST_CASE("what is thrown becomes a status, and what run returns stays") {
  const std::terminate_handler before = std::get_terminate();
  const std::new_handler no_handler = std::get_new_handler();
  CHECK(guarded_main("test", [] { return 3; }) == 3);
  CHECK(guarded_main("test", []() -> int { throw std::bad_alloc(); }) == 1);
  CHECK(guarded_main("test", []() -> int { throw std::runtime_error("an expected message"); }) == 1);
  std::set_terminate(before);
  std::set_new_handler(no_handler);
}
