// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace zoqat::testing {

/// A file of the project's own, given from its root.
inline std::filesystem::path project_file(std::string_view relative) {
  return std::filesystem::path(ZOQAT_SOURCE_DIR) / relative;
}

/// A model, tokenizer or text that tests use but the project does not hold: `relative` to the folder that the
/// environment variable ZOQAT_DATA names, by default `../shared` beside the checkout. Absent, it says so and
/// gives nothing, for the test to return.
inline std::optional<std::filesystem::path> shared_data(std::string_view relative) {
  const char* const variable = std::getenv("ZOQAT_DATA");
  const auto root = variable && *variable ? std::filesystem::path(variable) : project_file("../shared");
  auto path = root / relative;
  if (std::filesystem::exists(path)) return path;
  MESSAGE("skipped: there is no ", path.string(), "; set ZOQAT_DATA to the folder with the test data");
  return std::nullopt;
}

/// For doctest::skip: what only computes for long is left out of sanitized builds.
#ifdef NDEBUG
inline constexpr bool is_slow_build = false;
#else
inline constexpr bool is_slow_build = true;
#endif

/// Bytes of a real text that a slow oracle is held against: sanitized builds take a minute for all of one.
#ifdef NDEBUG
inline constexpr std::size_t most_real_text = std::string::npos;
#else
inline constexpr std::size_t most_real_text = 100'000;
#endif

}  // namespace zoqat::testing
