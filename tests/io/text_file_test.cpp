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
using namespace std::string_view_literals;

TEST_CASE("line ends of any system become LF, and a byte order mark goes; everything else stays") {
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
  CHECK(read("\xEF\xBB\xBFx\xEF\xBB\xBF\r\n") == "x\xEF\xBB\xBF\n");
  CHECK(read("\xEF\xBB\xBF").empty());
  CHECK(read("\xEF\xBBx") == "\xEF\xBBx");
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

TEST_CASE("files that hold no text are named for what they are") {
  const temporary_folder folder;
  const auto failure = [&](std::string_view content) {
    write_file(folder / "data", content);
    return message_of<io_error>([&] { static_cast<void>(io::read_text(folder / "data")); });
  };
  check_mentions(failure("\xFF\xFE"
                         "a\0"sv),
                 "data", "UTF-16", "UTF-8");
  check_mentions(failure("\xFE\xFF\0a"sv), "UTF-16");
  check_mentions(failure("\x1F\x8B\x08"), "gzip");
  check_mentions(failure("BZh9"), "bzip2");
  check_mentions(failure("\xFD"
                         "7zXZ\0"sv),
                 "xz");
  check_mentions(failure("\x28\xB5\x2F\xFD"), "zstd");
  check_mentions(failure("PK\x03\x04"), "zip");
  check_mentions(failure("PAR1"), "Parquet");
}
