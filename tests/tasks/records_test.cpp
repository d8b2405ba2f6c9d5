// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/records.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <cstdint>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("records are the elements of an array or the lines of a .jsonl file") {
  const temporary_folder folder;
  write_file(folder / "a.json", R"([{"n": 1}, {"n": 2}])");
  write_file(folder / "b.jsonl", "{\"n\": 1}\n\n{\"n\": 2}\n");
  for (const char* const name : {"a.json", "b.jsonl"}) {
    std::vector<std::uint32_t> found;
    tasks::for_each_record(folder / name,
                           [&](const io::json_place& r) { found.push_back(r["n"].as<std::uint32_t>()); });
    CHECK(found == std::vector<std::uint32_t>{1, 2});
  }
}

TEST_CASE("a data set that is no text is named for what it is") {
  const temporary_folder folder;
  const auto failure = [&](std::string_view name, std::string_view content) {
    write_file(folder / name, content);
    return message_of<io_error>([&] { tasks::for_each_record(folder / name, [](const io::json_place&) {}); });
  };
  for (const std::string_view name : {"data.json", "data.jsonl"}) {
    check_mentions(failure(name, "\xFF\xFE["), name, "UTF-16", "UTF-8");
    check_mentions(failure(name, "\x1F\x8B\x08"), name, "compressed by gzip");
    check_mentions(failure(name, "PAR1"), name, "a Parquet table", "JSON lines");
    check_mentions(failure(name, ""), name, "is empty");
  }
}

TEST_CASE("what is wrong is told with the file and the line or the element") {
  const temporary_folder folder;
  const auto failure = [&](const char* name, const char* content) {
    write_file(folder / name, content);
    return message_of<io_error>([&] {
      tasks::for_each_record(folder / name, [](const io::json_place& r) { static_cast<void>(r["n"].text()); });
    });
  };
  check_mentions(failure("a.json", R"([{"n": "x"}, {"n": 2}])"), "a.json: [1].n", "a string", "2");
  check_mentions(failure("a.json", R"({"n": "x"})"), "a.json: ", "an array");
  check_mentions(failure("b.jsonl", "{\"n\": \"x\"}\n{\"m\": 1}\n"), "b.jsonl:2", "\"n\" is missing");
  check_mentions(failure("b.jsonl", "{\"n\": \"x\"}\n\n{\"n\""), "b.jsonl:3", "not valid JSON");
  check_mentions(failure("a.json", "{\"n\": \"x\"}\n{\"n\": \"y\"}\n"), "a.json", "not valid JSON", "ends in .jsonl");
  CHECK(failure("a.json", "[{\"n\": \"x\"},\n").find(".jsonl") == std::string::npos);
}
