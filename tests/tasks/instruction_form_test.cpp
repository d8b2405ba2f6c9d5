// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/instruction_form.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

auto read(const io::json& record) { return tasks::read_instructed_question({record, "f:1: "}); }

}  // namespace

TEST_CASE("an instruction gives back its question and its answers") {
  const auto chosen = read({{"instruction",
                             "Please choose the correct answer to the question: Where is fog, "
                             "Answer1 or: so?\n\nAnswer1: a marsh Answer2: the plains Answer3: "
                             "a desert\n\nAnswer format: answer1/answer2/answer3"},
                            {"answer", "answer2"}});
  REQUIRE(chosen.has_value());
  CHECK(chosen->question == "Where is fog, Answer1 or: so?");
  CHECK(chosen->answers == std::vector<std::string>{"a marsh", "the plains", "a desert"});
  CHECK(chosen->answer == "answer2");
  const auto yes = read({{"instruction",
                          "Please answer the following question with true or false, question: is it "
                          "so?\n\nAnswer format: true/false"},
                         {"answer", "true"}});
  REQUIRE(yes.has_value());
  CHECK(yes->question == "is it so?");
  CHECK(yes->answers.empty());
  CHECK(!read({{"question", "no instruction"}}).has_value());
}

TEST_CASE("other instructions are refused with their text") {
  check_mentions(message_of<io_error>([] {
                   static_cast<void>(read({{"instruction", "Say hello."}}));
                 }),
                 "f:1: instruction", "Say hello.", "question: ");
  check_mentions(message_of<io_error>([] {
                   static_cast<void>(read({{"instruction", "question: a?\n\nAnswer1: b"}, {"answer", "answer1"}}));
                 }),
                 "Answer format: ");
}
