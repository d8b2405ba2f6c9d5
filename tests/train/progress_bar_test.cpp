// SPDX-License-Identifier: Apache-2.0
#include <zoqat/train/progress_bar.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/quadratic.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

/// What a bar prints into a pipe.
std::string printed(std::uint32_t first, std::uint32_t steps, std::uint32_t bad_step = 1'000'000) {
  const temporary_folder folder;
  quadratic q;
  q.bad_step = bad_step;
  q.bad_loss = std::numeric_limits<double>::quiet_NaN();
  {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen((folder / "out").c_str(), "w"), std::fclose);
    train::run(q.parameters, q, q.estimator, q.optimizer, {first, steps}, q.threads, train::progress_bar(out.get()));
  }
  return read_file(folder / "out");
}
std::ptrdiff_t lines(const std::string& text) { return std::ranges::count(text, '\n'); }

}  // namespace

TEST_CASE("durations are short to read") {
  CHECK(train::duration_text(-1) == "0 s");
  CHECK(train::duration_text(0.4) == "0 s");
  CHECK(train::duration_text(59.4) == "59 s");
  CHECK(train::duration_text(59.6) == "1 min 00 s");
  CHECK(train::duration_text(185) == "3 min 05 s");
  CHECK(train::duration_text(3599.6) == "1 h 00 min");
  CHECK(train::duration_text(3600 + 120) == "1 h 02 min");
  CHECK(train::duration_text(100 * 3600) == "100 h 00 min");
}

TEST_CASE("into a pipe go plain lines, one for each twentieth of the run") {
  const std::string text = printed(0, 100);
  CHECK(lines(text) == 20);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find('\r') == std::string::npos);
  check_mentions(text, "step 5/100  loss ", " steps/s  ", " s left\n", "step 100/100  loss ", "  0 s left\n");

  CHECK(lines(printed(90, 100)) == 10);
  CHECK(lines(printed(0, 3)) == 3);
  CHECK(lines(printed(0, 0)) == 0);
  CHECK(lines(printed(5, 3)) == 0);
  CHECK(lines(printed(0, 107)) == 22);  // every fifth, and the last
}

TEST_CASE("rejected steps are told") {
  CHECK(printed(0, 3).find("rejected") == std::string::npos);
  const std::string text = printed(0, 3, 1);
  check_mentions(text, "  1 step rejected\n");
  CHECK(text.find("nan") == std::string::npos);
}
