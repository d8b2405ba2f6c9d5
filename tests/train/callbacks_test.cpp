// SPDX-License-Identifier: Apache-2.0
#include <zoqat/train/callbacks.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/quadratic.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::istringstream in(read_file(path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}
std::vector<std::uint32_t> evaluated(std::uint32_t every, std::uint32_t first, std::uint32_t steps) {
  quadratic q;
  std::vector<std::uint32_t> at;
  train::run(q.parameters, q, q.estimator, q.optimizer, {first, steps}, q.threads,
             train::evaluate_every{every, [&](std::uint32_t done) { at.push_back(done); }});
  return at;
}

}  // namespace

static_assert(train::is_due(3, 6, 9) && train::is_due(3, 7, 7) && !train::is_due(3, 7, 9) && !train::is_due(0, 7, 7));

TEST_CASE("evaluations come every so many steps and at the end") {
  using steps = std::vector<std::uint32_t>;
  CHECK(evaluated(3, 0, 7) == steps{3, 6, 7});
  CHECK(evaluated(3, 4, 6) == steps{6});
  CHECK(evaluated(1, 0, 2) == steps{1, 2});
  CHECK(evaluated(100, 0, 2) == steps{2});
  CHECK(evaluated(0, 0, 2).empty());
  CHECK(evaluated(3, 7, 7).empty());
}

TEST_CASE("every update goes to the log") {
  const temporary_folder folder;
  quadratic q;
  auto log = zo::run_log::create(
      folder / "run.zlog", {.seed = q.estimator.seed, .start = 0, .settings = {}, .distribution = "rademacher"});
  std::size_t behind = 0;
  struct later {
    zo::run_log* log;
    std::size_t* behind;
    void after_step(const train::step_report& report) { *behind += log->updates().back() != *report.update; }
  };
  train::run(q.parameters, q, q.estimator, q.optimizer, {0, 4}, q.threads, train::write_log{&log},
             later{&log, &behind});
  CHECK(behind == 0);
  CHECK(zo::run_log::read(folder / "run.zlog").updates() == log.updates());
  CHECK(log.updates().size() == 4);
}

TEST_CASE("parameters are never ahead of their log, whoever throws") {
  const temporary_folder folder;
  struct refuses {
    std::uint32_t step;
    bool before;
    void before_update(const train::step_report& report) const {
      if (before && report.step == step) throw std::runtime_error("no");
    }
    void after_step(const train::step_report& report) const {
      if (!before && report.step == step) throw std::runtime_error("no");
    }
  };
  const auto steps_of = [](std::uint32_t steps) {
    quadratic q;
    train::run(q.parameters, q, q.estimator, q.optimizer, {0, steps}, q.threads);
    return q.values;
  };
  for (const bool before : {true, false}) {
    quadratic q;
    auto log = zo::run_log::create(folder / "run.zlog", {.seed = q.estimator.seed}, {.replace = true});
    const auto run = [&] {
      train::run(q.parameters, q, q.estimator, q.optimizer, {0, 9}, q.threads, refuses{3, before},
                 train::write_log{&log});
    };
    CHECK_THROWS_AS(run(), std::runtime_error);
    CHECK(log.steps() == (before ? 3 : 4));
    CHECK(q.values == steps_of(log.steps()));
  }
  // A log of another seed takes no update at all.
  quadratic q;
  auto log = zo::run_log::create(folder / "other.zlog", {.seed = q.estimator.seed + 1});
  CHECK_THROWS_AS(train::run(q.parameters, q, q.estimator, q.optimizer, {0, 9}, q.threads, train::write_log{&log}),
                  value_error);
  CHECK(q.values == steps_of(0));
}

TEST_CASE("metrics are lines of a CSV file, on disk after each step; a run that goes on appends") {
  const temporary_folder folder;
  const auto path = folder / "metrics.csv";
  quadratic q;
  std::size_t torn = 0;
  struct look {
    std::filesystem::path path;
    std::size_t* torn;
    void after_step(const train::step_report& report) {
      *torn += lines_of(path).size() != report.step + 2 || !read_file(path).ends_with('\n');
    }
  };
  train::run(q.parameters, q, q.estimator, q.optimizer, {0, 3}, q.threads, train::csv_metrics{path},
             look{path, &torn});
  train::run(q.parameters, q, q.estimator, q.optimizer, {3, 5}, q.threads, train::csv_metrics{path},
             look{path, &torn});
  CHECK(torn == 0);
  const auto lines = lines_of(path);
  REQUIRE(lines.size() == 6);
  std::string header = "step,loss,slope,agreed_power,power,spread,flip_rate";
  for (const char* of : {",epsilon_", ",gain_"})
    for (const std::string_view name : parameter_group_names) header.append(of).append(name);
  CHECK(lines[0] == header);
  for (std::size_t i = 1; i != lines.size(); ++i) {
    CHECK(lines[i].starts_with(std::to_string(i - 1) + ","));
    CHECK(std::ranges::count(lines[i], ',') == std::ranges::count(lines[0], ','));
  }
  CHECK(std::stod(lines[1].substr(2)) == doctest::Approx(10).epsilon(0.01));  // 20 / 2 at the start

  train::run(q.parameters, q, q.estimator, q.optimizer, {0, 1}, q.threads, train::csv_metrics{path});
  CHECK(lines_of(path).size() == 2);
}

