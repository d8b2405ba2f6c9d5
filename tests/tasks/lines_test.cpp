// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/lines.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("lines come without their ends and with their numbers; empty ones do not come") {
  const temporary_folder folder;
  const auto path = folder / "lines";
  const auto lines = [&](std::string_view content) {
    write_file(path, content);
    std::vector<std::string> found;
    tasks::for_each_line(path, [&](std::string_view line, const std::string& place) {
      CHECK(place.starts_with(path.native() + ":"));
      found.push_back(std::string(line) + "@" + place.substr(path.native().size() + 1));
    });
    return found;
  };
  using expected = std::vector<std::string>;
  CHECK(lines("a\nb\n") == expected{"a@1", "b@2"});
  CHECK(lines("a\r\n\r\n\nb c") == expected{"a@1", "b c@4"});
  CHECK(lines("\n").empty());
  CHECK(lines("\xEF\xBB\xBF\nb\xEF\xBB\xBF") == expected{"b\xEF\xBB\xBF@2"});
  CHECK(lines("\xEF\xBB\xBF").empty());
  check_mentions(message_of<io_error>([&] { lines(""); }), "lines", "empty");
}
