// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace zoqat::testing {

/// What the Error thrown by `f` says; the test fails when nothing or something else is thrown.
template <class Error, class F>
std::string message_of(F&& f) {
  try {
    std::forward<F>(f)();
  } catch (const Error& error) {
    return error.what();
  } catch (const std::exception& other) {
    FAIL_CHECK("another exception was thrown: ", other.what());
    return {};
  }
  FAIL_CHECK("nothing was thrown");
  return {};
}

/// Checks that `text` contains every one of `parts`.
template <class... Parts>
void check_mentions(std::string_view text, const Parts&... parts) {
  for (const std::string_view part : {std::string_view(parts)...}) {
    const bool mentioned = text.find(part) != std::string_view::npos;
    CHECK_MESSAGE(mentioned, "\"", std::string(part), "\" is not in: ", std::string(text));
  }
}

/// Calls `f`; false when it threw Error. Anything else that it throws is for the test to fail on.
template <class Error, class F>
bool succeeds(F&& f) {
  try {
    std::forward<F>(f)();
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace zoqat::testing
