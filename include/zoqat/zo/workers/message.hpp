// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/hash.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/log/log_format.hpp>
#include <zoqat/zo/workers/share.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What workers tell each other, as bytes: little-endian, u32 of the kind in 4 bits, the step's lowest 12 bits and in
/// the highest 16 the number of bytes that follow, then these. In a step a worker sends its losses, 4 bytes and 8 for
/// each, and receives what all of them come to, 24 bytes and 4 for each direction: with one direction on four
/// micro-batches, two workers send 36 bytes and receive 28, and four send 20 and receive 28.
namespace zoqat::inline ZOQAT_ABI::zo::workers {

/// One message.
struct message {
  enum class kind : std::uint8_t {
    hello,    ///< to the coordinator, first: u32 protocol, u64 fingerprint of the start, u64 terms, name
    log,      ///< from it: a piece of the run log so far, as it lies in a file
    log_end,  ///< the last piece; u32 of how many steps pass between fingerprints comes first
    ready,    ///< to it: all that was told has been done, and a share may come
    share,    ///< from it: u32 begin, u32 end of a share, u32 first step; or nothing, when a worker has none
    losses,   ///< to it: f64 of each loss of the share, and u64 fingerprint of the weights where that is due
    outcome,  ///< from it: f64 loss, f32 spread, f32 signal power, f32 total power, q × f32 half difference, or none
    sparse,   ///< the same of a step that lacks losses: u32 n, n × u32 of what is absent, come first
    leave,    ///< from it: a worker is put out, or all of them, for the reason in the text
  };
  kind what{};
  std::uint32_t step = 0;  ///< of a message that came, its lowest 12 bits: see `is_of`
  std::vector<std::byte> content{};

  /// Whether it is of that step. Nobody is so late that 12 bits would not tell.
  [[nodiscard]] bool is_of(std::uint32_t other) const noexcept { return ((step ^ other) & 0xfff) == 0; }

  [[nodiscard]] std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(content.data()), content.size()};
  }
};

