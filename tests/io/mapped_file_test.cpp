// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/mapped_file.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <sys/stat.h>

#include <string>
#include <type_traits>
#include <utility>

using namespace zoqat;
using namespace zoqat::testing;

static_assert(!std::is_copy_constructible_v<io::mapped_file>);
static_assert(std::is_nothrow_move_constructible_v<io::mapped_file>);

TEST_CASE("a mapped file has the bytes of the file") {
  const temporary_folder folder;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{4096}, std::size_t{10'007}}) {
    CAPTURE(size);
    std::string content(size, '\0');
    for (std::size_t i = 0; i != size; ++i) content[i] = static_cast<char>(i * 37 % 251);
    write_file(folder / "file", content);
    const io::mapped_file file(folder / "file");
    CHECK(file.path() == folder / "file");
    CHECK(file.bytes().size() == size);
    CHECK(file.text() == content);
  }
}

TEST_CASE("a pointer of Git LFS is not taken for the file") {
  const temporary_folder folder;
  write_file(folder / "model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n");
  check_mentions(message_of<io_error>([&] { io::mapped_file file(folder / "model.safetensors"); }),
                 "model.safetensors", "pointer of Git LFS", "git lfs pull");
}

TEST_CASE("a mapped file keeps its bytes where they are when it moves") {
  const temporary_folder folder;
  write_file(folder / "a", "first");
  write_file(folder / "b", "second");
  io::mapped_file a(folder / "a");
  const auto* const address = a.bytes().data();
  io::mapped_file b(std::move(a));
  CHECK(b.bytes().data() == address);
  CHECK(a.bytes().empty());
  b = io::mapped_file(folder / "b");
  CHECK(b.text() == "second");
  CHECK(b.path() == folder / "b");
}

TEST_CASE("a mapped file survives the replacement and removal of the file") {
  const temporary_folder folder;
  write_file(folder / "file", "old content");
  const io::mapped_file file(folder / "file");
  write_file(folder / "new", "new");
  std::filesystem::rename(folder / "new", folder / "file");
  CHECK(file.text() == "old content");
  std::filesystem::remove(folder / "file");
  CHECK(file.text() == "old content");
}

TEST_CASE("what was forgotten is read again") {
  const temporary_folder folder;
  std::string text(100'000, 'a');
  for (std::size_t i = 0; i != text.size(); ++i) text[i] = static_cast<char>('a' + i % 23);
  write_file(folder / "file", text);
  const io::mapped_file file(folder / "file");
  for (const std::size_t first : {std::size_t{0}, std::size_t{5000}, std::size_t{99'999}, text.size()})
    for (const std::size_t n : {std::size_t{0}, std::size_t{1}, text.size() - first}) {
      file.release_pages(file.bytes().subspan(first, std::min(n, text.size() - first)));
      CHECK(file.text() == text);
    }
  std::vector<std::byte> elsewhere(20'000, std::byte{7});  // must stay: it is not the file's
  file.release_pages(elsewhere);
  CHECK(std::ranges::count(elsewhere, std::byte{7}) == 20'000);
  io::mapped_file().release_pages(elsewhere);
}

TEST_CASE("what cannot be mapped is an io_error with the path and the reason") {
  const temporary_folder folder;
  check_mentions(message_of<io_error>([&] { io::mapped_file file(folder / "absent"); }), "absent", "cannot open",
                 "No such file or directory");
  check_mentions(message_of<io_error>([&] { io::mapped_file file(folder.path()); }), folder.path().string(),
                 "not a regular file");
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  check_mentions(message_of<io_error>([&] { io::mapped_file file(folder / "fifo"); }), "fifo", "not a regular file");
}
