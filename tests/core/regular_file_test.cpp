// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/regular_file.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <sys/stat.h>

#include <array>
#include <cstddef>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("regular files are opened, with their sizes") {
  const temporary_folder folder;
  write_file(folder / "file", "seven..");
  const file_descriptor file = open_regular(folder / "file", O_RDONLY, "the list");
  CHECK(regular_size(file, folder / "file") == 7);
  std::array<std::byte, 5> part{};
  CHECK(read_some(file, part, folder / "file") == 5);
  CHECK(part[4] == std::byte{'n'});
  CHECK(read_some(file, part, folder / "file") == 2);
  CHECK(read_some(file, part, folder / "file") == 0);
}

TEST_CASE("folders, devices and FIFOs are refused at once, and what is missing by name") {
  const temporary_folder folder;
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  const auto opened = [](const std::filesystem::path& path) {
    return message_of<io_error>([&] { (void)open_regular(path, O_RDONLY, "the list"); });
  };
  for (const std::filesystem::path& path : {folder / "fifo", folder.path(), std::filesystem::path("/dev/zero")})
    check_mentions(opened(path), path.native(), "not a regular file");
  check_mentions(opened(folder / "none"), "none", "cannot open the list: No such file");
}

TEST_CASE("a file that is locked is given to nobody else until it is closed") {
  const temporary_folder folder;
  write_file(folder / "file", "");
  const auto open = [&] { return open_regular(folder / "file", O_RDWR, "the list"); };
  {
    const file_descriptor first = open(), second = open();
    lock_exclusively(first, folder / "file", "the list");
    check_mentions(message_of<io_error>([&] { lock_exclusively(second, folder / "file", "the list"); }), "file",
                   "the list is in use by another run");
  }
  CHECK(try_lock(open()));
  CHECK_NOTHROW(lock_exclusively(open(), folder / "file", "the list"));
}

TEST_CASE("a folder is synced, or not there") {
  const temporary_folder folder;
  CHECK(folder_of(folder / "file") == folder.path());
  CHECK(folder_of("file") == ".");
  CHECK_NOTHROW(sync_folder(folder.path()));
  CHECK_NOTHROW(sync_folder("."));
  CHECK_NOTHROW(sync_folder("/proc"));  // which cannot be
  check_mentions(message_of<io_error>([&] { sync_folder(folder / "no"); }), (folder / "no").native(),
                 "cannot sync the folder", "No such file");
}
