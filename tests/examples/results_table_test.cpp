// SPDX-License-Identifier: Apache-2.0
#include <common/results_table.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <zoqat/io/json.hpp>

#include <cstddef>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("the mean and deviation of a sample are those of statistics") {
  const std::vector<double> sample{2, 4, 9}, single{7}, equal(3, 63.532110091743121);
  CHECK(programs::moments_of(sample).mean == doctest::Approx(5));
  CHECK(programs::moments_of(sample).deviation == doctest::Approx(3.605551275));
  CHECK(programs::moments_of(single).mean == 7);
  CHECK(programs::moments_of(single).deviation == 0);
  CHECK(programs::moments_of(equal).mean == equal.front());
  CHECK(programs::moments_of(equal).deviation == 0);
}

TEST_CASE("rows keep their order, columns are aligned, and seeds of a row become mean and deviation") {
  programs::results_table table({{"accuracy", 2}, {"weight bytes"}});
  table.add("zero-shot", {0.5, 1000});
  table.add("a", {0.25, programs::results_table::none});
  table.add("zero-shot", {0.75, 1000});
  CHECK(table.text("tiny") ==
        "tiny\n"
        "                accuracy    weight bytes\n"
        "zero-shot    0.62 ± 0.18            1000\n"
        "a                   0.25               -\n");
}

TEST_CASE("a table without rows is its head") {
  CHECK(programs::results_table({{"p", 1}}).text("c") == "c\n    p\n");
}

TEST_CASE("programs read every figure") {
  const temporary_folder folder;
  programs::results_table table({{"accuracy", 2}, {"weight bytes"}});
  table.add("b", {0.123456, std::size_t{1234567}});
  table.add("a", {0.5, 1});
  table.add("a", {programs::results_table::none, 2});
  table.write_json(folder / "t.json");
  const io::json found = io::read_json(folder / "t.json");
  CHECK(found["b"] == io::json{{"accuracy", 0.123456}, {"weight_bytes", 1234567}});
  CHECK(found["a"]["accuracy"] == io::json{0.5, nullptr});
  CHECK(found["a"]["weight_bytes"] == io::json{1, 2});
  CHECK(found["b"]["weight_bytes"].is_number_integer());
}

TEST_CASE("figures that are not as many as columns are refused") {
  programs::results_table table({{"x"}, {"y"}});
  check_mentions(message_of<value_error>([&] { table.add("row", {1}); }), "row", "1 figures", "2 columns");
}
