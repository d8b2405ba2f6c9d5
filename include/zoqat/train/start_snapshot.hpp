// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/hash.hpp>
#include <zoqat/io/atomic_file.hpp>
#include <zoqat/io/mapped_file.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/zo/log/run_log.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

/// Where a run started, bit for bit, in a file beside its log. A start that is computed again, by reconstruction from
/// what forward passes gather, has other last bits on another instruction set, and a log does not replay from those;
/// from a snapshot it does, everywhere. Its size is that of the masters and of what is frozen.
///
/// Little-endian: "zoqatsta", u32 version, u32 zero, u64 fingerprint, the bytes that make the fingerprint in their
/// order (names as well), u64 hash of all that in pieces of a megabyte.
namespace zoqat::inline ZOQAT_ABI::train {

namespace detail {

inline constexpr std::array<char, 8> snapshot_magic{'z', 'o', 'q', 'a', 't', 's', 't', 'a'};
inline constexpr std::uint32_t snapshot_version = 1;
inline constexpr std::size_t snapshot_piece = std::size_t{1} << 20;

struct snapshot_header {
  std::array<char, 8> magic = snapshot_magic;
  std::uint32_t version = snapshot_version, zero = 0;
  std::uint64_t fingerprint = 0;
};
static_assert(sizeof(snapshot_header) == 24);

/// Hands bytes on in pieces of one size, and their hash at the end.
class snapshot_writer {
 public:
  explicit snapshot_writer(io::atomic_file& file) : file_(file) { piece_.reserve(snapshot_piece); }
  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto part = bytes.first(std::min(bytes.size(), snapshot_piece - piece_.size()));
      piece_.insert(piece_.end(), part.begin(), part.end());
      bytes = bytes.subspan(part.size());
      if (piece_.size() == snapshot_piece) flush();
    }
  }
  void finish() {
    if (!piece_.empty()) flush();
    file_.write(std::as_bytes(std::span(&hash_, 1)));
  }

 private:
  void flush() {
    hash_ = hash_bytes(piece_, hash_);
    file_.write(piece_);
    piece_.clear();
  }

  io::atomic_file& file_;
  std::vector<std::byte> piece_;
  std::uint64_t hash_ = hash_bytes({});
};

/// The header of a snapshot that is whole. Throws io_error.
inline snapshot_header checked_snapshot(const io::mapped_file& file) {
  const std::span<const std::byte> all = file.bytes();
  snapshot_header header;
  std::uint64_t hash = hash_bytes({}), stored = 0;
  require<io_error>(all.size() >= sizeof(header) + sizeof(hash), "{}: too short for the start of a run",
                    file.path().native());
  std::memcpy(&header, all.data(), sizeof(header));
  require<io_error>(header.magic == snapshot_magic, "{}: not the start of a run", file.path().native());
  require<io_error>(header.version == snapshot_version, "{}: the start of a run in version {}, but {} is wanted",
                    file.path().native(), header.version, snapshot_version);
  const auto hashed = all.first(all.size() - sizeof(hash));
  for (std::size_t at = 0; at < hashed.size(); at += snapshot_piece) {
    const auto piece = hashed.subspan(at, std::min(snapshot_piece, hashed.size() - at));
    hash = hash_bytes(piece, hash);
    file.release_pages(piece);
  }
  std::memcpy(&stored, all.data() + hashed.size(), sizeof(stored));
  require<io_error>(hash == stored, "{}: the start of the run is damaged: its checksum does not agree",
                    file.path().native());
  return header;
}

}  // namespace detail

/// Writes what the parameters of a model are, and all else that its losses depend on, all or nothing. Throws
/// io_error.
template <parameter_store Store>
void save_start(const std::filesystem::path& path, Store& parameters) {
  detail::snapshot_header header;
  header.fingerprint = zo::fingerprint(parameters);
  io::atomic_file file(path);
  detail::snapshot_writer out(file);
  out.write(std::as_bytes(std::span(&header, 1)));
  const auto write = [&](std::span<const std::byte> bytes) { out.write(bytes); };
  zo::for_each_part(parameters, write, write);
  out.finish();
  file.commit();
}

/// The fingerprint of the start in a file that is whole. Throws io_error for any other file.
[[nodiscard]] inline std::uint64_t fingerprint_of_start(const std::filesystem::path& path) {
  return detail::checked_snapshot(io::mapped_file(path)).fingerprint;
}

/// Makes a model, which owns all of its memory and was prepared in the same way, the one that was saved, bit for bit.
/// Throws io_error for a damaged file and one of another model; whatever is thrown, nothing has changed then.
template <parameter_store Store>
void restore_start(const std::filesystem::path& path, Store& parameters) {
  const io::mapped_file file(path);
  const detail::snapshot_header header = detail::checked_snapshot(file);
  const auto parts =
      file.bytes().subspan(sizeof(header), file.bytes().size() - sizeof(header) - sizeof(std::uint64_t));
  struct copy {
    std::span<const std::byte> to, from;
  };
  std::vector<copy> copies;  // first all of them, so that nothing fails once there is one
  std::size_t at = 0;
  bool fits = true;
  const auto take = [&](std::span<const std::byte> part, auto&& use) {
    fits = fits && part.size() <= parts.size() - at;
    if (!fits || part.empty()) return;
    use(parts.subspan(at, part.size()));
    at += part.size();
  };
  zo::for_each_part(
      parameters,
      [&](std::span<const std::byte> name) {
        take(name, [&](std::span<const std::byte> saved) { fits = std::ranges::equal(saved, name); });
      },
      [&](std::span<const std::byte> part) {
        take(part, [&](std::span<const std::byte> saved) { copies.push_back({part, saved}); });
      });
  require<io_error>(fits && at == parts.size(), "{}: the start of a run of another model or other options",
                    path.native());
  for (const copy& c : copies)  // into a view of what the model owns, which is not constant itself
    std::memcpy(const_cast<std::byte*>(c.to.data()), c.from.data(), c.from.size());
}

}  // namespace zoqat::train
