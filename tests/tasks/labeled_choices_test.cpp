// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/labeled_choices.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::vector<tasks::choice_item> read(std::string_view content, std::string_view prompt = "Q: {question}") {
  const temporary_folder folder;
  write_file(folder / "t.jsonl", content);
  return tasks::read_labeled_choices(folder / "t.jsonl", prompt, " {choice}");
}
std::string failure(std::string_view content) {
  return message_of<io_error>([&] { read(content); });
}

}  // namespace

TEST_CASE("the forms of the Allen Institute, of Hugging Face and of instructions become the same items") {
  const std::vector<tasks::choice_item> expected{{"Q: Why?", {" so", " not so", " else"}, 1}};
  CHECK(read(R"({"id": "7", "question": {"stem": "Why?", "choices": [{"text": "so", "label": "A"},)"
             R"( {"text": "not so", "label": "B"}, {"text": "else", "label": "C"}]}, "answerKey": "B"})") ==
        expected);
  CHECK(read(R"({"question": "Why?", "choices": {"text": ["so", "not so", "else"], "label": ["1", "2", "3"]},)"
             R"( "answerKey": "2"})") == expected);
  CHECK(read(R"({"question_stem": "Why?", "choices": {"text": ["so", "not so", "else"], "label": ["A", "B", "C"]},)"
             R"( "answerKey": " B"})") == expected);
  CHECK(
      read(R"({"instruction": "Please choose the correct answer to the question: Why?\n\nAnswer1: so Answer2: not so)"
           R"( Answer3: else\n\nAnswer format: answer1/answer2/answer3", "answer": "answer2"})") == expected);
  check_mentions(message_of<value_error>([] { read("{}", "{stem}"); }), "{stem}", "{question}");
}

TEST_CASE("questions that make no sense are refused by line and value") {
  const std::string good =
      R"({"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"})";
  CHECK(read(good).size() == 1);
  check_mentions(failure(good + "\n" + R"({"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]},)" +
                         R"( "answerKey": "C"})"),
                 "t.jsonl:2", "\"C\"", "A, B");
  check_mentions(failure(R"({"question": "q", "choices": {"text": ["a", "b"], "label": ["A"]}, "answerKey": "A"})"),
                 "t.jsonl:1: choices", "2 texts", "1 label");
  check_mentions(failure(R"({"question": "q", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "A"})"),
                 "t.jsonl:1", "1 answer", "at least two");
  check_mentions(
      failure(R"({"question": "q", "choices": {"text": ["a", ""], "label": ["A", "B"]}, "answerKey": "A"})"),
      "t.jsonl:1", "answer 2 of 2 is empty");
  check_mentions(failure(R"({"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}})"),
                 "\"answerKey\" is missing");
}
