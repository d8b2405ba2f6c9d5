// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/file_descriptor.hpp>
#include <zoqat/core/hash.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/core/regular_file.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/params/stored_masters.hpp>
#include <zoqat/zo/log/log_format.hpp>
#include <zoqat/zo/update.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// Calls name(bytes) for the names of the parameters of a store, and part(bytes) for their bits and for what it says
/// beside them through `for_each_constant(f)`, f(std::span<const std::byte>): all that a run starts from, in one
/// order.
template <parameter_store Store, class Name, class Part>
void for_each_part(Store& parameters, Name&& name, Part&& part) {
  parameters.for_each_parameter([&](const parameter& p) {
    name(std::as_bytes(std::span(p.name)));
    const compact_masters& m = p.compact;
    const bool joined = m.stride == 0;  // what lies between rows is not of the tensor
    part(std::as_bytes(p.values));
    part(std::as_bytes(joined ? m.halves : std::span<bf16>()));
    part(std::as_bytes(joined ? m.codes : std::span<std::uint8_t>()));
    part(std::as_bytes(m.scales));
    if (!joined || !m.fp16s.empty()) for_each_stored_run(p, part);
    if (!m.host_scales.empty()) part(std::as_bytes(m.host_scales));
    part(std::as_bytes(p.unit));
  });
  if constexpr (requires { parameters.for_each_constant(part); }) parameters.for_each_constant(part);
}

/// A hash of all parts of a store: tells whether a log belongs to a model.
template <parameter_store Store>
[[nodiscard]] std::uint64_t fingerprint(Store& parameters) {
  std::uint64_t hash = hash_bytes({});
  const auto take = [&](std::span<const std::byte> bytes) { hash = hash_bytes(bytes, hash); };
  for_each_part(parameters, take, take);
  return hash;
}

/// How a run log is written.
struct log_options {
  bool replace = false;  ///< `create` may put the log in the place of another one
  /// How much of a run a power failure may take. 0: the disk is waited for after each step.
  std::chrono::milliseconds sync_every{1000};
};

/// A run as the updates it made, in a file to which each step appends a record of its own: start + log = trained
/// model, bit for bit. It is the checkpoint and the crash recovery: a record that a crash cut short is found by its
/// checksum and dropped. Every record is tied to those before it (see log_format), so that one which is missing,
/// comes twice or is another run's is found. While a log is written nobody else can write it.
class run_log {
 public:
  static constexpr std::uint32_t version = log_format::version;

