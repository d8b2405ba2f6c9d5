// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/hash.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/core/regular_file.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/zo/update.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// What a run started from.
struct run_header {
  std::uint64_t seed = 0;   ///< of the directions
  std::uint64_t start = 0;  ///< `fingerprint` of the parameters before the first step
  std::string settings{};   ///< whatever the trainer needs to make the start again; free text
  /// What directions are drawn from, by its `name()`: updates along others are another run.
  std::string distribution{};
  std::uint32_t steps = 0;  ///< of the whole run; 0 where nobody knows
  /// What else the losses depend on, by name: hashes of files, versions. Neither may hold a line end, nor a name '='.
  std::map<std::string, std::string> inputs{};
  friend bool operator==(const run_header&, const run_header&) = default;
};

/// The bytes of a run log. Little-endian, without padding:
///   header  "zoqatlog", u32 version, u32 length of the settings, u32 of the distribution's name, u32 of the inputs,
///           u32 steps, u64 seed, u64 start, settings, name, inputs as lines "name=value", u64 hash
///   record  u32 step, u32 q, f32 gain of each parameter group, f32 signal power, f32 total power, q × f32 half
///           difference, u32 chain, u32 hash
///   of a step that went on without some of its losses, the highest bit of q is set, and behind the half differences
///   stand u32 n and n × u32 of what is missing (planned_update::absent)
/// `chain` is a hash of what stands before it in the record and of all records before and the header, so a record is
/// at its place or known not to be; `hash` is one of the record alone, so that a damaged record is told from a whole
/// one at another place.
namespace log_format {

static_assert(std::endian::native == std::endian::little, "zo::run_log: the format is little-endian");

inline constexpr std::array<char, 8> magic{'z', 'o', 'q', 'a', 't', 'l', 'o', 'g'};
/// 1: fingerprints of parameters alone; 2: without the distribution; 3: records that know nothing of their place. All
/// are refused. 4: every step had all of its losses; it is read, and gone on with as such.
inline constexpr std::uint32_t version = 5, oldest_version = 4;
/// Set in a record's q: what is missing follows.
inline constexpr std::uint32_t lacks_losses = std::uint32_t{1} << 31;

/// Longest text of a header: settings and inputs are a few hundred bytes.
inline constexpr std::size_t longest_text = std::size_t{1} << 20;

/// Bytes of one record, with all of its losses or without some.
[[nodiscard]] constexpr std::size_t record_bytes(std::size_t directions, std::size_t absent = 0) noexcept {
  return sizeof(std::uint32_t) * (6 + parameter_groups + directions + (absent == 0 ? 0 : 1 + absent));
}

/// A log as far as it is whole.
struct content {
  enum class ending { whole, torn, damaged };

