// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// Charts as inline SVG, for pages that need nothing beside themselves. Colors are classes, so that the page's style
/// says them, for light and dark.
namespace zoqat::programs {

/// Text for HTML and XML: what they take for markup is escaped, and bytes that are no UTF-8 or no characters of XML
/// become '?'.
[[nodiscard]] std::string escaped(std::string_view text);

struct chart_series {
  std::string name{};
  std::vector<std::array<double, 2>> points{};  ///< (x, y), in the order in which a line joins them
  bool marked = false;                          ///< with a mark at each point, which says its values
  std::size_t color = 0;                        ///< which of the page's, from 0 on; they come again after the last
};

struct chart {
  std::string title{}, x_label{}, y_label{}, note{};
  std::vector<chart_series> series{};
  /// A horizontal line with a name, or none.
  std::string rule_name{};
  double rule = 0;
  bool from_zero = false;  ///< the y axis begins at zero, whatever the points are
};

inline constexpr std::size_t chart_colors = 8;

/// `count` round numbers at most (1, 2 or 5 times a power of ten apart) that span [low, high] or lie in it.
[[nodiscard]] std::vector<double> ticks(double low, double high, std::size_t count);

/// At most `most` points: means of equally many neighbors, in both coordinates.
[[nodiscard]] std::vector<std::array<double, 2>> thinned(const std::vector<std::array<double, 2>>& points,
                                                         std::size_t most);

/// A <figure> with an <svg>, its legend and its note. Points that are not finite are left out. Throws value_error for
/// a chart without a point.
[[nodiscard]] std::string figure_of(const chart& c);

}  // namespace zoqat::programs
