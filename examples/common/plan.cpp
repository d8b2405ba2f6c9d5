// SPDX-License-Identifier: Apache-2.0
#include <common/plan.hpp>

#include <zoqat/core/error.hpp>      // require
#include <zoqat/io/atomic_file.hpp>  // atomic_file
#include <zoqat/io/file_kind.hpp>    // kind_of_file
#include <zoqat/io/mapped_file.hpp>  // mapped_file

#include <common/settings_text.hpp>  // start_path_of

#include <fmt/format.h>

#include <sys/stat.h>

#include <map>
#include <system_error>

namespace zoqat::programs {

namespace {

[[nodiscard]] bool same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code ignored;
  if (std::filesystem::equivalent(a, b, ignored)) return true;
  const auto name_of = [&](const std::filesystem::path& path) {
    return std::filesystem::weakly_canonical(std::filesystem::absolute(path, ignored), ignored);
  };
  return name_of(a) == name_of(b);
}

/// The folder that a file goes to, or the nearest above that is there already.
[[nodiscard]] std::filesystem::path folder_that_is_there(const std::filesystem::path& file) {
  std::error_code ignored;
  std::filesystem::path folder = std::filesystem::absolute(file, ignored).parent_path();
  while (!std::filesystem::is_directory(folder, ignored) && folder != folder.parent_path())
    folder = folder.parent_path();
  return folder;
}

}  // namespace

std::vector<named_file> files_at(std::string_view option, const std::filesystem::path& path) {
  if (path.empty()) return {};
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return {{std::string(option), path}};
  std::vector<named_file> files;
  const std::filesystem::directory_iterator end;
  for (std::filesystem::directory_iterator at(path, ignored); at != end; at.increment(ignored))
    files.push_back({std::string(option), at->path()});
  return files;
}

bool is_run_log(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return false;
  return io::kind_of_file(io::mapped_file(path).text()) == io::file_kind::run_log;
}

void require_writable(std::span<const named_file> outputs) {
  for (const auto& [option, path] : outputs) {
    if (path.empty()) continue;
    const std::filesystem::path folder = path.parent_path();
    std::error_code ignored;
    require<io_error>(folder.empty() || std::filesystem::is_directory(folder, ignored),
                      "{} {}: there is no folder '{}'; make it first", option, path.native(), folder.native());
    require<io_error>(!is_run_log(path),
                      "{} {}: is a run log, which would be lost; give another name, or move the log away", option,
                      path.native());
    try {
      const io::atomic_file probe(path);  // makes a file beside it, and removes that again
    } catch (const io_error& e) {
      fail<io_error>("{}: {}", option, e.what());
    }
  }
}

void require_no_other_start(const std::string& log, bool snapshot, bool replace) {
  const std::string start = start_path_of(log);
  require<io_error>(snapshot || replace || !std::filesystem::exists(start),
                    "{}: is there already, the start of another run; give --overwrite to remove it with that run's "
                    "log, or the log another name",
                    start);
}

void require_apart(std::span<const named_file> outputs, std::span<const named_file> inputs) {
  for (std::size_t i = 0; i != outputs.size(); ++i) {
    const auto& [option, path] = outputs[i];
    if (path.empty()) continue;
    for (const named_file& input : inputs)
      require(!same_file(path, input.path), "{} and {} are the same file, {}: the run would destroy what it reads",
              option, input.option, path.native());
    for (const named_file& other : outputs.subspan(i + 1))
      require(other.path.empty() || !same_file(path, other.path), "{} and {} are the same file, {}", option,
              other.option, path.native());
  }
}

void require_space(std::span<const output_size> outputs) {
  struct need {
    std::filesystem::path folder;
    std::uintmax_t bytes = 0;
    std::string options{};
  };
  std::map<dev_t, need> needs;  // by file system
  for (const output_size& output : outputs) {
    struct stat status {};
    const std::filesystem::path folder = folder_that_is_there(output.path);
    if (output.path.empty() || ::stat(folder.c_str(), &status) != 0) continue;
    need& of_system = needs.try_emplace(status.st_dev, need{folder}).first->second;
    of_system.bytes += output.bytes;
    of_system.options += (of_system.options.empty() ? "" : ", ") + output.option;
  }
  for (const auto& [device, n] : needs) {
    std::error_code unknown;
    const std::uintmax_t free = std::filesystem::space(n.folder, unknown).available;
    require<io_error>(
        unknown || n.bytes <= free,
        "{}: {} bytes at least are going to be written, but '{}' has {} free; make room, or name another "
        "folder",
        n.options, n.bytes, n.folder.native(), free);
  }
}

void require_within(std::string_view option, double value, bounds within) {
  const bool holds = value <= within.most && (within.above ? value > within.least : value >= within.least);
  require(holds, "{}: is {}, but must be {} {} and at most {}", option, value, within.above ? "above" : "at least",
          within.least, within.most);
}

}  // namespace zoqat::programs