  std::uint32_t version = log_format::version;  ///< of the file
  run_header header{};
  std::vector<planned_update> updates{};
  std::size_t intact = 0;   ///< bytes before the first record that is not whole or not at its place
  std::uint64_t chain = 0;  ///< what the next record goes on from
  /// torn: the bytes at the end hold no whole record, as a killed run leaves them; damaged: no crash does that.
  ending end = ending::whole;
  std::string damage{};  ///< what is wrong behind `intact`, in words
};

/// Whether bytes begin like a log, as far as they go; nothing at all does.
[[nodiscard]] inline bool begins_like_a_log(std::span<const std::byte> start) {
  const auto expected = std::as_bytes(std::span(magic));
  const std::size_t common = std::min(start.size(), expected.size());
  return std::ranges::equal(start.first(common), expected.first(common));
}

namespace detail {

template <class T>
void put(std::vector<std::byte>& to, const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  to.insert(to.end(), bytes.begin(), bytes.end());
}
/// Reads a value and moves on; false at the end.
template <class T>
bool take(std::span<const std::byte>& from, T& value) {
  if (from.size() < sizeof(T)) return false;
  std::memcpy(&value, from.data(), sizeof(T));
  from = from.subspan(sizeof(T));
  return true;
}
/// Bytes of a header before its texts.
inline constexpr std::size_t fixed_header = magic.size() + 5 * sizeof(std::uint32_t) + 2 * sizeof(std::uint64_t);

[[nodiscard]] constexpr std::uint32_t folded(std::uint64_t hash) noexcept {
  return static_cast<std::uint32_t>(hash ^ hash >> 32);
}

[[nodiscard]] inline std::string text_of(const std::map<std::string, std::string>& inputs) {
  std::string lines;
  for (const auto& [name, value] : inputs) {
    require(name.find_first_of("=\n") == name.npos && value.find('\n') == value.npos,
            "run_log: an input of the run is named '{}' and is '{}', which cannot be written as a line", name, value);
    lines += fmt::format("{}={}\n", name, value);
  }
  return lines;
}
[[nodiscard]] inline std::map<std::string, std::string> inputs_of(std::string_view lines) {
  std::map<std::string, std::string> inputs;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    const std::size_t equals = std::min(line.find('='), line.size());
    inputs.emplace(line.substr(0, equals), line.substr(std::min(equals + 1, line.size())));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
  }
  return inputs;
}

/// Bytes from the magic to the hash, as far as a header says, and enough to see what it is; what is no log says
/// nothing.
template <class Bytes>
std::size_t header_bytes(Bytes& bytes) {
  std::span<const std::byte> start = bytes.at(0, fixed_header);
  const bool is_log = begins_like_a_log(start);
  std::size_t all = fixed_header;
  std::array<std::uint32_t, 3> lengths{};
  start = start.subspan(std::min(start.size(), magic.size() + sizeof(version)));
  if (is_log && take(start, lengths))
    for (const std::uint32_t length : lengths) all += length;
  return all + sizeof(std::uint64_t);
}

/// Takes the header off `rest`. Throws io_error.
inline void take_header(std::span<const std::byte>& rest, content& to, std::string_view source) {
  const std::span<const std::byte> all = rest;
  std::array<char, 8> found{};
  std::uint32_t number = 0;
  const bool is_log = take(rest, found) && found == magic;
  const bool is_pointer = is_pointer_of_lfs({reinterpret_cast<const char*>(all.data()), all.size()});
  require<io_error>(is_log, "{}: {}", source,
                    is_pointer ? "is a pointer of Git LFS and not the run log itself; fetch that by git lfs pull"
                               : "not a run log");
  require<io_error>(take(rest, number) && number >= oldest_version && number <= version,
                    "{}: run log of version {}, but version {} is wanted", source, number, version);
  to.version = number;
  std::array<std::uint32_t, 3> lengths{};
  run_header& header = to.header;
  bool whole = take(rest, lengths) && take(rest, header.steps) && take(rest, header.seed) && take(rest, header.start);
  const auto take_text = [&](std::size_t length) {
    whole = whole && length <= rest.size();
    if (!whole) return std::string();
    require<io_error>(length <= longest_text, "{}: the header of the run log has a text of {} bytes, more than {}",
                      source, length, longest_text);
    std::string text(reinterpret_cast<const char*>(rest.data()), length);
    rest = rest.subspan(length);
    return text;
  };
  header.settings = take_text(lengths[0]);
  header.distribution = take_text(lengths[1]);
  header.inputs = inputs_of(take_text(lengths[2]));
  const auto hashed = all.first(all.size() - rest.size());
  std::uint64_t hash = 0;
  require<io_error>(whole && take(rest, hash), "{}: the file ends within the header of the run log", source);
  require<io_error>(hash == hash_bytes(hashed), "{}: the header of the run log is damaged", source);
  to.chain = hash;
}

/// Whether a whole record begins at `rest`, wherever in a log it belongs; `chained` is what it holds of its place.
inline bool take_record(std::span<const std::byte>& rest, planned_update& u, std::uint32_t& chained) {
  const std::span<const std::byte> start = rest;
  std::uint32_t directions = 0, hash = 0;
  if (!take(rest, u.step) || !take(rest, directions)) return false;
  const bool lacks = (directions & lacks_losses) != 0;
  directions &= ~lacks_losses;
  if (record_bytes(directions) > start.size()) return false;
  for (const parameter_group group : all_parameter_groups) take(rest, u.gain[group]);
  take(rest, u.signal_power);
  take(rest, u.total_power);
  u.half_difference.resize(directions);
  for (float& value : u.half_difference) take(rest, value);
  std::uint32_t absent = 0;
  if (lacks && (!take(rest, absent) || absent == 0 || record_bytes(directions, absent) > start.size())) return false;
  u.absent.resize(absent);
  for (std::uint32_t& pair : u.absent) take(rest, pair);
  take(rest, chained);
  const auto hashed = start.first(start.size() - rest.size());
  return take(rest, hash) && hash == folded(hash_bytes(hashed));
}
[[nodiscard]] inline std::uint64_t next_chain(std::span<const std::byte> record, std::uint64_t before) noexcept {
  return hash_bytes(record.first(record.size() - 2 * sizeof(std::uint32_t)), before);
}

/// Whether a whole record begins behind the first byte. A text made to look like many overlapping records would cost
/// the square of its size: after so many bytes the answer is yes, since what is refused is not lost.
[[nodiscard]] inline bool holds_record(std::span<const std::byte> rest) {
  std::size_t work = 0;
  const std::size_t most = 2 * record_bytes(0) * rest.size();
  for (std::size_t at = 1; at + record_bytes(0) <= rest.size(); ++at) {
    std::uint32_t directions = 0, chained = 0;
    std::memcpy(&directions, rest.data() + at + sizeof(std::uint32_t), sizeof(directions));
    const bool lacks = (directions & lacks_losses) != 0;
    directions &= ~lacks_losses;
    if (record_bytes(directions) > rest.size() - at) continue;
    work += lacks ? rest.size() - at : record_bytes(directions);
    if (work > most) return true;
    planned_update later;
    auto from = rest.subspan(at);
    if (take_record(from, later, chained)) return true;
  }
  return false;
}

/// "step 4", or "the header" before the first one.
[[nodiscard]] inline std::string last_of(const content& log) {
  return log.updates.empty() ? "the header" : fmt::format("step {}", log.updates.back().step);
}

}  // namespace detail

