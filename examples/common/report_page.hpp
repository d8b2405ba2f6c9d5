// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <common/run_record.hpp>

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace zoqat::programs {

/// A page that needs nothing beside itself: its title, which is escaped, and what is below it, which is not.
[[nodiscard]] std::string html_page(std::string_view title, std::string_view body);

/// A page about some runs, in HTML that is XML too: their table, what was trained with, and charts of the loss, the
/// codes that flip, and perplexity by passes and by bits, each where there is something to draw. It needs nothing
/// beside itself. Throws value_error where there are no runs.
[[nodiscard]] std::string report_page(std::span<const run_record> runs);

/// The page about the runs of some files (see `read_runs`), as a file. Throws io_error, also where `output` is one of
/// the files.
void write_report(std::span<const std::filesystem::path> files, const std::filesystem::path& output);

}  // namespace zoqat::programs