namespace message_format {

inline constexpr std::size_t header_bytes = 4;
/// The longest content: two bytes count it.
inline constexpr std::size_t longest = (std::size_t{1} << 16) - 1;
/// Of what coordinator and workers say to each other.
inline constexpr std::uint32_t protocol = 1;

using log_format::detail::put;
using log_format::detail::take;

inline void put_text(std::vector<std::byte>& to, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

[[nodiscard]] inline std::vector<std::byte> encode(const message& m) {
  require(m.content.size() <= longest, "workers: a message of {} bytes, more than {}; take fewer directions a step",
          m.content.size(), longest);
  std::vector<std::byte> bytes;
  bytes.reserve(header_bytes + m.content.size());
  put(bytes, static_cast<std::uint32_t>(m.content.size() << 16) | (m.step & 0xfff) << 4 |
                 static_cast<std::uint32_t>(m.what));
  bytes.insert(bytes.end(), m.content.begin(), m.content.end());
  return bytes;
}
/// Bytes of the message that begins with a whole header.
[[nodiscard]] inline std::size_t size_of(std::span<const std::byte> header) {
  std::uint32_t word = 0;
  std::memcpy(&word, header.data(), sizeof(word));
  return header_bytes + (word >> 16);
}
/// The message that the bytes are; nothing where they are none.
[[nodiscard]] inline std::optional<message> decode(std::span<const std::byte> bytes) {
  message m;
  std::uint32_t word = 0;
  auto rest = bytes;
  if (!take(rest, word) || word >> 16 != rest.size()) return {};
  if ((word & 0xf) > static_cast<std::uint32_t>(message::kind::leave)) return {};
  m.what = static_cast<message::kind>(word & 0xf);
  m.step = word >> 4 & 0xfff;
  m.content.assign(rest.begin(), rest.end());
  return m;
}

[[nodiscard]] inline message text(message::kind what, std::uint32_t step, std::string_view words) {
  message m{what, step};
  put_text(m.content, words);
  return m;
}

/// What a step came to.
[[nodiscard]] inline message outcome(const measurement& of) {
  message m{of.absent.empty() ? message::kind::outcome : message::kind::sparse, of.step};
  if (!of.absent.empty()) put(m.content, static_cast<std::uint32_t>(of.absent.size()));
  for (const std::uint32_t pair : of.absent) put(m.content, pair);
  put(m.content, of.loss);
  put(m.content, of.loss_stddev);
  put(m.content, of.signal_power);
  put(m.content, of.total_power);
  for (const float value : of.half_difference) put(m.content, value);
  return m;
}
/// Reads it again, but for what everybody knows (seed, ε). False for a message that is no outcome of so many
/// directions.
[[nodiscard]] inline bool take_outcome(const message& m, std::size_t directions, measurement& to) {
  std::span<const std::byte> rest = m.content;
  std::uint32_t absent = 0;
  if (m.what == message::kind::sparse && (!take(rest, absent) || absent > rest.size() / sizeof(absent))) return false;
  to.absent.resize(absent);
  for (std::uint32_t& pair : to.absent) take(rest, pair);
  if (!take(rest, to.loss) || !take(rest, to.loss_stddev)) return false;
  if (!take(rest, to.signal_power) || !take(rest, to.total_power)) return false;
  if (!rest.empty() && rest.size() != directions * sizeof(float)) return false;
  to.half_difference.resize(rest.size() / sizeof(float));
  for (float& value : to.half_difference) take(rest, value);
  return true;
}

/// Throws value_error where a step has so many losses that a message between workers could not hold them: the share
/// of one worker beside the coordinator, or what the step came to. `leaves_out`: whether that may have to list what
/// is absent. For the start of a run: what shares come to depends on who is there.
template <class Difference, distribution Distribution, class Shaping>
void require_messages_fit(const estimator<Difference, Distribution, Shaping>& e, bool leaves_out) {
  constexpr std::uint64_t loss = sizeof(double), value = sizeof(float), numbers = 20, fingerprint = 8;
  const asked_lanes<Distribution> asked = e.ask(0);
  const std::uint64_t pairs = std::uint64_t{e.directions} * e.micro_batches;
  const std::uint64_t parts = asked.size() / joined_lanes<Difference> * e.micro_batches;
  const std::uint64_t losses = (parts + 1) / 2 * joined_lanes<Difference> * loss + fingerprint;
  const std::uint64_t absent = leaves_out || !asked.any_loss_spoils ? (1 + pairs) * value : 0;
  const std::uint64_t most = std::max(losses, numbers + e.directions * value + absent);
  require(most <= longest,
          "workers: steps of {} on {} take messages of up to {} bytes between workers, and none is longer than {}; "
          "take fewer directions or micro-batches a step",
          plural(e.directions, "direction"), plural(e.micro_batches, "micro-batch"), most, longest);
}

}  // namespace message_format

/// A hash of what all workers must agree on beside the weights: the estimator, and in `what` whatever else decides
/// losses and updates (data, rates, number of steps), in words of the host. Throws as `estimator::ask` does.
template <class Difference, distribution Distribution, class Shaping>
[[nodiscard]] std::uint64_t terms_of(const estimator<Difference, Distribution, Shaping>& e, std::string_view what) {
  std::vector<std::byte> bytes;
  for (const parameter_group group : all_parameter_groups) message_format::put(bytes, e.epsilon[group]);
  message_format::put(bytes, e.directions);
  message_format::put(bytes, e.micro_batches);
  message_format::put(bytes, e.clip);
  message_format::put(bytes, e.median_bound);
  message_format::put(bytes, e.seed);
  for (const perturbation& point : e.ask(0).points)  // how many, and how far from the weights
    for (const parameter_group group : all_parameter_groups) message_format::put(bytes, point.scale[group]);
  message_format::put_text(bytes, Distribution::name());
  message_format::put_text(bytes, what);
  return hash_bytes(bytes);
}

}  // namespace zoqat::zo::workers
