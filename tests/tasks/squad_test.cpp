// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/squad.hpp>

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

std::vector<tasks::answer_item> read(std::string_view content, const tasks::squad_format& format = {}) {
  const temporary_folder folder;
  write_file(folder / "q.json", content);
  return tasks::read_squad(folder / "q.json", format);
}
/// A file of one article and one paragraph with these questions.
std::string file_of(std::string_view questions) {
  return R"({"version": "v2.0", "data": [{"title": "Old_Mill", "paragraphs": [
            {"context": "The mill is red.", "qas": [)" +
         std::string(questions) + "]}]}]}";
}
constexpr std::string_view answerable =
    R"({"question": " What colour is it? ", "id": "a1", "answers": [{"text": "red", "answer_start": 12},
        {"text": "The red", "answer_start": 0}]})";
constexpr std::string_view impossible =
    R"({"question": "Who built it?", "id": "a2", "answers": [], "is_impossible": true,
        "plausible_answers": [{"text": "mill", "answer_start": 4}]})";

}  // namespace

TEST_CASE("a question becomes MeZO's prompt; its first answer trains and all count") {
  const auto items = read(file_of(answerable));
  REQUIRE(items.size() == 1);
  CHECK(items[0].prompt == "Title: Old_Mill\nContext: The mill is red.\nQuestion: What colour is it?\nAnswer:");
  CHECK(items[0].completion == " red\n");
  CHECK(items[0].answers == std::vector<std::string>{"red", "The red"});
  CHECK(items[0].id == "a1");
}

TEST_CASE("questions that cannot be answered are left out, or answered as one wishes") {
  const std::string file = file_of(std::string(answerable) + "," + std::string(impossible));
  CHECK(read(file).size() == 1);
  const auto items = read(file, {.unanswerable = "no answer"});
  REQUIRE(items.size() == 2);
  CHECK(items[1].completion == " no answer\n");
  CHECK(items[1].answers == std::vector<std::string>{"no answer"});
}

TEST_CASE("what is no such file is refused with the way to the value") {
  const auto failure = [](const std::string& content) { return message_of<io_error>([&] { read(content); }); };
  check_mentions(failure("[]"), "q.json: ", "\"data\"");
  check_mentions(failure(file_of(R"({"question": "?", "id": "x", "answers": []})")),
                 "q.json: data[0].paragraphs[0].qas[0].answers", "no answer");
  check_mentions(failure(file_of(R"({"question": "?", "id": "x", "answers": [{"text": 1}]})")),
                 "qas[0].answers[0].text", "a string", "1");
  check_mentions(failure(file_of(R"({"question": "?", "answers": [{"text": "x"}]})")), "qas[0]", "\"id\" is missing");
  check_mentions(message_of<value_error>([] { read("", {.completion = " {gold}"}); }), "{gold}", "{answer}");
}

TEST_CASE("SQuAD's own files are read whole") {
  const auto v1 = shared_data("data/squad/squad_v1_fixture.json"), v2 = shared_data("data/squad/dev-v2.0.json");
  if (!v1 || !v2) return;
  CHECK(!tasks::read_squad(*v1).empty());
  CHECK(tasks::read_squad(*v2).size() == 2910);
  const auto all = tasks::read_squad(*v2, {.unanswerable = ""});
  CHECK(all.size() == 6078);
  CHECK(std::ranges::count(all, " \n", &tasks::answer_item::completion) == 6078 - 2910);
}
