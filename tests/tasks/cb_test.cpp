// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/cb.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::vector<tasks::choice_item> read(std::string_view content, const tasks::cb_format& format = {}) {
  const temporary_folder folder;
  write_file(folder / "train.jsonl", content);
  return tasks::read_cb(folder / "train.jsonl", format);
}
std::string failure(std::string_view content) {
  return message_of<io_error>([&] { read(content); });
}

}  // namespace

TEST_CASE("premise and hypothesis become MeZO's prompt, labels its words") {
  const auto items = read(R"({"premise": "It rains.", "hypothesis": "it rains", "label": "entailment", "idx": 0}
{"premise": "It rains.", "hypothesis": "it is dry", "label": "contradiction", "idx": 1}
{"premise": "It rains.", "hypothesis": "it is \"cold\"", "label": "neutral", "idx": 2}
)");
  REQUIRE(items.size() == 3);
  CHECK(items[0].prompt == "Suppose It rains. Can we infer that \"it rains\"? Yes, No, or Maybe?\n");
  CHECK(items[2].prompt == "Suppose It rains. Can we infer that \"it is \"cold\"\"? Yes, No, or Maybe?\n");
  for (std::size_t i = 0; i != 3; ++i) {
    CHECK(items[i].correct == i);
    CHECK(items[i].choices == std::vector<std::string>{"Yes", "No", "Maybe"});
  }
  check_mentions(message_of<value_error>([] { read("", {.prompt = "{premise} {label}"}); }), "{label}",
                 "{premise}, {hypothesis}");
}

TEST_CASE("records that make no sense are refused with line, member and value") {
  const std::string good = R"({"premise": "p", "hypothesis": "h", "label": "neutral"})";
  check_mentions(failure(good + "\n" + R"({"premise": "p", "hypothesis": "h", "label": "maybe"})"),
                 "train.jsonl:2: label", "\"maybe\"", "entailment, contradiction, neutral");
  check_mentions(failure(R"({"premise": "p", "hypothesis": "h"})"), "train.jsonl:1", "\"label\" is missing");
  check_mentions(failure(R"({"premise": 3, "hypothesis": "h", "label": "neutral"})"), "premise", "a string", "3");
}
