// SPDX-License-Identifier: Apache-2.0
#include <common/report_page.hpp>

#include <zoqat/core/error.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/well_formed.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::programs;
using namespace zoqat::testing;

namespace {

constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

run_record run(std::string name, double bits, std::size_t steps) {
  run_record r{.name = std::move(name)};
  r.settings = {{"directions", "1"}, {"text", "<&>.txt"}};
  r.steps = static_cast<std::uint32_t>(steps);
  for (std::size_t i = 0; i != steps; ++i) {
    r.metrics["step"].push_back(static_cast<double>(i));
    r.metrics["loss"].push_back(i == 3 ? std::numeric_limits<double>::infinity() : 2 - 1e-3 * static_cast<double>(i));
    r.metrics["flip_rate"].push_back(i % 25 == 24 ? 0.125 : no_number);
    r.metrics["perplexity"].push_back(i == 99 ? 14.75 : no_number);
  }
  r.table = {
      {"full_precision", 13.5, 9000}, {"rtn", no_number, 1000}, {"reconstructed", 15, 1000}, {"zeroqat", 14.5, 1000}};
  r.scheme = "w4a16";
  r.bits = bits;
  r.exported_bits = bits / 2;
  r.kept = 100;
  r.notes = {"a note"};
  return r;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++found;
  return found;
}

}  // namespace

TEST_CASE("a page of some runs is well-formed, needs nothing beside itself, and has their table and four charts") {
  const std::vector<run_record> runs{run("a<b", 4.25, 1000), run("c", 3.25, 150)};
  const std::string page = report_page(runs);
  CHECK(xml_checker::problem_of(page) == "");
  CHECK(count(page, "<svg") == 4);
  CHECK(count(page, "<tr>") == 3);
  check_mentions(page, "zeroqat: 2 runs",
                 "<td>a&lt;b</td><td>w4a16</td><td>4.250</td><td>2.125</td><td>1000</td><td>100</td><td>2000</td>",
                 "<td>13.5000</td><td>–</td><td>15.0000</td><td>14.5000</td><td>1000</td>", "full precision 13.5",
                 "2 points left out: not finite", "means of neighbors", "text = &lt;&amp;&gt;.txt", "a note",
                 "prefers-color-scheme: dark");
  // Four points by passes: the start, the evaluation after step 100, the end; and two by bits, for each run.
  CHECK(count(page, "<circle") == 2 * (3 + 2));
  check_mentions(page, "forward passes over the data of a step 200, perplexity 14.75",
                 "forward passes over the data of a step 300, perplexity 14.5",
                 "bits per weight of linear layers, as stored 3.25, perplexity 15<");
  for (const char* const outside : {"http://", "https://", "src=", "href=", "url(", "@import", "<script", "<link"})
    CHECK(count(page, outside) == (std::string(outside) == "http://" ? 1 : 0));  // the namespace's name alone
}

TEST_CASE(
    "what is not known is not drawn: a run with a table alone has no chart, and a rule stands for all runs or none") {
  run_record bare{.name = "bare"};
  bare.table = {{"full_precision", 13.5, 9000}, {"zeroqat", 14.5, 1000}};
  const std::string page = report_page(std::array{bare});
  CHECK(xml_checker::problem_of(page) == "");
  CHECK(count(page, "<svg") == 0);
  check_mentions(page, "<td>bare</td><td>–</td><td>–</td><td>–</td><td>–</td><td>–</td><td>–</td><td>13.5000</td>");
  std::vector<run_record> runs{run("a", 4, 30), run("b", 3, 30)};
  runs[1].table[0].perplexity = 12;
  CHECK(count(report_page(runs), "full precision") == 0);
  check_mentions(message_of<value_error>([] { static_cast<void>(report_page({})); }), "one run at least");
}

TEST_CASE("a report is written as a file, and never over one that it reads") {
  const temporary_folder folder;
  write_file(folder / "a.csv", "step,loss\n0,2\n1,1\n");
  const std::vector<std::filesystem::path> files{folder / "a.csv"};
  write_report(files, folder / "page.html");
  CHECK(xml_checker::problem_of(read_file(folder / "page.html")) == "");
  check_mentions(message_of<value_error>([&] { write_report(files, folder / "a.csv"); }), "--output", "a.csv");
  CHECK(read_file(folder / "a.csv") == "step,loss\n0,2\n1,1\n");
}
