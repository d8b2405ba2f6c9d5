// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/error.hpp>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <support/errors.hpp>

#include <stdexcept>
#include <string>
#include <type_traits>

using namespace zoqat;
using testing::message_of;

namespace {

struct counted {
  int* formatted;
};

}  // namespace

template <>
struct fmt::formatter<counted> {
  static constexpr auto parse(format_parse_context& context) { return context.begin(); }
  static auto format(const counted& c, format_context& context) {
    ++*c.formatted;
    return fmt::format_to(context.out(), "counted");
  }
};

TEST_CASE("one handler takes every exception of the library") {
  static_assert(std::is_base_of_v<std::runtime_error, error>);
  static_assert(std::is_base_of_v<error, io_error> && std::is_base_of_v<error, value_error>);
  static_assert(!std::is_base_of_v<io_error, value_error> && !std::is_base_of_v<value_error, io_error>);
  CHECK_THROWS_AS(throw io_error("x"), error);
}

TEST_CASE("fail throws the type it is given, value_error without one") {
  CHECK(message_of<io_error>([] { fail<io_error>("{}: {} bytes", "a.bin", 3); }) == "a.bin: 3 bytes");
  CHECK(message_of<value_error>([] { fail("{:.2f}", 1.5); }) == "1.50");
}

TEST_CASE("require throws only when the condition does not hold") {
  CHECK_NOTHROW(require(true, "never"));
  CHECK(message_of<value_error>([] { require(false, "{} is not {}", 1, 2); }) == "1 is not 2");
  CHECK(message_of<io_error>([] { require<io_error>(false, "{}", "gone"); }) == "gone");
}

TEST_CASE("require formats its arguments only on failure") {
  int formatted = 0;
  require(true, "{}", counted{&formatted});
  CHECK(formatted == 0);
  CHECK(message_of<value_error>([&] { require(false, "{}", counted{&formatted}); }) == "counted");
  CHECK(formatted == 1);
}

TEST_CASE("a message loses its middle where what it names is long") {
  const std::string text =
      message_of<value_error>([] { fail("{}: {} is wrong", "file", std::string(100'000, 'x')); });
  CHECK(text.size() < 3100);
  CHECK(text.starts_with("file: xxx"));
  CHECK(text.ends_with("xxx is wrong"));
  const std::string whole(2900, 'y');
  CHECK(message_of<value_error>([&] { fail("{}", whole); }) == whole);
}
