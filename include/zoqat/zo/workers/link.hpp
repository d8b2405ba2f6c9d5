// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

/// How messages travel: whole, in order, each between the coordinator and one worker. Nothing else is asked of a
/// transport, so that a step can go over MPI (ext/mpi.hpp), sockets (ext/sockets.hpp) or whatever a host has.
namespace zoqat::inline ZOQAT_ABI::zo::workers {

/// A worker is gone, differs from the others or was not heard from, or the coordinator is: the run ends. What its log
/// holds can be gone on with.
class worker_error : public error {
 public:
  using error::error;
};

/// The coordinator is gone or silent.
class coordinator_lost : public worker_error {
 public:
  using worker_error::worker_error;
};

/// Times at which waiting ends.
using worker_clock = std::chrono::steady_clock;

/// The number of a worker, for as long as its link stands. Numbers do not come twice.
using peer = std::uint32_t;

/// What a hub hears: a message, or that its sender is gone.
struct arrival {
  peer from = 0;
  std::vector<std::byte> bytes{};
  bool gone = false;
};

/// The coordinator's end of all links. `receive` gives what arrived, waiting until the time given where there is
/// nothing (not at all for a time that is past); a new worker is known by its first message. `send` returns at once,
/// and false where the worker is gone. After `drop` nothing comes from that worker; what was sent before still
/// reaches it.
template <class H>
concept hub = requires(H& h, peer to, std::span<const std::byte> bytes, worker_clock::time_point until) {
  { h.receive(until) } -> std::same_as<std::optional<arrival>>;
  { h.send(to, bytes) } -> std::same_as<bool>;
  h.drop(to);
};

/// A worker's end. Both throw coordinator_lost once the coordinator is gone.
template <class L>
concept link = requires(L& l, std::span<const std::byte> bytes, worker_clock::time_point until) {
  { l.receive(until) } -> std::same_as<std::optional<std::vector<std::byte>>>;
  l.send(bytes);
};

}  // namespace zoqat::zo::workers
