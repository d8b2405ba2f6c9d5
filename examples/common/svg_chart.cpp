// SPDX-License-Identifier: Apache-2.0
#include <common/svg_chart.hpp>

#include <zoqat/core/error.hpp>  // require

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace zoqat::programs {

namespace {

using point = std::array<double, 2>;

/// The bytes of the UTF-8 character at the start of `text` if XML has it, else 0.
std::size_t character_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return byte(0) >= 0x20 || text[0] == '\t' || text[0] == '\n' || text[0] == '\r' ? 1 : 0;
  const std::size_t length = byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : 2;
  if (byte(0) < 0xC2 || byte(0) > 0xF4 || text.size() < length) return 0;
  std::uint32_t code = byte(0) & (0x7Fu >> length);
  for (std::size_t i = 1; i != length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  const std::uint32_t least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  const bool surrogate = code >= 0xD800 && code < 0xE000, none = code == 0xFFFE || code == 0xFFFF;
  return code < least || code > 0x10FFFF || surrogate || none ? 0 : length;
}

/// Where a chart draws, in units of its view box.
constexpr double width = 720, height = 360, left = 76, right = 700, top = 16, bottom = 312;

struct range {
  double low = INFINITY, high = -INFINITY;

  void add(double v) { low = std::min(low, v), high = std::max(high, v); }
  /// The range with some room, so that no point lies on the edge.
  [[nodiscard]] range widened() const {
    const double size = high - low;
    const double room = size > 0 ? 0.05 * size : low == 0 ? 1 : 0.1 * std::abs(low);
    return {low - room, high + room};
  }
};

bool is_finite(const point& p) { return std::isfinite(p[0]) && std::isfinite(p[1]); }

/// From values to places.
struct frame {
  range x, y;

  [[nodiscard]] double at_x(double v) const { return left + (v - x.low) / (x.high - x.low) * (right - left); }
  [[nodiscard]] double at_y(double v) const { return bottom - (v - y.low) / (y.high - y.low) * (bottom - top); }
};

frame frame_of(const chart& c) {
  frame f;
  for (const chart_series& s : c.series)
    for (const point& p : s.points)
      if (is_finite(p)) f.x.add(p[0]), f.y.add(p[1]);
  require(f.x.low <= f.x.high, "the chart '{}' has no point to draw", c.title);
  if (!c.rule_name.empty()) f.y.add(c.rule);
  const double least = f.y.low;
  f = {f.x.widened(), f.y.widened()};
  if (c.from_zero) f.y.low = least < 0 ? f.y.low : 0;
  return f;
}

std::string axes_of(const chart& c, const frame& f) {
  std::string out = "<g class=\"axes\">";
  for (const double v : ticks(f.x.low, f.x.high, 8))
    out += fmt::format(
        "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/><text x=\"{0:.1f}\" y=\"{3}\" "
        "text-anchor=\"middle\">{4:g}</text>",
        f.at_x(v), top, bottom, bottom + 22, v);
  for (const double v : ticks(f.y.low, f.y.high, 6))
    out += fmt::format(
        "<line x1=\"{1}\" x2=\"{2}\" y1=\"{0:.1f}\" y2=\"{0:.1f}\"/><text x=\"{3}\" y=\"{4:.1f}\" "
        "text-anchor=\"end\">{5:g}</text>",
        f.at_y(v), left, right, left - 8, f.at_y(v) + 4, v);
  out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>", (left + right) / 2, height - 8,
                     escaped(c.x_label));
  return out + fmt::format("<text transform=\"translate(16 {}) rotate(-90)\" text-anchor=\"middle\">{}</text></g>",
                           (top + bottom) / 2, escaped(c.y_label));
}

std::string rule_of(const chart& c, const frame& f) {
  if (c.rule_name.empty()) return {};
  const double y = f.at_y(c.rule);
  return fmt::format(
      "<g class=\"rule\"><line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/><text x=\"{}\" y=\"{:.1f}\" "
      "text-anchor=\"end\">{} {:g}</text></g>",
      left, right, y, y, right, y - 5, escaped(c.rule_name), c.rule);
}

std::string marks_of(const chart_series& s, const frame& f, const chart& c) {
  std::string out;
  for (const point& p : s.points)
    if (is_finite(p))
      out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"><title>{}: {} {:g}, {} {:g}</title></circle>",
                         f.at_x(p[0]), f.at_y(p[1]), escaped(s.name), escaped(c.x_label), p[0], escaped(c.y_label),
                         p[1]);
  return out;
}

std::string series_of(const chart_series& s, const frame& f, const chart& c) {
  std::string line;
  for (const point& p : s.points)
    if (is_finite(p)) line += fmt::format("{:.1f},{:.1f} ", f.at_x(p[0]), f.at_y(p[1]));
  return fmt::format("<g class=\"c{}\"><polyline points=\"{}\"/>{}</g>", s.color % chart_colors, line,
                     s.marked ? marks_of(s, f, c) : "");
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = character_bytes(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(1, length));
    out += length == 0         ? "?"
           : character == "&"  ? "&amp;"
           : character == "<"  ? "&lt;"
           : character == ">"  ? "&gt;"
           : character == "\"" ? "&quot;"
                               : character;
    text.remove_prefix(character.size());
  }
  return out;
}

std::vector<double> ticks(double low, double high, std::size_t count) {
  constexpr double little = 1e-9;  // by which a quotient that should be whole is not
  const double wanted = (high - low) / static_cast<double>(count),
               power = std::pow(10, std::floor(std::log10(wanted)));
  double step = 10 * power;
  for (const double times : {5, 2, 1})
    if (times * power >= wanted * (1 - little)) step = times * power;
  std::vector<double> result;
  for (double i = std::ceil(low / step - little); i * step <= high + little * step; ++i)
    result.push_back(i == 0 ? 0 : i * step);
  return result;
}

std::vector<point> thinned(const std::vector<point>& points, std::size_t most) {
  const std::size_t size = (points.size() + most - 1) / most;
  if (size <= 1) return points;
  std::vector<point> means;
  for (std::size_t first = 0; first < points.size(); first += size) {
    const std::size_t count = std::min(size, points.size() - first);
    point sum{};
    for (std::size_t i = first; i != first + count; ++i)
      for (std::size_t d = 0; d != 2; ++d) sum[d] += points[i][d];
    means.push_back({sum[0] / static_cast<double>(count), sum[1] / static_cast<double>(count)});
  }
  return means;
}

std::string figure_of(const chart& c) {
  const frame f = frame_of(c);
  std::string drawn, legend;
  for (const chart_series& s : c.series) {
    drawn += series_of(s, f, c);
    legend += fmt::format("<li class=\"c{}\">{}</li>", s.color % chart_colors, escaped(s.name));
  }
  return fmt::format(
      "<figure>\n<figcaption>{0}</figcaption>\n<svg viewBox=\"0 0 {1} {2}\" role=\"img\" aria-label=\"{0}\">{3}{4}{5}"
      "</svg>\n<ul class=\"legend\">{6}</ul>\n{7}</figure>\n",
      escaped(c.title), width, height, axes_of(c, f), rule_of(c, f), drawn, legend,
      c.note.empty() ? "" : fmt::format("<p class=\"note\">{}</p>\n", escaped(c.note)));
}

}  // namespace zoqat::programs
