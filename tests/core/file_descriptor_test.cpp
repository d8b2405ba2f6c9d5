// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/file_descriptor.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

bool is_open(int value) {
  struct stat status {};
  return ::fstat(value, &status) == 0;
}

}  // namespace

TEST_CASE("fail_errno names the path, the action and the system's reason") {
  const auto text = message_of<io_error>([] { fail_errno("some/file", "open", ENOENT); });
  check_mentions(text, "some/file", "cannot open", "No such file or directory");
  errno = EACCES;
  check_mentions(message_of<io_error>([] { fail_errno("some/file", "open"); }), "Permission denied");
}

TEST_CASE("a file descriptor closes once, by whoever holds it last") {
  int number = -1;
  {
    file_descriptor first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    REQUIRE(first);
    number = first.get();
    file_descriptor second(std::move(first));
    CHECK(second.get() == number);
    file_descriptor third;
    CHECK_FALSE(third);
    third = std::move(second);
    CHECK(is_open(number));
  }
  CHECK_FALSE(is_open(number));

  file_descriptor released(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  number = released.release();
  CHECK_FALSE(released);
  CHECK(is_open(number));
  ::close(number);
}

TEST_CASE("write_all writes all or throws") {
  const temporary_folder folder;
  const std::string content(100'000, 'x');
  const auto bytes = std::as_bytes(std::span(content));
  const auto path = folder / "file";
  {
    const file_descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    write_all(file, bytes, path);
    write_all(file, {}, path);
  }
  CHECK(read_file(path) == content);

  const file_descriptor full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  REQUIRE(full);
  const auto text = message_of<io_error>([&] { write_all(full, bytes, "the/destination"); });
  check_mentions(text, "the/destination", "cannot write", "No space left on device");
}

TEST_CASE("a call that a signal interrupts is made again, and no other") {
  std::vector<int> errors{EINTR, EINTR, 0, EINTR, EIO};
  std::size_t next = 0;
  const auto call = [&] {
    errno = errors[next++];
    return errno == 0 ? 5 : -1;
  };
  CHECK(uninterrupted(call) == 5);
  CHECK(next == 3);
  CHECK(uninterrupted(call) == -1);
  CHECK(errno == EIO);
  CHECK(next == 5);
}

TEST_CASE("try_write_all says why it could not") {
  const file_descriptor full(::open("/dev/full", O_WRONLY)), none;
  const std::string_view text = "text";
  CHECK(try_write_all(full, std::as_bytes(std::span(text))) == ENOSPC);
  CHECK(try_write_all(none, std::as_bytes(std::span(text))) == EBADF);
  CHECK(try_write_all(none, {}) == 0);
}
