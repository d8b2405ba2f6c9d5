// SPDX-License-Identifier: Apache-2.0
#include <common/svg_chart.hpp>

#include <zoqat/core/error.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/well_formed.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::programs;
using namespace zoqat::testing;

namespace {

constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++found;
  return found;
}

// The pairs of coordinates of the first line.
std::vector<std::array<double, 2>> line_of(const std::string& figure) {
  const std::size_t begin = figure.find("points=\"") + 8;
  std::istringstream in(figure.substr(begin, figure.find('"', begin) - begin));
  std::vector<std::array<double, 2>> points;
  std::array<double, 2> p{};
  char comma = 0;
  while (in >> p[0] >> comma >> p[1]) points.push_back(p);
  return points;
}

}  // namespace

TEST_CASE("the checker of well-formedness finds what it is for") {
  CHECK(xml_checker::problem_of("<!DOCTYPE html>\n<a b=\"1\" c=\"&lt;\">x<d/>&amp;</a>\n") == "");
  for (const char* const bad : {"<a><b></a></b>", "<a>", "<a/><b/>", "<a b=1/>", "<a b=\"1\" b=\"2\"/>", "<a>&x;</a>",
                                "<a>&</a>", "<a", "text", "", "<a/>text", "<a b=\"<\"/>"})
    CHECK_MESSAGE(xml_checker::problem_of(bad) != "", bad);
}

TEST_CASE("text is escaped, and bytes that XML does not take become question marks") {
  CHECK(escaped("a<b> & \"c\" ü–😀\n") == "a&lt;b&gt; &amp; &quot;c&quot; ü–😀\n");
  CHECK(escaped(std::string("\x01\x7f", 2)) == "?\x7f");
  CHECK(escaped("\xff|\xc3|\xe2\x82|\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80") == "?|?|??|??|???|????");
  CHECK(escaped("\xef\xbf\xbe") == "???");
}

TEST_CASE("ticks are round, inside of the range, and no more than asked for") {
  CHECK(ticks(0, 10, 5) == std::vector<double>{0, 2, 4, 6, 8, 10});
  CHECK(ticks(-1, 1, 4) == std::vector<double>{-1, -0.5, 0, 0.5, 1});
  CHECK(ticks(13.1, 13.9, 8).front() == doctest::Approx(13.1));
  for (const double low : {-7.3, 0.0, 1e-7, 12345.0})
    for (const double size : {1e-6, 0.37, 9.0, 1e5}) {
      const auto t = ticks(low, low + size, 6);
      CHECK(t.size() >= 2);
      CHECK(t.size() <= 8);
      for (const double v : t) CHECK((v >= low - 1e-9 * size && v <= low + size * (1 + 1e-9)));
    }
}

TEST_CASE("lines are thinned to means of neighbors, and short ones are left alone") {
  std::vector<std::array<double, 2>> points;
  for (int i = 0; i != 10; ++i) points.push_back({double(i), double(i * i)});
  CHECK(thinned(points, 10) == points);
  CHECK(thinned(points, 4) ==
        std::vector<std::array<double, 2>>{{1, 5.0 / 3}, {4, 50.0 / 3}, {7, 149.0 / 3}, {9, 81}});
}

TEST_CASE("a chart draws its points where its axes say, with legend, rule and note, as well-formed markup") {
  chart c{.title = "T & t",
          .x_label = "x",
          .y_label = "y",
          .note = "n<n",
          .series = {{"one", {{0, 0}, {1, 10}, {2, 5}, {3, no_number}}, false, 0}, {"two <", {{0.5, 20}}, true, 9}},
          .rule_name = "limit",
          .rule = 30};
  const std::string figure = figure_of(c);
  CHECK(xml_checker::problem_of(figure) == "");
  check_mentions(figure, "T &amp; t", "n&lt;n", "limit 30", ">two &lt;</li>", "<title>two &lt;: x 0.5, y 20</title>");
  CHECK(count(figure, "<polyline") == 2);
  CHECK(count(figure, "<circle") == 1);
  CHECK(count(figure, "class=\"c1\"") == 2);  // the ninth color is the first one again, the tenth the second
  const auto line = line_of(figure);
  REQUIRE(line.size() == 3);  // what is not finite is left out
  CHECK(line[1][0] - line[0][0] == doctest::Approx(line[2][0] - line[1][0]).epsilon(1e-3));
  CHECK((line[0][1] - line[2][1]) * 2 == doctest::Approx(line[0][1] - line[1][1]).epsilon(2e-3));  // y grows upward
  c.rule_name = "";
  CHECK(line_of(figure_of(c))[1][1] < line[1][1]);  // no room is kept for a rule that is not there

  c.from_zero = true;
  c.series[0].points = {{0, 8}, {1, 10}};
  c.series.resize(1);
  const auto high = line_of(figure_of(c));
  CHECK(high[1][1] < high[0][1]);
  CHECK(high[0][1] < 0.5 * (16 + 312));  // four fifths of the way up from zero

  CHECK(xml_checker::problem_of(figure_of({.series = {{"", {{3, 7}}, true, 0}}})) == "");  // ranges of no size
  CHECK(xml_checker::problem_of(figure_of({.series = {{"", {{0, 0}}, true, 0}}})) == "");
  const std::string zeros = figure_of({.series = {{"", {{0, 0}, {1, 0}}, false, 0}}, .from_zero = true});
  CHECK(line_of(zeros)[0][1] == 312);  // at the bottom of the axes
  check_mentions(message_of<value_error>([] { static_cast<void>(figure_of({.title = "empty", .series = {{}}})); }),
                 "'empty'");
}
