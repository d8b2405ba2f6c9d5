// SPDX-License-Identifier: Apache-2.0
//
// A library to preload (Linux, glibc) that makes a program fail where it is told to: at the n-th call that changes a
// file of one folder, or at the n-th allocation from main on. What it does is in the environment:
//
//   FAULTS_FOLDER      the folder; calls that change other files are not counted
//   FAULTS_TRACE       a file to which a line is written for each call that counts, "NUMBER NAME PATH", and at the
//                      end of main a line "allocations NUMBER"
//   FAULTS_KIND        what happens, one of the names in `kinds`
//   FAULTS_AT          at which call, or at which allocation, counted from 1
//
// Calls are passed on to those of the C library, so that a run in which nothing is told to fail is the usual one.

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string_view>

extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* old, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
}

namespace {

enum class kind {
  none,
  kill_before,     ///< the process is killed in place of the call
  kill_half,       ///< half of the bytes are written, then the process is killed
  kill_after,      ///< the call is made, then the process is killed
  no_space,        ///< the call fails with ENOSPC
  disk_full,       ///< half of the bytes are written; from then on there is no room for any
  io_error,        ///< the call fails with EIO
  interrupted,     ///< the call fails with EINTR, once
  half,            ///< half of the bytes are written
  no_memory_once,  ///< an allocation fails
  no_memory        ///< it and all that follow fail
};
constexpr std::array<std::string_view, 11> kinds{"none",     "kill-before",    "kill-half", "kill-after",
                                                 "no-space", "disk-full",      "io-error",  "interrupted",
                                                 "half",     "no-memory-once", "no-memory"};

/// What the environment asks for. Read when main begins; nothing is counted before that.
struct orders {
  kind what = kind::none;
  std::size_t at = std::numeric_limits<std::size_t>::max();
  std::string_view folder{};
  int trace = -1;
};
orders asked;
std::atomic<bool> counting{false};
std::atomic<std::size_t> calls{0}, allocations{0};

constexpr bool is_of_memory(kind k) { return k == kind::no_memory || k == kind::no_memory_once; }

/// The function of this name in the C library.
template <class Function>
Function* real(Function*, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  while (true) ::pause();
}

bool in_folder(std::string_view path) {
  return !asked.folder.empty() && path.starts_with(asked.folder) &&
         (path.size() == asked.folder.size() || path[asked.folder.size()] == '/');
}

/// A path that may be relative, or the file of a descriptor.
struct named_file {
  std::array<char, 4096> text{};
  std::size_t size = 0;

  explicit named_file(const char* path) {
    if (path[0] != '/' && ::getcwd(text.data(), text.size()) != nullptr) {
      size = std::strlen(text.data());
      append("/");
    }
    append(path);
  }
  explicit named_file(int descriptor) {
    std::array<char, 64> link{};
    std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", descriptor);
    const ssize_t found = ::readlink(link.data(), text.data(), text.size());
    size = found > 0 ? static_cast<std::size_t>(found) : 0;
  }
  [[nodiscard]] std::string_view view() const { return {text.data(), size}; }