  /// Starts a log. Throws io_error, also where a file of that name is there, which is left alone: unless
  /// `how.replace`, and it is a run log. What a crash left of a log that holds no header yet is replaced in any case.
  [[nodiscard]] static run_log create(const std::filesystem::path& path, run_header header, log_options how = {}) {
    run_log log(path, std::move(header), how);
    const std::vector<std::byte> bytes = log_format::encode(log.header_, log.chain_);
    creation file(path);
    file.open(how);
    log.file_ = file.get();
    log.truncate(0);
    log.write(bytes);
    log.sync();
    sync_folder(folder_of(path));
    file.keep();
    return log;
  }
  /// Throws io_error where `create` would. Leaves no file behind.
  static void require_creatable(const std::filesystem::path& path, log_options how = {}) { creation(path).open(how); }
  /// Whether there is a log that holds a header. What a crash left of one that does not is as good as nothing:
  /// `create` replaces it. Throws io_error for a file that is no log.
  [[nodiscard]] static bool is_begun(const std::filesystem::path& path) {
    if (!std::filesystem::exists(path)) return false;
    const std::vector<std::byte> start = start_of(open_regular(path, O_RDONLY, "the run log"), path);
    require<io_error>(log_format::begins_like_a_log(start), "{}: not a run log", path.native());
    return !log_format::ends_within_header(start);
  }
  /// Whether another opening of the log holds it at this moment, to write it. Throws io_error for what cannot be
  /// read.
  [[nodiscard]] static bool is_in_use(const std::filesystem::path& path) {
    return is_locked(open_regular(path, O_RDONLY, "the run log"));
  }
  /// Opens a log to go on with it: reads what is there and cuts off an incomplete last record, see `cut_bytes`.
  /// Throws io_error for a file that is not a log, that another run writes, whose header is damaged, or that goes on
  /// after a damaged record or with one that does not belong there: no crash does that, and what follows is not
  /// thrown away unasked.
  [[nodiscard]] static run_log resume(const std::filesystem::path& path, log_options how = {}) {
    run_log log(path, {}, how);
    log.take_over();
    log.damage_.clear();
    log.truncate(log.intact_);
    return log;
  }
  /// Throws io_error where `resume` would. Changes nothing.
  static void require_resumable(const std::filesystem::path& path) { run_log(path, {}, {}).take_over(); }
  /// Reads a log without the intention to write. Throws io_error for a file that is not a log, and for one that is
  /// not whole to its end.
  [[nodiscard]] static run_log read(const std::filesystem::path& path) {
    run_log log = read_intact(path);
    require<io_error>(log.damage_.empty(), "{}: {}; what comes before can be replayed if that is asked for",
                      path.native(), log.damage_);
    return log;
  }
  /// Reads the updates before the first one that is not whole or not at its place; `damage` says whether there is
  /// one. Throws io_error for a file that is not a log or whose header is damaged.
  [[nodiscard]] static run_log read_intact(const std::filesystem::path& path) {
    run_log log(path, {}, {});
    static_cast<void>(log.read_from(open_regular(path, O_RDONLY, "the run log")));
    return log;
  }

