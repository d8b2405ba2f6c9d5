// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/atomic_file.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <sys/resource.h>

#include <csignal>
#include <string>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::filesystem::perms permissions(const std::filesystem::path& path) {
  return std::filesystem::status(path).permissions();
}

// Files of this process cannot grow beyond `bytes` while it lives: a write comes back short, the next one fails.
class file_size_limit {
 public:
  explicit file_size_limit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    rlimit limit = old_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  file_size_limit(const file_size_limit&) = delete;
  file_size_limit& operator=(const file_size_limit&) = delete;
  ~file_size_limit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit old_{};
  void (*handler_)(int);
};

}  // namespace

TEST_CASE("an atomic file appears on commit, whole") {
  const temporary_folder folder;
  const auto path = folder / "file";
  io::atomic_file file(path);
  CHECK(file.path() == path);
  file.write("one, ");
  file.write("");
  file.write(std::as_bytes(std::span("two", 3)));
  CHECK_FALSE(std::filesystem::exists(path));
  file.commit();
  CHECK(read_file(path) == "one, two");
  CHECK(folder.count() == 1);
  check_mentions(message_of<io_error>([&] { file.write("more"); }), path.string(), "after its commit");
  check_mentions(message_of<io_error>([&] { file.commit(); }), path.string(), "committed twice");
  CHECK(read_file(path) == "one, two");
}

TEST_CASE("without a commit the destination stays as it was and nothing is left behind") {
  const temporary_folder folder;
  write_file(folder / "file", "old");
  {
    io::atomic_file file(folder / "file");
    file.write("new content");
    CHECK(read_file(folder / "file") == "old");
    CHECK(folder.count() == 2);
  }
  CHECK(read_file(folder / "file") == "old");
  CHECK(folder.count() == 1);
}

TEST_CASE("writers of one destination do not meet; the last commit wins") {
  const temporary_folder folder;
  io::atomic_file first(folder / "file"), second(folder / "file");
  first.write("first");
  second.write("second");
  second.commit();
  CHECK(read_file(folder / "file") == "second");
  first.commit();
  CHECK(read_file(folder / "file") == "first");
  CHECK(folder.count() == 1);
}

TEST_CASE("a replaced file keeps its permissions, a link stays a link") {
  const temporary_folder folder;
  write_file(folder / "secret", "old");
  const auto owner_only = std::filesystem::perms::owner_read | std::filesystem::perms::owner_write;
  std::filesystem::permissions(folder / "secret", owner_only);
  std::filesystem::create_directory(folder / "elsewhere");
  std::filesystem::create_symlink("../secret", folder.path() / "elsewhere" / "link");

  io::atomic_file file(folder.path() / "elsewhere" / "link");
  file.write("new");
  file.commit();
  CHECK(read_file(folder / "secret") == "new");
  CHECK(permissions(folder / "secret") == owner_only);
  CHECK(std::filesystem::is_symlink(folder.path() / "elsewhere" / "link"));
}

TEST_CASE("a link to nothing is refused and stays") {
  const temporary_folder folder;
  std::filesystem::create_symlink(folder / "nothing", folder / "link");
  check_mentions(message_of<io_error>([&] { io::atomic_file file(folder / "link"); }), "link", "link to nothing");
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK(folder.count() == 1);
}

TEST_CASE("what a crash left is removed by the next file, and what another writer still writes is not") {
  const temporary_folder folder;
  write_file(folder / ".zoqat-123-0.tmp", "half of a model");
  write_file(folder / ".zoqat-123-0.txt", "something else");
  io::atomic_file first(folder / "first");
  first.write("whole");
  CHECK_FALSE(std::filesystem::exists(folder / ".zoqat-123-0.tmp"));
  {
    io::atomic_file second(folder / "second");
    CHECK(folder.count() == 3);
    second.commit();
  }
  first.commit();
  CHECK(read_file(folder / "first") == "whole");
  CHECK(folder.count() == 3);
}

TEST_CASE("a file name without a folder means the current one") {
  const temporary_folder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  io::atomic_file file("plain");
  file.write("content");
  file.commit();
  std::filesystem::current_path(before);
  CHECK(read_file(folder / "plain") == "content");
}

TEST_CASE("a destination that cannot be written is an io_error with the path and the reason") {
  const temporary_folder folder;
  check_mentions(message_of<io_error>([&] { io::atomic_file file(folder / "absent/file"); }), "absent/file",
                 "No such file or directory");
  check_mentions(message_of<io_error>([&] { io::atomic_file file(folder.path()); }), folder.path().string(),
                 "not a regular file");
  check_mentions(message_of<io_error>([] { io::atomic_file file("/dev/full"); }), "/dev/full", "not a regular file");
  CHECK(std::filesystem::is_character_file("/dev/full"));
}

TEST_CASE("a folder that may not be written to is an io_error") {
  const temporary_folder folder;
  std::filesystem::permissions(folder.path(),
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  if (::geteuid() == 0) {
    MESSAGE("skipped: permissions do not bind this user");
    return;
  }
  check_mentions(message_of<io_error>([&] { io::atomic_file file(folder / "file"); }), "file", "Permission denied");
  CHECK(folder.count() == 0);
}

TEST_CASE("a write that falls short is an io_error and leaves nothing behind") {
  const temporary_folder folder;
  write_file(folder / "file", "old");
  {
    const file_size_limit limit(10'000);
    io::atomic_file file(folder / "file");
    file.write(std::string(9'000, 'x'));
    const auto text = message_of<io_error>([&] { file.write(std::string(9'000, 'y')); });
    check_mentions(text, (folder / "file").string(), "cannot write", "File too large");
  }
  CHECK(read_file(folder / "file") == "old");
  CHECK(folder.count() == 1);
}

TEST_CASE("a rename that fails is an io_error and leaves nothing behind") {
  const temporary_folder folder;
  {
    io::atomic_file file(folder / "file");
    file.write("content");
    std::filesystem::create_directory(folder / "file");  // in the way meanwhile
    write_file(folder.path() / "file" / "inside", "");
    check_mentions(message_of<io_error>([&] { file.commit(); }), (folder / "file").string(), "cannot rename");
  }
  CHECK(folder.count() == 1);
  CHECK(std::filesystem::exists(folder.path() / "file" / "inside"));
}

TEST_CASE("a destination that cannot be looked up is refused with the reason") {
  const temporary_folder folder;
  std::filesystem::create_symlink("round", folder / "round");
  check_mentions(message_of<io_error>([&] { const io::atomic_file file(folder / "round"); }), "round", "cannot find",
                 "Too many levels");
  CHECK(folder.count() == 1);
}