/// The bytes of a header, and of a record that follows them or another record. `chain` goes on. `as`: the version of
/// the file.
[[nodiscard]] inline std::vector<std::byte> encode(const run_header& header, std::uint64_t& chain,
                                                   std::uint32_t as = version) {
  const std::string inputs = detail::text_of(header.inputs);
  std::vector<std::byte> bytes;
  detail::put(bytes, magic);
  detail::put(bytes, as);
  for (const std::string* text : {&header.settings, &header.distribution, &inputs}) {
    require(text->size() <= longest_text, "run_log: a text of {} bytes in the header, more than {}", text->size(),
            longest_text);
    detail::put(bytes, static_cast<std::uint32_t>(text->size()));
  }
  detail::put(bytes, header.steps);
  detail::put(bytes, header.seed);
  detail::put(bytes, header.start);
  for (const std::string* text : {&header.settings, &header.distribution, &inputs}) {
    const auto characters = std::as_bytes(std::span(*text));
    bytes.insert(bytes.end(), characters.begin(), characters.end());
  }
  chain = hash_bytes(bytes);
  detail::put(bytes, chain);
  return bytes;
}
[[nodiscard]] inline std::vector<std::byte> encode(const planned_update& u, std::uint64_t& chain) {
  std::vector<std::byte> record;
  record.reserve(record_bytes(u.half_difference.size(), u.absent.size()));
  const auto directions = static_cast<std::uint32_t>(u.half_difference.size());
  detail::put(record, u.step);
  detail::put(record, u.absent.empty() ? directions : directions | lacks_losses);
  for (const parameter_group group : all_parameter_groups) detail::put(record, u.gain[group]);
  detail::put(record, u.signal_power);
  detail::put(record, u.total_power);
  for (const float value : u.half_difference) detail::put(record, value);
  if (!u.absent.empty()) detail::put(record, static_cast<std::uint32_t>(u.absent.size()));
  for (const std::uint32_t pair : u.absent) detail::put(record, pair);
  chain = hash_bytes(record, chain);
  detail::put(record, detail::folded(chain));
  detail::put(record, detail::folded(hash_bytes(record)));
  return record;
}

/// Whether bytes that begin like a log end before its header does: a run was killed before it made a step.
[[nodiscard]] inline bool ends_within_header(std::span<const std::byte> start) {
  std::array<char, 8> found{};
  std::uint32_t number = version;
  std::array<std::uint32_t, 3> lengths{};
  std::uint64_t bytes = sizeof(std::uint32_t) + 3 * sizeof(std::uint64_t);  // of what stands beside the texts
  if (!detail::take(start, found) || !detail::take(start, number)) return true;
  if (number < oldest_version || number > version) return false;
  if (!detail::take(start, lengths)) return true;
  for (const std::uint32_t length : lengths) bytes += length;
  return start.size() < bytes;
}

