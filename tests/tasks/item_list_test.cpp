// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/item_list.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <zoqat/tasks/squad.hpp>

#include <cstddef>
#include <string>
#include <utility>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("items come out as they went in, up to the limit that the file's size sets") {
  const temporary_folder folder;
  const auto path = folder / "file";
  write_file(path, std::string(1000, 'x'));
  tasks::item_list<std::string> items(path);
  items.push_back("a");
  items.push_back(std::string(10'000, 'b'));
  CHECK(items.size() == 2);
  const std::string large(io::json_memory / 4, 'c');
  for (int i = 0; i != 3; ++i) items.push_back(large);
  check_mentions(message_of<io_error>([&] { items.push_back(large); }), path.native(),
                 "than 67116864 bytes of memory", "cut it");
  CHECK(std::move(items).take().size() == 5);
}

TEST_CASE("questions on one passage that would repeat it without end are refused") {
  const temporary_folder folder;
  std::string questions;
  for (int i = 0; i != 1000; ++i)
    questions += R"({"question":"q","id":"i","answers":[{"text":"a"}]})" + std::string(i == 999 ? "" : ",");
  const auto file_of = [&](std::size_t context) {
    write_file(folder / "q.json", R"({"data":[{"title":"t","paragraphs":[{"context":")" + std::string(context, 'c') +
                                      R"(","qas":[)" + questions + "]}]}]}");
    return folder / "q.json";
  };
  CHECK(tasks::read_squad(file_of(1000)).size() == 1000);
  check_mentions(message_of<io_error>([&] { static_cast<void>(tasks::read_squad(file_of(200'000))); }), "q.json",
                 "long passages with very many questions");
}
