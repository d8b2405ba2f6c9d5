// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/sst2.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::vector<tasks::choice_item> read(std::string_view content, const tasks::sst2_format& format = {}) {
  const temporary_folder folder;
  write_file(folder / "s.tsv", content);
  return tasks::read_sst2(folder / "s.tsv", format);
}
std::string failure(std::string_view content) {
  return message_of<io_error>([&] { read(content); });
}

}  // namespace

TEST_CASE("sentences become MeZO's prompts, with or without a header and in any order of columns") {
  const std::vector<tasks::choice_item> expected{
      {"soup of the day It was", {" terrible", " great"}, 1},
      {"cold , and late . It was", {" terrible", " great"}, 0},
  };
  CHECK(read("sentence\tlabel\nsoup of the day \t1\ncold , and late . \t0\n") == expected);
  CHECK(read("soup of the day \t1\r\ncold , and late . \t0") == expected);
  CHECK(read("index\tlabel\tsentence\n0\t1\tsoup of the day\n1\t0\tcold , and late .\n") == expected);
  CHECK(read("\xEF\xBB\xBFsentence\tlabel\nsoup of the day \t1\ncold , and late . \t0\n") == expected);
  CHECK(read("sentence\t1\n")[0].prompt == "sentence It was");
  CHECK(read("sentence\tlabel\n").empty());
}

TEST_CASE("templates and label words are the user's") {
  const auto items = read("a {dish}\t0\n", {.prompt = "Review: {sentence}\nVerdict:", .choices = {" bad", " good"}});
  REQUIRE(items.size() == 1);
  CHECK(items[0].prompt == "Review: a {dish}\nVerdict:");
  CHECK(items[0].choices == std::vector<std::string>{" bad", " good"});
  check_mentions(message_of<value_error>([] { read("a\t0\n", {.prompt = "{text}"}); }), "{text}", "{sentence}");
}

TEST_CASE("lines that make no sense are refused with file, line and value") {
  check_mentions(failure("sentence\tlabel\nfine\t1\nodd\t2\n"), "s.tsv:3", "label \"2\"", "0 or 1");
  check_mentions(failure("fine\t1\nno label\n"), "s.tsv:2", "1 fields", "2 are wanted", "no label");
  check_mentions(failure("fine\tx\t1\n"), "s.tsv:1", "3 fields");
  check_mentions(failure("index\tsentence\n0\tunlabelled\n"), "s.tsv:1", "\"label\"", "no labels");
}

TEST_CASE("the files of GLUE are read whole") {
  struct count {
    const char* name;
    std::size_t items;
  };
  for (const auto& [name, items] : {count{"train", 60614}, count{"dev", 6735}, count{"test", 872}}) {
    const auto path = shared_data(std::string("data/sst2/") + name + ".tsv");
    if (!path) return;
    const auto found = tasks::read_sst2(*path);
    CHECK(found.size() == items);
    CHECK(std::ranges::all_of(found, [](const auto& item) { return item.prompt.ends_with(" It was"); }));
    const auto positive = std::ranges::count(found, std::size_t{1}, &tasks::choice_item::correct);
    CHECK(positive > static_cast<std::ptrdiff_t>(items / 2 - 10));
    CHECK(positive < static_cast<std::ptrdiff_t>(items * 6 / 10));
  }
}