/// A log that lies in memory, for `parse_from`.
class bytes_in_memory {
 public:
  explicit bytes_in_memory(std::span<const std::byte> all) : all_(all) {}
  [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }
  /// The bytes from `first` on, as many as asked for or there are; valid until the next call.
  [[nodiscard]] std::span<const std::byte> at(std::size_t first, std::size_t count) const noexcept {
    return all_.subspan(first, std::min(count, all_.size() - first));
  }

 private:
  std::span<const std::byte> all_;
};

namespace detail {

/// Bytes that the record at `first` says it has, or all that is left where it ends before it says so.
template <class Bytes>
std::size_t record_size(Bytes& bytes, std::size_t first) {
  const std::size_t left = bytes.size() - first;
  if (left < record_bytes(0)) return left;
  const auto number_at = [&](std::size_t offset) {
    std::uint32_t number = 0;
    std::memcpy(&number, bytes.at(first + offset, sizeof(number)).data(), sizeof(number));
    return number;
  };
  const std::uint32_t directions = number_at(sizeof(std::uint32_t));
  const std::size_t with_all = record_bytes(directions & ~lacks_losses);
  if ((directions & lacks_losses) == 0 || with_all > left) return with_all;
  // How many losses are absent stands where a record that has all has its last two numbers.
  return record_bytes(directions & ~lacks_losses, number_at(with_all - 2 * sizeof(std::uint32_t)));
}
/// Most records that may stand from `first` on, at least as many as there are whole ones.
template <class Bytes>
std::size_t count_records(Bytes& bytes, std::size_t first) {
  std::size_t count = 0;
  while (bytes.size() - first >= record_bytes(0)) {
    const std::size_t size = record_size(bytes, first);
    if (size > bytes.size() - first) break;
    first += size;
    ++count;
  }
  return count;
}

}  // namespace detail

/// Reads a log, as far as it is whole, from front to back; `bytes` is as `bytes_in_memory`, `source` names it in
/// messages. Throws io_error for what is no log and for a damaged header. Time linear in the size; memory that of the
/// updates, twice the size at most.
template <class Bytes>
[[nodiscard]] content parse_from(Bytes&& bytes, std::string_view source) {
  content log;
  std::span<const std::byte> header = bytes.at(0, detail::header_bytes(bytes));
  const std::size_t begin = header.size();
  detail::take_header(header, log, source);
  log.intact = begin - header.size();
  log.updates.reserve(detail::count_records(bytes, log.intact));  // growing would take three times as much
  while (log.intact != bytes.size()) {
    // No more than there are, whatever the record says.
    const std::span<const std::byte> from = bytes.at(log.intact, detail::record_size(bytes, log.intact));
    std::span<const std::byte> rest = from;
    planned_update u{.seed = log.header.seed};
    std::uint32_t chained = 0;
    if (!detail::take_record(rest, u, chained)) {
      const std::size_t left = bytes.size() - log.intact;
      const bool goes_on = detail::holds_record(bytes.at(log.intact, left));
      log.end = goes_on ? content::ending::damaged : content::ending::torn;
      log.damage = goes_on ? fmt::format("the record at byte {}, after {}, is damaged, but others follow it",
                                         log.intact, detail::last_of(log))
                           : fmt::format("the {} from byte {} on, after {}, are no whole record",
                                         plural(left, "byte"), log.intact, detail::last_of(log));
      return log;
    }
    const std::uint64_t chain = detail::next_chain(from.first(from.size() - rest.size()), log.chain);
    const bool in_order = log.updates.empty() || u.step > log.updates.back().step;
    if (chained != detail::folded(chain) || !in_order) {
      log.end = content::ending::damaged;
      log.damage = fmt::format(
          "the record at byte {} is of step {} and whole, but does not follow {} of this log: records are missing, "
          "come twice, have changed places or are of another log",
          log.intact, u.step, detail::last_of(log));
      return log;
    }
    log.chain = chain;
    log.updates.push_back(std::move(u));
    log.intact += from.size() - rest.size();
  }
  return log;
}
[[nodiscard]] inline content parse(std::span<const std::byte> all, std::string_view source) {
  return parse_from(bytes_in_memory(all), source);
}

}  // namespace log_format

}  // namespace zoqat::zo
