// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/tsv.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::vector<std::string> read(std::string_view content) {
  const temporary_folder folder;
  write_file(folder / "t.tsv", content);
  std::vector<std::string> rows;
  tasks::for_each_tsv_row<2>(
      folder / "t.tsv", {"text", "label"}, {{0, 1}, 2}, [&](const auto& row, const std::string& place) {
        rows.push_back(std::string(row[0]) + "|" + std::string(row[1]) + "|" + place.substr(place.rfind(':')));
      });
  return rows;
}

}  // namespace

TEST_CASE("columns are found by their names, or stand in the order that a file without a header has") {
  CHECK(read("a\t1\nb c\t0\n") == std::vector<std::string>{"a|1|:1", "b c|0|:2"});
  CHECK(read("index\tlabel\tother\ttext\n7\t1\tx\ta\n") == std::vector<std::string>{"a|1|:2"});
  CHECK(read("text\tlabel\na\t1\n") == std::vector<std::string>{"a|1|:2"});
  CHECK(read("text\t1\n") == std::vector<std::string>{"text|1|:1"});
}

TEST_CASE("rows and headers without what is wanted are refused by line") {
  const auto failure = [](std::string_view content) { return message_of<io_error>([&] { read(content); }); };
  check_mentions(failure("a\t1\nb\n"), "t.tsv:2", "1 fields", "2 are wanted", "\"b\"");
  check_mentions(failure("index\ttext\n1\ta\n"), "t.tsv:1", "\"label\"");
  check_mentions(failure(std::string(64, '\t')), "t.tsv:1", "65 fields", "64 at most");
}
