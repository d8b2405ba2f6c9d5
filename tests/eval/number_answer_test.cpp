// SPDX-License-Identifier: Apache-2.0
#include <zoqat/eval/number_answer.hpp>

#include <doctest/doctest.h>

using namespace zoqat;

// What is expected was computed by Python's re with the harness's patterns.

TEST_CASE("the marked number is the first after four number signs") {
  CHECK(eval::strict_number("It is 4.\n#### 4") == "4");
  CHECK(eval::strict_number("#### x #### -1,200.50 #### 7") == "-1,200.50");
  CHECK(eval::strict_number("#### 18.\nmore") == "18.");
  CHECK(eval::strict_number("####  5") == "[invalid]");
  CHECK(eval::strict_number("#### -") == "[invalid]");
  CHECK(eval::strict_number("#### $5") == "[invalid]");
  CHECK(eval::strict_number("the answer is 5") == "[invalid]");
}

TEST_CASE("the last number of a text may have dollars, commas and points") {
  CHECK(eval::flexible_number("from 3 to 12 dogs") == "12");
  CHECK(eval::flexible_number("It costs $1,250.00 today") == "$1,250.00");
  CHECK(eval::flexible_number("-5 and then -42 ") == "-42");
  CHECK(eval::flexible_number("about 7") == "7");
  CHECK(eval::flexible_number("see 9. Right") == "9.");
  CHECK(eval::flexible_number("5 ... done") == "...");
  CHECK(eval::flexible_number("5 - a.") == "5");
  CHECK(eval::flexible_number("--3") == "-3");
  CHECK(eval::flexible_number("none") == "[invalid]");
  CHECK(eval::flexible_number("") == "[invalid]");
}

TEST_CASE("numbers are compared without commas, dollars, what is before the mark, and a full stop at the end") {
  CHECK(eval::comparable_number("$1,250.") == "1250");
  CHECK(eval::comparable_number("2 + 2\n#### 4") == "4");
  CHECK(eval::comparable_number("a #### b #### 1.5") == "1.5");
  CHECK(eval::comparable_number("12.\n") == "12\n");
  CHECK(eval::comparable_number("[Invalid]") == "[invalid]");
  CHECK(eval::comparable_number("") == "");
}
