// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/shots.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <cstddef>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::vector<tasks::choice_item> numbered(std::size_t count) {
  std::vector<tasks::choice_item> items;
  for (std::size_t i = 0; i != count; ++i) items.push_back({"q" + std::to_string(i) + ":", {" no", " yes"}, i % 2});
  return items;
}

}  // namespace

TEST_CASE("the first examples, solved, go before every question, after the description") {
  auto items = numbered(2);
  tasks::add_shots(items, numbered(5), {.count = 2, .first = true, .description = "About q.\n\n"});
  const auto before = numbered(2);
  for (std::size_t i = 0; i != items.size(); ++i)
    CHECK(items[i].prompt == "About q.\n\nq0: no\n\nq1: yes\n\n" + before[i].prompt);
  auto bare = numbered(1);
  tasks::add_shots(bare, {}, {.description = "About q.\n\n"});
  CHECK(bare[0].prompt == "About q.\n\nq0:");
}

TEST_CASE("drawn examples are those of the harness, others for each question") {
  auto items = numbered(2);
  tasks::add_shots(items, numbered(7473), {.count = 5});
  CHECK(items[0].prompt == "q6374: no\n\nq3610: no\n\nq957: yes\n\nq61: yes\n\nq742: no\n\nq0:");
  CHECK(items[1].prompt == "q7462: no\n\nq6610: no\n\nq4769: yes\n\nq286: no\n\nq5501: yes\n\nq1:");
  check_mentions(message_of<value_error>([&] { tasks::add_shots(items, numbered(3), {.count = 4}); }), "4 examples",
                 "there are 3");
}

TEST_CASE("items of all kinds have examples") {
  std::vector<tasks::cloze_item> blanks{{{"A cat", "A dog"}, " barks.", 1}};
  tasks::add_shots(blanks, blanks, {.count = 1, .first = true});
  CHECK(blanks[0].prompts == std::vector<std::string>{"A dog barks.\n\nA cat", "A dog barks.\n\nA dog"});
  std::vector<tasks::answer_item> answers{{"1+1?", " 2", {"2"}, "0"}};
  tasks::add_shots(answers, answers, {.count = 1, .first = true, .delimiter = "\n"});
  CHECK(answers[0].prompt == "1+1? 2\n1+1?");
}
