// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/hash.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/params/stored_masters.hpp>
#include <zoqat/zo/update.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// A hash of all parameters of a store, names and bits, and of what it says beside them through
/// `for_each_constant(f)`, f(std::span<const std::byte>): tells whether a log belongs to a model.
template <parameter_store Store>
[[nodiscard]] std::uint64_t fingerprint(Store& parameters) {
  std::uint64_t hash = hash_bytes({});
  const auto take = [&](std::span<const std::byte> bytes) { hash = hash_bytes(bytes, hash); };
  parameters.for_each_parameter([&](const parameter& p) {
    take(std::as_bytes(std::span(p.name)));
    const compact_masters& m = p.compact;
    const bool joined = m.stride == 0;  // what lies between rows is not of the tensor
    take(std::as_bytes(p.values));
    take(std::as_bytes(joined ? m.halves : std::span<bf16>()));
    take(std::as_bytes(joined ? m.codes : std::span<std::uint8_t>()));
    take(std::as_bytes(m.scales));
    if (!joined || !m.fp16s.empty()) for_each_stored_run(p, take);  // logs of before such formats keep their hash
    if (!m.host_scales.empty()) take(std::as_bytes(m.host_scales));
    take(std::as_bytes(p.unit));
  });
  if constexpr (requires { parameters.for_each_constant(take); }) parameters.for_each_constant(take);
  return hash;
}

/// What a run started from.
struct run_header {
  std::uint64_t seed = 0;   ///< of the directions
  std::uint64_t start = 0;  ///< `fingerprint` of the parameters before the first step
  std::string settings{};   ///< whatever the trainer needs to make the start again; free text
  /// What directions are drawn from, by its `name()`: updates along others are another run.
  std::string distribution{};
  friend bool operator==(const run_header&, const run_header&) = default;
};

/// A run as the updates it made, in a file to which each step appends a record of its own: start + log = trained
/// model, bit for bit. It is the checkpoint and the crash recovery: a record that a crash cut short is found by its
/// checksum and dropped.
///
/// Little-endian, without padding:
///   header  "zoqatlog", u32 version, u32 length of the settings, u32 length of the distribution's name, u64 seed,
///           u64 start, settings, name, u64 hash
///   record  u32 step, u32 q, f32 gain of each parameter group, f32 signal power, f32 total power, q × f32 half
///   difference, u32 hash
class run_log {
 public:
  /// 1: fingerprints of parameters alone; 2: without the distribution. Both are refused.
  static constexpr std::uint32_t version = 3;

  /// Starts a log; replaces one of that name. Throws io_error, also for a file of that name that is no run log: that
  /// one is left alone.
  [[nodiscard]] static run_log create(const std::filesystem::path& path, run_header header) {
    require_replaceable(path);
    run_log log(path, std::move(header));
    log.open(O_CREAT | O_TRUNC);
    log.write(log.encoded_header());
    return log;
  }
  /// Throws io_error where `create` could not replace what has that name, or its folder is missing.
  static void require_replaceable(const std::filesystem::path& path) {
    const std::filesystem::path folder = path.parent_path();
    require<io_error>(folder.empty() || std::filesystem::is_directory(folder),
                      "{}: cannot create the run log: No such file or directory as '{}'", path.native(),
                      folder.native());
    std::ifstream in(path, std::ios::binary);
    std::array<char, magic.size()> start{};
    in.read(start.data(), start.size());  // nothing where there is no such file
    require<io_error>(std::equal(start.begin(), start.begin() + in.gcount(), magic.begin()),
                      "{}: this is no run log, and is not replaced by one; give the log another name", path.native());
  }
  /// Opens a log to go on with it: reads what is there and cuts off an incomplete last record. Throws io_error for a
  /// file that is not a log, whose header is damaged, or that goes on after a damaged record: no crash does that, and
  /// what follows is not thrown away unasked.
  [[nodiscard]] static run_log resume(const std::filesystem::path& path) {
    run_log log = read(path);
    require<io_error>(!log.goes_on_, "{}: the record at byte {} of the run log is damaged, but others follow it",
                      path.native(), log.intact_);
    log.open(0);
    if (::ftruncate(log.file_, static_cast<off_t>(log.intact_)) != 0) log.fail_errno("truncate");
    return log;
  }
  /// Reads a log without the intention to write: the updates before the first damaged or incomplete record. Throws
  /// io_error for a file that is not a log or whose header is damaged.
  [[nodiscard]] static run_log read(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    require<io_error>(in.good(), "{}: cannot open the run log: {}", path.native(), std::strerror(errno));
    std::vector<char> bytes;
    for (std::array<char, 1 << 16> part; in.read(part.data(), part.size()), in.gcount() > 0;)
      bytes.insert(bytes.end(), part.data(), part.data() + in.gcount());
    require<io_error>(!in.bad(), "{}: cannot read the run log: {}", path.native(), std::strerror(errno));
    run_log log(path, {});
    log.parse(std::as_bytes(std::span(bytes)));
    return log;
  }

