// SPDX-License-Identifier: Apache-2.0
#include <common/outcome.hpp>

#include <doctest/doctest.h>

#include <limits>

using namespace zoqat;

TEST_CASE("a training that ended worse than it began says so, with both figures and what to do") {
  CHECK(programs::note_if_worse("perplexity", 7.4963, 7.5337, "Take more steps.") ==
        "The training ended worse than it began: perplexity was 7.4963 at the start and is 7.5337 at the end. "
        "Take more steps.\n");
  CHECK_FALSE(programs::note_if_worse("perplexity", 7, std::numeric_limits<double>::quiet_NaN(), "").empty());
}

TEST_CASE("a training that did not end worse says nothing") {
  CHECK(programs::note_if_worse("perplexity", 7.5, 7.25, "Take more steps.").empty());
  CHECK(programs::note_if_worse("perplexity", 7.5, 7.5, "Take more steps.").empty());
}

TEST_CASE("worse is worse by more than chance, and what is no number is") {
  CHECK(programs::is_worse(7, 7.1, 0));
  CHECK_FALSE(programs::is_worse(7, 7, 0));
  CHECK_FALSE(programs::is_worse(7, 7.06, 0.01));
  CHECK(programs::is_worse(7, 7.08, 0.01));
  CHECK(programs::is_worse(7, std::numeric_limits<double>::quiet_NaN(), 0.01));
}

TEST_CASE("a start that is worse than rounding says so, with both figures and what to do") {
  CHECK(programs::note_if_useless_start("perplexity", 20.5, 26.3, "Give more text.") ==
        "The start is worse than rounding to nearest: perplexity is 26.3, where rounding gives 20.5. Give more "
        "text.\n");
  CHECK(programs::note_if_useless_start("perplexity", 20.5, 20.5, "").empty());
}

TEST_CASE("a training of which the start is kept says so") {
  CHECK(programs::note_if_kept(0, "validation", 62.5, 50, "Take more steps.") ==
        "No step scored better than the start, which is kept: validation was 62.5 at the start and 50 at the end. "
        "Take more steps.\n");
  CHECK(programs::note_if_kept(50, "validation", 62.5, 50, "Take more steps.").empty());
}
