// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// What a program makes sure of before it begins: after that a run can only fail by the machine.
namespace zoqat::programs {

/// A file that an option names, or that follows from it.
struct named_file {
  std::string option;
  std::filesystem::path path;
};

/// The file itself, or those in a folder, all under one option.
[[nodiscard]] std::vector<named_file> files_at(std::string_view option, const std::filesystem::path& path);

/// Whether a file begins as a run log does. Opens regular files alone.
[[nodiscard]] bool is_run_log(const std::filesystem::path& path);
/// Throws io_error, with the option, unless each output can be written: its folder is there and takes a new file, and
/// what has its name is a regular file that is no run log. Those without a path are left out. Leaves nothing behind.
void require_writable(std::span<const named_file> outputs);
/// Throws value_error where an output is one of the inputs or another output, by whatever name or link.
void require_apart(std::span<const named_file> outputs, std::span<const named_file> inputs);
/// Throws io_error where the start of another run lies beside a log that is to begin, unless it is to be replaced.
/// With `snapshot` it may be the start of the same run, which ended before it had a log: `begin_start` tells.
void require_no_other_start(const std::string& log, bool snapshot, bool replace);

/// A file that is going to be written, and how large it will be at least.
struct output_size {
  std::string option;
  std::filesystem::path path;
  std::uintmax_t bytes = 0;
};
/// Throws io_error, with the options and both numbers, where a file system has less room than the files need that go
/// to it. Those without a path are left out. What a file of that name takes counts as needed too: it is replaced once
/// the new one is whole.
void require_space(std::span<const output_size> outputs);

/// Which numbers an option takes.
struct bounds {
  double least, most;
  bool above = false;  ///< `least` itself is not taken
};
/// Throws value_error, with the option and the value, unless it is a number within bounds.
void require_within(std::string_view option, double value, bounds within);

}  // namespace zoqat::programs