  run_log(run_log&&) noexcept = default;
  run_log& operator=(run_log&&) = delete;
  ~run_log() {
    if (file_ && unsynced_) ::fdatasync(file_.get());
  }

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] const run_header& header() const noexcept { return header_; }
  /// The updates so far, in order.
  [[nodiscard]] const std::vector<planned_update>& updates() const noexcept { return updates_; }
  /// What is wrong behind the updates, with the place; empty for a log that is whole.
  [[nodiscard]] const std::string& damage() const noexcept { return damage_; }
  /// Bytes of an incomplete last record, which `resume` cut off.
  [[nodiscard]] std::size_t cut_bytes() const noexcept { return cut_bytes_; }
  /// A hash of all that was written: two logs that have the same are the same run.
  [[nodiscard]] std::uint64_t chain() const noexcept { return chain_; }
  /// Steps that were made.
  [[nodiscard]] std::uint32_t steps() const noexcept { return updates_.empty() ? 0 : updates_.back().step + 1; }
  /// Bytes of one record.
  [[nodiscard]] static constexpr std::size_t record_bytes(std::size_t directions) noexcept {
    return log_format::record_bytes(directions);
  }

  /// Throws value_error where the log has fewer steps than its run was to make.
  void require_finished() const {
    require(steps() >= header_.steps, "{}: the log has {} of {}: the run was broken off; resume it", path_.native(),
            steps(), plural(header_.steps, "step"));
  }
  /// Throws value_error, which names it, where something that the losses depend on is not what it was.
  void require_inputs(const std::map<std::string, std::string>& here) const {
    for (const auto& [name, value] : header_.inputs) {
      const auto found = here.find(name);
      require(found != here.end() && found->second == value,
              "{}: the {} is not the one that the run began with (then {}, now {}); go on with that one, or begin "
              "another run with another log",
              path_.native(), name, value, found == here.end() ? "none" : found->second);
    }
  }

  /// Appends an update in one write, so that a crash of the program loses nothing. Throws value_error for an update
  /// of another seed, which would not replay, or of a step that is not after the last one, and io_error, after which
  /// the log is as long as it was (or, where the disk could not be waited for, has the update).
  void append(const planned_update& u) {
    require(u.seed == header_.seed, "{}: an update of seed {} in a run log of seed {}", path_.native(), u.seed,
            header_.seed);
    require(updates_.empty() || u.step > updates_.back().step, "{}: step {} after step {} in a run log",
            path_.native(), u.step, updates_.empty() ? 0 : updates_.back().step);
    require(
        u.absent.empty() || format_ >= 5,
        "{}: step {} lacks losses, which a run log of version {} cannot say; begin another log, or let the others "
        "evaluate what is missing",
        path_.native(), u.step, format_);
    std::uint64_t chain = chain_;
    const std::vector<std::byte> record = log_format::encode(u, chain);
    updates_.reserve(updates_.size() < updates_.capacity() ? 0 : 2 * updates_.size() + 1);
    planned_update kept = u;
    write(record);
    updates_.push_back(std::move(kept));  // all memory was taken before
    chain_ = chain;
    if (clock::now() - synced_at_ >= how_.sync_every) sync();
  }
  /// Waits until the disk has it all. Throws io_error.
  void sync() {
    if (!unsynced_) return;
    if (uninterrupted([&] { return ::fdatasync(file_.get()); }) != 0) fail_errno(path_, "sync the run log");
    unsynced_ = false;
    synced_at_ = clock::now();
  }

 private:
  using clock = std::chrono::steady_clock;

  run_log(std::filesystem::path path, run_header header, log_options how)
      : path_(std::move(path)), header_(std::move(header)), how_(how) {}

  /// The file of a log that is to begin. One that is new is removed again unless it is kept; nothing of one that was
  /// there is changed.
  class creation {
   public:
    explicit creation(const std::filesystem::path& path) : path_(path) {}
    creation(const creation&) = delete;
    creation& operator=(const creation&) = delete;
    ~creation() {
      if (is_new_) ::unlink(path_.c_str());
    }
    void open(log_options how) {
      const std::filesystem::path folder = path_.parent_path();
      require<io_error>(folder.empty() || std::filesystem::is_directory(folder),
                        "{}: cannot create the run log: No such file or directory as '{}'", path_.native(),
                        folder.native());
      constexpr int flags = O_RDWR | O_APPEND;
      file_ = file_descriptor(
          uninterrupted([&] { return ::open(path_.c_str(), flags | O_CREAT | O_EXCL | O_CLOEXEC, 0644); }));
      is_new_ = static_cast<bool>(file_);
      if (!is_new_ && errno != EEXIST) fail_errno(path_, "create the run log");
      require<io_error>(is_new_ || std::filesystem::exists(path_),
                        "{}: is a link to nothing; give the log another name", path_.native());
      if (!is_new_) file_ = open_regular(path_, flags, "the run log");
      lock_exclusively(file_, path_, "the run log");
      if (!is_new_) require_replaceable(file_, path_, how);
    }
    [[nodiscard]] file_descriptor get() noexcept { return std::move(file_); }
    void keep() noexcept { is_new_ = false; }

   private:
    const std::filesystem::path& path_;
    file_descriptor file_;
    bool is_new_ = false;
  };
  /// As much of a file as the header of a log may take.
  static std::vector<std::byte> start_of(const file_descriptor& file, const std::filesystem::path& path) {
    std::vector<std::byte> start(std::min<std::uintmax_t>(regular_size(file, path), largest_header));
    start.resize(read_some(file, start, path));
    return start;
  }
  static void require_replaceable(const file_descriptor& file, const std::filesystem::path& path, log_options how) {
    const std::vector<std::byte> start = start_of(file, path);
    require<io_error>(log_format::begins_like_a_log(start),
                      "{}: this is no run log, and is not replaced by one; give the log another name", path.native());
    require<io_error>(how.replace || log_format::ends_within_header(start),
                      "{}: there is a run log of that name already, which is not replaced unasked; resume it, give "
                      "this one another name, or say that it may be replaced",
                      path.native());
  }

  /// A file for log_format::parse_from, of which a piece is in memory. It may grow meanwhile.
  class bytes_of_file {
   public:
    bytes_of_file(const file_descriptor& file, const std::filesystem::path& path, std::size_t size)
        : file_(file), path_(path), size_(size) {}
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::span<const std::byte> at(std::size_t first, std::size_t count) {
      count = std::min(count, size_ - first);
      if (first < first_ || first + count > first_ + piece_.size()) read(first, count);
      return std::span(piece_).subspan(first - first_, count);
    }

   private:
    void read(std::size_t first, std::size_t count) {
      const std::size_t wanted = std::min(std::max(count, piece_bytes), size_ - first);
      if (wanted > piece_.capacity()) piece_ = {};  // which gives its memory back before it takes more
      piece_.resize(wanted);
      if (::lseek(file_.get(), static_cast<off_t>(first), SEEK_SET) < 0) fail_errno(path_, "seek in the run log");
      first_ = first;
      require<io_error>(read_some(file_, piece_, path_) == wanted, "{}: became shorter while it was read",
                        path_.native());
    }

    static constexpr std::size_t piece_bytes = std::size_t{1} << 20;

    const file_descriptor& file_;
    const std::filesystem::path& path_;
    std::size_t size_, first_ = 0;
    std::vector<std::byte> piece_;
  };

  /// Opens a log that is there for writing at the end of what is whole.
  void take_over() {
    file_ = open_regular(path_, O_RDWR | O_APPEND, "the run log");
    lock_exclusively(file_, path_, "the run log");
    const std::uintmax_t size = read_from(file_);
    require<io_error>(end_ != log_format::content::ending::damaged,
                      "{}: {}; restore the log from a copy, or replay what is whole of it", path_.native(), damage_);
    cut_bytes_ = static_cast<std::size_t>(size - intact_);
  }
  /// Reads the whole file and returns its size.
  std::uintmax_t read_from(const file_descriptor& file) {
    const std::uintmax_t size = regular_size(file, path_);
    require<io_error>(size <= largest, "{}: of {} bytes, more than the {} of the largest run log", path_.native(),
                      size, largest);
    bytes_of_file bytes(file, path_, static_cast<std::size_t>(size));
    log_format::content found = log_format::parse_from(bytes, path_.native());
    format_ = found.version;
    header_ = std::move(found.header);
    updates_ = std::move(found.updates);
    intact_ = found.intact;
    chain_ = found.chain;
    end_ = found.end;
    damage_ = std::move(found.damage);
    return size;
  }
  void write(std::span<const std::byte> bytes) {
    require<io_error>(static_cast<bool>(file_), "{}: the run log was opened for reading", path_.native());
    if (torn_) truncate(intact_);
    if (const int cause = try_write_all(file_, bytes); cause != 0) {
      torn_ = !try_truncate(intact_);
      fail_errno(path_, torn_ ? "write a whole record of the run log" : "write the run log", cause);
    }
    intact_ += bytes.size();
    unsynced_ = true;
  }
  [[nodiscard]] bool try_truncate(std::size_t size) const noexcept {
    return uninterrupted([&] { return ::ftruncate(file_.get(), static_cast<off_t>(size)); }) == 0;
  }
  void truncate(std::size_t size) {
    if (!try_truncate(size)) fail_errno(path_, "truncate the run log");
    torn_ = false;
  }

  /// No run is so long; a file that is larger is none.
  static constexpr std::uintmax_t largest = std::uintmax_t{1} << 32;
  static constexpr std::uintmax_t largest_header = std::uintmax_t{1} << 24;

  std::filesystem::path path_;
  std::uint32_t format_ = version;  ///< of the file
  run_header header_;
  log_options how_;
  std::vector<planned_update> updates_;
  std::size_t intact_ = 0;  ///< bytes before the first incomplete record
  std::uint64_t chain_ = 0;
  log_format::content::ending end_ = log_format::content::ending::whole;
  std::string damage_;
  std::size_t cut_bytes_ = 0;
  file_descriptor file_;
  bool unsynced_ = false;
  bool torn_ = false;  ///< a record was cut short, and could not be taken back; it would hide all that follow it
  clock::time_point synced_at_{};
};

}  // namespace zoqat::zo
