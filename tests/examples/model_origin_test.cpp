// SPDX-License-Identifier: Apache-2.0
#include <common/model_origin.hpp>

#include <doctest/doctest.h>
#include <support/files.hpp>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("a model names the log that made it, by what all of it holds") {
  const temporary_folder folder;
  auto log = zo::run_log::create(folder / "run.zlog", {.seed = 1});
  const auto before = programs::origin_of(log, 0);
  log.append({.seed = 1, .step = 0, .half_difference = {1}});
  const auto origin = programs::origin_of(log, 1);
  CHECK(origin.at("run_log") == "run.zlog");
  CHECK(origin.at("run_log_steps") == "1");
  CHECK(origin.at("run_log_chain") != before.at("run_log_chain"));
  CHECK(origin.at("run_log_chain").size() == 16);
}
