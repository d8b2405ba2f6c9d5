// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/hellaswag.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::vector<tasks::choice_item> read(std::string_view name, std::string_view content) {
  const temporary_folder folder;
  write_file(folder / name, content);
  return tasks::read_hellaswag(folder / name);
}
std::string failure(std::string_view name, std::string_view content) {
  return message_of<io_error>([&] { read(name, content); });
}

}  // namespace

TEST_CASE("what WikiHow left in a text is cleaned as the harness does") {
  // Each by Python: strip, replace " [title]", re.sub("\\[.*?\\]", "", text), replace two spaces.
  CHECK(tasks::detail::clean_hellaswag("  Bake [header] a cake [title] Mix it. [step] Stir.  ") ==
        "Bake a cake. Mix it. Stir.");
  CHECK(tasks::detail::clean_hellaswag("a   b    c") == "a  b  c");
  CHECK(tasks::detail::clean_hellaswag("[substeps]x [a [b] c] y [open") == "x c] y [open");
  CHECK(tasks::detail::clean_hellaswag("x [one\ntwo] [three]y") == "x [one\ntwo] y");
  CHECK(tasks::detail::clean_hellaswag("no brackets") == "no brackets");
}

TEST_CASE("Python's capitalize makes all other letters small") {
  CHECK(tasks::detail::capitalized("he sees NASA") == "He sees nasa");
  CHECK(tasks::detail::capitalized("") == "");
  CHECK(tasks::detail::capitalized("4 Dogs") == "4 dogs");
}

TEST_CASE("official records, those made of them and llama.cpp's lines become prompts") {
  const std::vector<std::string> endings{" sits.", " runs.", " now eats.", " sings."};
  const std::string rest = R"("endings": ["sits.", "runs.", "now [step] eats.", "sings."], "label": )";
  CHECK(read("v.jsonl", R"({"activity_label": "Fun", "ctx_a": "A man waits.", "ctx_b": "he", )" + rest + "2}") ==
        std::vector<tasks::choice_item>{{"Fun: A man waits. He", endings, 2}});
  CHECK(read("v.jsonl", R"({"ctx": "Fun: A man waits. he", )" + rest + R"("2"})") ==
        std::vector<tasks::choice_item>{{"Fun: A man waits. he", endings, 2}});
  CHECK(
      read("v.txt", "Fun: A man waits. he\n2\nsits.\nruns.\nnow eats.\nsings.\nOn: it\n0\na\nb\nc\nd\n") ==
      std::vector<tasks::choice_item>{{"Fun: A man waits. he", endings, 2}, {"On: it", {" a", " b", " c", " d"}, 0}});
}

TEST_CASE("items that make no sense are refused by line") {
  check_mentions(failure("v.jsonl", R"({"ctx": "c", "endings": ["a", "b", "c"], "label": 0})"), "v.jsonl:1",
                 "3 endings", "4 are wanted");
  check_mentions(failure("v.jsonl", R"({"ctx": "c", "endings": ["a", "b", "c", "d"], "label": 4})"), "v.jsonl:1",
                 "\"4\"", "0, 1, 2, 3");
  check_mentions(failure("v.jsonl", R"({"ctx": "c", "endings": ["a", "b", "c", "[x]"], "label": 0})"), "4 of 4");
  check_mentions(failure("v.txt", "c\n0\na\nb\nc\nd\ne\n1\nf\n"), "v.txt:7", "3 lines");
  check_mentions(failure("v.txt", "c\nx\na\nb\nc\nd\n"), "v.txt:1", "\"x\"");
}

TEST_CASE("a thousand items of HellaSwag are read whole") {
  const auto path = shared_data("data/hellaswag/hellaswag_val_first1000.jsonl");
  if (!path) return;
  const auto items = tasks::read_hellaswag(*path);
  REQUIRE(items.size() == 1000);
  CHECK(items[0].prompt == "Roof shingle removal: A man is sitting on a roof. he");
  CHECK(items[0].correct == 3);
}