TEST_CASE("the rate of codes that flip is asked for where it is due") {
  const temporary_folder folder;
  const auto path = folder / "metrics.csv";
  quadratic q;
  std::vector<std::uint32_t> asked;
  const auto rate = [&](const zo::measurement& e) { return asked.push_back(e.step), 0.25; };
  train::run(q.parameters, q, q.estimator, q.optimizer, {0, 5}, q.threads, train::csv_metrics{path, rate, 2});
  CHECK(asked == std::vector<std::uint32_t>{1, 3, 4});
  const auto lines = lines_of(path);
  REQUIRE(lines.size() == 6);
  for (std::size_t i = 1; i != lines.size(); ++i)
    CHECK((lines[i].find(",0.25,") != std::string::npos) == (i % 2 == 0 || i == 5));
}

TEST_CASE("what was measured of the model stands in a column of its own, empty where nothing was") {
  const temporary_folder folder;
  const auto path = folder / "metrics.csv";
  quadratic q;
  double measured = std::numeric_limits<double>::quiet_NaN();
  const auto evaluate = [&](std::uint32_t done) { measured = 10.5 + done; };
  const auto taken = [&] { return std::exchange(measured, std::numeric_limits<double>::quiet_NaN()); };
  train::run(q.parameters, q, q.estimator, q.optimizer, {0, 5}, q.threads, train::evaluate_every(2, evaluate),
             train::csv_metrics{path, {}, 1, {"perplexity", taken}});
  const auto lines = lines_of(path);
  REQUIRE(lines.size() == 6);
  CHECK(lines[0].ends_with(",perplexity"));
  for (std::size_t i = 1; i != lines.size(); ++i) {
    CHECK(std::ranges::count(lines[i], ',') == std::ranges::count(lines[0], ','));
    const std::string last = lines[i].substr(lines[i].rfind(',') + 1);
    CHECK(last == (i == 2 ? "12.5" : i == 4 ? "14.5" : i == 5 ? "15.5" : ""));
  }
}

TEST_CASE("metrics that cannot be written are refused with the file") {
  const temporary_folder folder;
  quadratic q;
  check_mentions(message_of<io_error>([&] {
                   train::run(q.parameters, q, q.estimator, q.optimizer, {0, 1}, q.threads,
                              train::csv_metrics{folder / "none/metrics.csv"});
                 }),
                 "none/metrics.csv", "No such file");
}

TEST_CASE("metrics go on after what is whole of the steps that are in the log") {
  const temporary_folder folder;
  const auto path = folder / "metrics.csv";
  const auto made = [&](std::uint32_t first, std::uint32_t steps) {
    quadratic q;
    train::run(q.parameters, q, q.estimator, q.optimizer, {first, steps}, q.threads, train::csv_metrics{path});
    return read_file(path);
  };
  const std::string whole = made(0, 5);
  const std::size_t third = whole.find("\n2,") + 1;
  // The log ends after two steps; the metrics within a line, with a line more, with nothing, within the names.
  for (const std::size_t left : {third + 4, whole.size(), std::size_t{0}, std::size_t{7}}) {
    write_file(path, whole.substr(0, left));
    const std::string after = made(2, 5);
    CHECK(std::ranges::count(after, '\n') == (left > 7 ? 6 : 4));
    CHECK(after.starts_with(whole.substr(0, whole.find('\n') + 1)));
    if (left > 7) CHECK(after.starts_with(whole.substr(0, third)));
    CHECK(after.find("\n2,") != after.npos);
    CHECK(after.find("\n2,") == after.rfind("\n2,"));
  }
  quadratic q;
  check_mentions(
      message_of<io_error>([&] {
        train::run(q.parameters, q, q.estimator, q.optimizer, {0, 1}, q.threads, train::csv_metrics{"/dev/full"});
      }),
      "/dev/full", "cannot write metrics", "No space left");
}
