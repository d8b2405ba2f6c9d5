// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/drop.hpp>

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

using strings = std::vector<std::string>;

std::vector<tasks::answer_item> read(std::string_view content, const char* name = "d.json") {
  const temporary_folder folder;
  write_file(folder / name, content);
  return tasks::read_drop(folder / name);
}
/// The golds of a question with that answer, and more members.
strings answers_of(const std::string& answer, const std::string& more = "") {
  const auto items = read(R"({"p_1": {"passage": "Two ducks swam.", "qa_pairs": [
                           {"question": "How many? ", "query_id": "q7", "answer": )" +
                          answer + more + "}]}}");
  REQUIRE(items.size() == 1);
  CHECK(items[0].prompt == "Passage: Two ducks swam.\nQuestion: How many?\nAnswer:");
  CHECK(items[0].completion == " " + items[0].answers.front() + "\n");
  CHECK(items[0].id == "q7");
  return items[0].answers;
}

}  // namespace

TEST_CASE("an answer is a number, spans or a date, and validated answers count in its place") {
  CHECK(answers_of(R"({"number": "2", "date": {"day": "", "month": "", "year": ""}, "spans": []})") == strings{"2"});
  CHECK(answers_of(R"({"number": "", "date": {}, "spans": ["ducks", "two ducks"]})") ==
        strings{"ducks", "two ducks"});
  CHECK(answers_of(R"({"number": "", "date": {"day": "3", "month": "May", "year": "1900"}, "spans": []})") ==
        strings{"3 May 1900"});
  CHECK(answers_of(R"({"date": {"day": "", "month": "May", "year": "1900"}})") == strings{"May 1900"});
  CHECK(answers_of(R"({"number": "2", "spans": []})",
                   R"(, "validated_answers": [{"number": "", "spans": ["two"]}, {"number": "", "spans": []}])") ==
        strings{"two"});
  CHECK(answers_of(R"({"number": "2", "spans": []})", R"(, "validated_answers": [])") == strings{"2"});
}

TEST_CASE("questions with an empty answer or one of two kinds are left out and counted") {
  const auto question = [](const std::string& id, const std::string& answer, const std::string& more = "") {
    return R"({"question": "?", "query_id": ")" + id + R"(", "answer": )" + answer + more + "}";
  };
  const std::string good = R"({"number": "2", "spans": []})";
  const std::string both = R"({"number": "2", "spans": ["two"]})";
  const std::string empty = R"({"number": "", "date": {}, "spans": []})";
  const std::string dated = R"({"number": "2", "date": {"year": "1900"}, "spans": []})";
  const std::string long_ago = R"({"number": "", "date": {"year": "1900"}, "spans": ["long ago"]})";
  const std::string content = R"({"p": {"passage": "p", "qa_pairs": [)" + question("empty", empty) + "," +
                              question("good", good) + "," + question("both", both) + "," + question("dated", dated) +
                              "," + question("long ago", long_ago) + "," +
                              question("validated", good, R"(, "validated_answers": [)" + good + "," + both + "]") +
                              "," + question("all empty", good, R"(, "validated_answers": [)" + empty + "]") + "]}}";
  const temporary_folder folder;
  write_file(folder / "d.json", content);
  std::size_t left_out = 99;
  const auto items = tasks::read_drop(folder / "d.json", {}, &left_out);
  REQUIRE(items.size() == 1);
  CHECK(items[0].id == "good");
  CHECK(left_out == 6);
  write_file(folder / "d.json",
             R"([{"passage": "p", "question": "?", "query_id": "q", "answers_spans": {"spans": []}}])");
  CHECK(tasks::read_drop(folder / "d.json", {}, &left_out).empty());
  CHECK(left_out == 1);
}

TEST_CASE("Hugging Face's records are read from an array and from lines") {
  const std::string record = R"({"section_id": "p_1", "query_id": "q7", "passage": "Two ducks swam.",
      "question": "How many?", "answers_spans": {"spans": ["2", "two"], "types": ["number", "span"]}})";
  std::string line = record;
  std::erase(line, '\n');
  for (const auto& items : {read("[" + record + "]"), read(line + "\n", "d.jsonl")}) {
    REQUIRE(items.size() == 1);
    CHECK(items[0].prompt == "Passage: Two ducks swam.\nQuestion: How many?\nAnswer:");
    CHECK(items[0].answers == strings{"2", "two"});
    CHECK(items[0].id == "q7");
  }
}

TEST_CASE("what is no such file is refused with the way to the value") {
  const auto failure = [](const std::string& content) { return message_of<io_error>([&] { read(content); }); };
  const auto with_answer = [](const std::string& answer) {
    return R"({"p_1": {"passage": "p", "qa_pairs": [{"question": "?", "query_id": "q", "answer": )" + answer + "}]}}";
  };
  check_mentions(failure(with_answer(R"({"number": 2})")), "p_1.qa_pairs[0].answer.number", "a string", "2");
  check_mentions(failure(R"({"p_1": {"qa_pairs": []}})"), "d.json: p_1", "\"passage\" is missing");
  check_mentions(failure(R"([{"passage": "p", "answers_spans": {"spans": "two"}}])"), "[0].answers_spans.spans",
                 "an array");
}

TEST_CASE("DROP's own form is read") {
  const auto path = shared_data("data/drop/drop_fixture.json");
  if (!path) return;
  const auto items = tasks::read_drop(*path);
  CHECK(items.size() == 19);
  CHECK(std::ranges::count(items, strings{"Kansas City"}, &tasks::answer_item::answers) == 1);
}
