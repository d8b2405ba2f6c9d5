// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json_place.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <ranges>
#include <span>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// The index of a label among the names that it may have. Throws io_error, with the place and all names, for another.
[[nodiscard]] inline std::size_t index_of_label(std::string_view label, std::span<const std::string_view> names,
                                                std::string_view place) {
  const auto found = std::ranges::find(names, label);
  require<io_error>(found != names.end(), "{}: label \"{}\" is none of {}", place, io::detail::excerpt(label),
                    fmt::join(names, ", "));
  return static_cast<std::size_t>(found - names.begin());
}

/// The text of a label that is a text or a number, as the same data set has it in files of different origins.
[[nodiscard]] inline std::string label_text(const io::json_place& label) {
  return label.value().is_number() ? std::to_string(label.as<std::size_t>()) : label.text();
}

}  // namespace zoqat::tasks
