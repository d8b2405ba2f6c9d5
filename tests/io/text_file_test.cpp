// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/text_file.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <string>
#include <string_view>

using namespace zoqat;
using namespace zoqat::testing;
using namespace std::string_literals;

TEST_CASE("line ends of any system become LF; everything else stays") {
  const temporary_folder folder;
  const auto read = [&](std::string_view content) {
    write_file(folder / "text", content);
    return io::read_text(folder / "text");
  };
  CHECK(read("a\r\nb\nc\r\n") == "a\nb\nc\n");
  CHECK(read("\r\n\r\n") == "\n\n");
  CHECK(read("a\rb\r") == "a\rb\r");  // a lone CR is none of these
  CHECK(read("\n\r") == "\n\r");
  CHECK(read("x") == "x");
  CHECK(read("\0\xff\xc3\xa9"s) == "\0\xff\xc3\xa9"s);
}

TEST_CASE("a text that is missing or empty is refused with the file") {
  const temporary_folder folder;
  const auto failure = [&](std::string_view name) {
    return message_of<io_error>([&] { static_cast<void>(io::read_text(folder / name)); });
  };
  check_mentions(failure("absent.txt"), "absent.txt", "No such file");
  write_file(folder / "empty.txt", "");
  check_mentions(failure("empty.txt"), "empty.txt", "is empty");
}