  run_log(run_log&& other) noexcept
      : path_(std::move(other.path_)),
        header_(std::move(other.header_)),
        updates_(std::move(other.updates_)),
        intact_(other.intact_),
        goes_on_(other.goes_on_),
        file_(std::exchange(other.file_, -1)) {}
  run_log& operator=(run_log&&) = delete;
  ~run_log() {
    if (file_ >= 0) ::close(file_);
  }

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] const run_header& header() const noexcept { return header_; }
  /// The updates so far, in order.
  [[nodiscard]] const std::vector<planned_update>& updates() const noexcept { return updates_; }
  /// Bytes of one record.
  [[nodiscard]] static constexpr std::size_t record_bytes(std::size_t directions) noexcept {
    return sizeof(std::uint32_t) * (5 + parameter_groups + directions);
  }

  /// Appends an update in one write, so that a crash of the program loses nothing. Throws value_error for an update
  /// of another seed, which would not replay, and io_error, after which the log is as long as it was.
  void append(const planned_update& u) {
    require(u.seed == header_.seed, "{}: an update of seed {} in a run log of seed {}", path_.native(), u.seed,
            header_.seed);
    std::vector<std::byte> record;
    put(record, u.step);
    put(record, static_cast<std::uint32_t>(u.half_difference.size()));
    for (const parameter_group group : all_parameter_groups) put(record, u.gain[group]);
    put(record, u.signal_power);
    put(record, u.total_power);
    for (const float value : u.half_difference) put(record, value);
    put(record, checksum(record));
    write(record);
    updates_.push_back(u);
  }

 private:
  static_assert(std::endian::native == std::endian::little, "zo::run_log: the format is little-endian");
  static constexpr std::array<char, 8> magic{'z', 'o', 'q', 'a', 't', 'l', 'o', 'g'};

  run_log(std::filesystem::path path, run_header header) : path_(std::move(path)), header_(std::move(header)) {}

  template <class T>
  static void put(std::vector<std::byte>& to, const T& value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    to.insert(to.end(), bytes.begin(), bytes.end());
  }
  /// Reads a value and moves on; false at the end.
  template <class T>
  static bool take(std::span<const std::byte>& from, T& value) {
    if (from.size() < sizeof(T)) return false;
    std::memcpy(&value, from.data(), sizeof(T));
    from = from.subspan(sizeof(T));
    return true;
  }
  static std::uint32_t checksum(std::span<const std::byte> record) {
    const std::uint64_t hash = hash_bytes(record);
    return static_cast<std::uint32_t>(hash ^ hash >> 32);
  }

  std::vector<std::byte> encoded_header() const {
    std::vector<std::byte> bytes;
    put(bytes, magic);
    put(bytes, version);
    put(bytes, static_cast<std::uint32_t>(header_.settings.size()));
    put(bytes, static_cast<std::uint32_t>(header_.distribution.size()));
    put(bytes, header_.seed);
    put(bytes, header_.start);
    for (const std::string* text : {&header_.settings, &header_.distribution}) {
      const auto characters = std::as_bytes(std::span(*text));
      bytes.insert(bytes.end(), characters.begin(), characters.end());
    }
    put(bytes, hash_bytes(bytes));
    return bytes;
  }

  void parse(std::span<const std::byte> all) {
    std::span<const std::byte> rest = all;
    std::array<char, 8> found{};
    std::uint32_t number = 0, length = 0, name_length = 0;
    require<io_error>(take(rest, found) && found == magic, "{}: not a run log", path_.native());
    require<io_error>(take(rest, number) && number == version, "{}: run log of version {}, but version {} is wanted",
                      path_.native(), number, version);
    const bool whole = take(rest, length) && take(rest, name_length) && take(rest, header_.seed) &&
                       take(rest, header_.start) && rest.size() >= std::size_t{length} + name_length;
    require<io_error>(whole, "{}: the file ends within the header of the run log", path_.native());
    const auto* const text = reinterpret_cast<const char*>(rest.data());
    header_.settings.assign(text, length);
    header_.distribution.assign(text + length, name_length);
    rest = rest.subspan(std::size_t{length} + name_length);
    const auto hashed = all.first(all.size() - rest.size());
    std::uint64_t hash = 0;
    require<io_error>(take(rest, hash) && hash == hash_bytes(hashed), "{}: the header of the run log is damaged",
                      path_.native());
    intact_ = all.size() - rest.size();
    for (planned_update u; take_record(rest, u); intact_ = all.size() - rest.size()) updates_.push_back(std::move(u));
    for (std::size_t at = intact_ + 1; at < all.size() && !goes_on_; ++at) {
      planned_update later;
      goes_on_ = take_record(rest = all.subspan(at), later);
    }
  }
  bool take_record(std::span<const std::byte>& rest, planned_update& u) const {
    const std::span<const std::byte> start = rest;
    std::uint32_t directions = 0, sum = 0;
    u = {.seed = header_.seed, .step = 0, .gain = {}, .half_difference = {}};
    if (!take(rest, u.step) || !take(rest, directions)) return false;
    for (const parameter_group group : all_parameter_groups)
      if (!take(rest, u.gain[group])) return false;
    if (!take(rest, u.signal_power) || !take(rest, u.total_power)) return false;
    if (directions > rest.size() / sizeof(float)) return false;
    u.half_difference.resize(directions);
    for (float& value : u.half_difference) take(rest, value);
    const auto record = start.first(start.size() - rest.size());
    return take(rest, sum) && sum == checksum(record);
  }

  void open(int flags) {
    file_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | flags, 0644);
    if (file_ < 0) fail_errno("open");
  }
  void write(std::span<const std::byte> bytes) {
    require<io_error>(file_ >= 0, "{}: the run log was opened for reading", path_.native());
    const std::size_t size = bytes.size();
    while (!bytes.empty()) {
      const ssize_t written = ::write(file_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written == 0) errno = ENOSPC;  // no error and no progress: trying again could go on for ever
      if (written <= 0) undo_write();
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    intact_ += size;
  }
  /// A record cut short by a full disk would hide all that follow it.
  [[noreturn]] void undo_write() const {
    const int cause = errno;
    const bool undone = ::ftruncate(file_, static_cast<off_t>(intact_)) == 0;
    errno = cause;
    fail_errno(undone ? "write" : "write a whole record of");
  }
  [[noreturn]] void fail_errno(const char* what) const {
    fail<io_error>("{}: cannot {} the run log: {}", path_.native(), what, std::strerror(errno));
  }

  std::filesystem::path path_;
  run_header header_;
  std::vector<planned_update> updates_;
  std::size_t intact_ = 0;  ///< bytes before the first incomplete record
  bool goes_on_ = false;    ///< a whole record follows the first incomplete one
  int file_ = -1;
};

}  // namespace zoqat::zo