 private:
  void append(std::string_view more) {
    more = more.substr(0, text.size() - size);
    std::copy(more.begin(), more.end(), text.begin() + static_cast<std::ptrdiff_t>(size));
    size += more.size();
  }
};

/// Counts a call, and says what is to happen to it.
kind verdict(std::string_view name, const named_file& file) {
  if (!counting || !in_folder(file.view())) return kind::none;
  const std::size_t number = ++calls;
  if (asked.trace >= 0)
    ::dprintf(asked.trace, "%zu %.*s %.*s\n", number, static_cast<int>(name.size()), name.data(),
              static_cast<int>(file.size), file.text.data());
  if (is_of_memory(asked.what) || number < asked.at) return kind::none;
  if (number == asked.at) return asked.what;
  return asked.what == kind::disk_full ? kind::no_space : kind::none;
}

int failed(int code) {
  errno = code;
  return -1;
}

/// A call that writes no bytes; `takes_room`: a full disk refuses it.
template <class File, class Call>
int changing(const char* name, const File& of, bool takes_room, Call&& call) {
  const int saved = errno;
  const kind what = verdict(name, named_file(of));
  errno = saved;
  if (what == kind::kill_before) die();
  if (what == kind::io_error) return failed(EIO);
  if (what == kind::interrupted) return failed(EINTR);
  if (takes_room && (what == kind::no_space || what == kind::disk_full)) return failed(ENOSPC);
  const int result = call();
  if (what == kind::kill_after || what == kind::kill_half) die();
  return result;
}

/// A call that writes `bytes` bytes: `write(count)` writes the first so many.
template <class Write>
ssize_t writing(const char* name, int descriptor, std::size_t bytes, Write&& write) {
  const int saved = errno;
  const kind what = verdict(name, named_file(descriptor));
  errno = saved;
  if (what == kind::kill_before) die();
  if (what == kind::no_space || (what == kind::disk_full && bytes < 2)) return failed(ENOSPC);
  if (what == kind::io_error) return failed(EIO);
  if (what == kind::interrupted) return failed(EINTR);
  const bool in_part = what == kind::half || what == kind::kill_half || what == kind::disk_full;
  const ssize_t written = write(in_part && bytes > 1 ? bytes / 2 : bytes);
  if (what == kind::kill_half || what == kind::kill_after) die();
  return written;
}

int opening(const char* path, int flags, mode_t mode) {
  const auto open = [&] { return real(&::open, "open")(path, flags, mode); };
  if ((flags & O_ACCMODE) == O_RDONLY && (flags & O_CREAT) == 0) return open();
  struct stat status {};
  const bool creates = (flags & O_CREAT) != 0 && ::stat(path, &status) != 0;
  return changing(creates ? "create" : "open", path, creates, open);
}

/// Counts an allocation; true where it is to fail.
bool refused() {
  if (!counting.load(std::memory_order_relaxed)) return false;
  const std::size_t number = ++allocations;
  if (!is_of_memory(asked.what)) return false;
  if (asked.what == kind::no_memory ? number < asked.at : number != asked.at) return false;
  errno = ENOMEM;
  return true;
}

using main_function = int(int, char**, char**);
main_function* program = nullptr;

void begin() {
  if (const char* const folder = std::getenv("FAULTS_FOLDER")) asked.folder = folder;
  if (const char* const at = std::getenv("FAULTS_AT")) asked.at = std::strtoull(at, nullptr, 10);
  if (const char* const name = std::getenv("FAULTS_KIND")) {
    const auto found = std::find(kinds.begin(), kinds.end(), std::string_view(name));
    if (found == kinds.end()) {
      ::dprintf(STDERR_FILENO, "faults: FAULTS_KIND is '%s', which is no kind of fault\n", name);
      std::_Exit(125);
    }
    asked.what = static_cast<kind>(found - kinds.begin());
  }
  if (const char* const trace = std::getenv("FAULTS_TRACE"))
    asked.trace = ::open(trace, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  counting = true;
}

int main_with_faults(int count, char** arguments, char** environment) {
  begin();
  const int status = program(count, arguments, environment);
  counting = false;
  if (asked.trace >= 0) ::dprintf(asked.trace, "allocations %zu\n", allocations.load());
  return status;
}

}  // namespace

extern "C" {

int __libc_start_main(main_function* main, int count, char** arguments, void (*init)(), void (*fini)(),
                      void (*loader_fini)(), void* stack_end) {
  program = main;
  return real(&__libc_start_main, "__libc_start_main")(main_with_faults, count, arguments, init, fini, loader_fini,
                                                       stack_end);
}

// --- Files ---

int open(const char* path, int flags, ...) {
  std::va_list more;
  va_start(more, flags);
  const auto mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : mode_t{0};
  va_end(more);
  return opening(path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  std::va_list more;
  va_start(more, flags);
  const auto mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : mode_t{0};
  va_end(more);
  return opening(path, flags, mode);
}
ssize_t write(int descriptor, const void* bytes, std::size_t count) {
  return writing("write", descriptor, count,
                 [&](std::size_t n) { return real(&::write, "write")(descriptor, bytes, n); });
}
ssize_t pwrite(int descriptor, const void* bytes, std::size_t count, off_t at) {
  return writing("pwrite", descriptor, count,
                 [&](std::size_t n) { return real(&::pwrite, "pwrite")(descriptor, bytes, n, at); });
}
int fsync(int descriptor) {
  return changing("fsync", descriptor, false, [&] { return real(&::fsync, "fsync")(descriptor); });
}
int fdatasync(int descriptor) {
  return changing("fdatasync", descriptor, false, [&] { return real(&::fdatasync, "fdatasync")(descriptor); });
}
int ftruncate(int descriptor, off_t size) noexcept {
  return changing("ftruncate", descriptor, false, [&] { return real(&::ftruncate, "ftruncate")(descriptor, size); });
}
int fchmod(int descriptor, mode_t mode) noexcept {
  return changing("fchmod", descriptor, false, [&] { return real(&::fchmod, "fchmod")(descriptor, mode); });
}
int rename(const char* from, const char* to) noexcept {
  return changing("rename", to, true, [&] { return real(&::rename, "rename")(from, to); });
}
int link(const char* from, const char* to) noexcept {
  return changing("link", to, true, [&] { return real(&::link, "link")(from, to); });
}
int unlink(const char* path) noexcept {
  return changing("unlink", path, false, [&] { return real(&::unlink, "unlink")(path); });
}
int remove(const char* path) noexcept {
  return changing("remove", path, false, [&] { return real(&::remove, "remove")(path); });
}
int mkdir(const char* path, mode_t mode) noexcept {
  return changing("mkdir", path, true, [&] { return real(&::mkdir, "mkdir")(path, mode); });
}

// --- Memory ---

void* malloc(std::size_t bytes) noexcept { return refused() ? nullptr : __libc_malloc(bytes); }
void* calloc(std::size_t count, std::size_t bytes) noexcept {
  return refused() ? nullptr : __libc_calloc(count, bytes);
}
void* realloc(void* old, std::size_t bytes) noexcept { return refused() ? nullptr : __libc_realloc(old, bytes); }
void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  return refused() ? nullptr : __libc_memalign(alignment, bytes);
}
int posix_memalign(void** to, std::size_t alignment, std::size_t bytes) noexcept {
  if (refused()) return ENOMEM;
  *to = __libc_memalign(alignment, bytes);
  return *to == nullptr ? ENOMEM : 0;
}

}  // extern "C"
