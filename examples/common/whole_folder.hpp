// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string_view>

namespace zoqat::programs {

/// A folder that is there whole or not at all: files are made in one beside it, PATH.zoqat-partial, which takes its
/// name when all of them are there. One that a program which was killed has left is emptied and used again.
class whole_folder {
 public:
  /// Throws io_error, with the option, where `path` is there already and not an empty folder.
  static void require_new(std::string_view option, const std::filesystem::path& path);

  /// Throws io_error as `require_new` does, where no folder can be made there, and where what lies beside it under
  /// the name PATH.zoqat-partial holds a folder, which no program of these makes.
  whole_folder(std::string_view option, const std::filesystem::path& path);
  whole_folder(const whole_folder&) = delete;
  whole_folder& operator=(const whole_folder&) = delete;
  /// Removes what was made, unless it was committed.
  ~whole_folder();

  /// Where files are made.
  [[nodiscard]] const std::filesystem::path& made() const noexcept { return made_; }
  /// Gives the folder its name. Throws io_error where that fails.
  void commit();

 private:
  std::filesystem::path path_, made_;
};

}  // namespace zoqat::programs
