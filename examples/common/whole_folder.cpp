// SPDX-License-Identifier: Apache-2.0
#include <common/whole_folder.hpp>

#include <zoqat/core/error.hpp>         // require
#include <zoqat/core/regular_file.hpp>  // folder_of, sync_folder

#include <system_error>
#include <vector>

namespace zoqat::programs {

namespace fs = std::filesystem;

namespace {

/// Its name without a slash at the end.
fs::path name_of(const fs::path& path) {
  const fs::path plain = path.lexically_normal();
  return plain.has_filename() ? plain : plain.parent_path();
}

/// Removes a folder of files alone, as far as that goes.
void remove_files_of(const fs::path& folder) noexcept {
  std::error_code ignored;
  std::vector<fs::path> files;
  for (fs::directory_iterator at(folder, ignored), end; at != end; at.increment(ignored)) files.push_back(at->path());
  for (const fs::path& file : files)
    if (!fs::is_directory(fs::symlink_status(file, ignored))) fs::remove(file, ignored);
  fs::remove(folder, ignored);
}

}  // namespace

void whole_folder::require_new(std::string_view option, const fs::path& path) {
  std::error_code ignored;
  const fs::path name = name_of(path);
  const bool is_new = !fs::exists(fs::symlink_status(name, ignored));
  require<io_error>(is_new || fs::is_directory(name, ignored),
                    "{} {}: is there already and no folder; give another name", option, name.native());
  require<io_error>(is_new || fs::is_empty(name, ignored), "{} {}: is not empty; name a folder that is, or a new one",
                    option, name.native());
}

whole_folder::whole_folder(std::string_view option, const fs::path& path)
    : path_(name_of(path)), made_(path_.native() + ".zoqat-partial") {
  require_new(option, path);
  remove_files_of(made_);
  std::error_code error;
  require<io_error>(!fs::exists(fs::symlink_status(made_, error)),
                    "{} {}: is made in {}, which is there already and holds something else; move that away", option,
                    path_.native(), made_.native());
  fs::create_directories(made_, error);
  require<io_error>(fs::is_directory(made_), "{} {}: cannot be made a folder: {}", option, path_.native(),
                    error.message());
}

whole_folder::~whole_folder() {
  if (!made_.empty()) remove_files_of(made_);
}

void whole_folder::commit() {
  sync_folder(made_);
  std::error_code error;
  fs::rename(made_, path_, error);
  require<io_error>(!error, "{}: cannot be given its name: {}", path_.native(), error.message());
  made_.clear();
  sync_folder(folder_of(path_));
}

}  // namespace zoqat::programs
