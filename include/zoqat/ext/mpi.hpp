// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/zo/workers/link.hpp>

#define OMPI_SKIP_MPICXX 1  // the bindings for C++, which MPI has given up
#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <list>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

/// The links of many workers over MPI: rank 0 coordinates, all others work. `mpirun -n 4 program` is all that is
/// needed.
///
/// MPI fixes its ranks when a job starts, so nobody joins late; sockets are for that (ext/sockets.hpp). Only
/// point-to-point messages are used, and waiting ends by the clock: where the launcher lets a job live on after a
/// rank has died (Open MPI 4: `mpirun --enable-recovery`), the others go on as
/// `workers::coordinator_options::missing` says; without that option it is Open MPI that ends the job, and the log
/// can be gone on with. No death is reported: a rank that died counts as late.
namespace zoqat::inline ZOQAT_ABI::ext {

namespace detail {

inline void require_mpi(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  fail<zo::workers::worker_error>("MPI cannot {}: {}", what, text);
}

inline constexpr int mpi_tag = 0x2a7, mpi_farewell_tag = 0x2a8;

/// A message from `source`, waiting for one until then. The thread gives its core away while it waits, and soon
/// sleeps: other ranks may need it.
inline std::optional<std::pair<int, std::vector<std::byte>>> receive_mpi(MPI_Comm comm, int source,
                                                                         zo::workers::worker_clock::time_point until,
                                                                         int tag = mpi_tag) {
  using clock = zo::workers::worker_clock;
  const auto sleeps_from = clock::now() + std::chrono::microseconds(200);
  while (true) {
    int is_there = 0;
    MPI_Status status{};
    require_mpi(MPI_Iprobe(source, tag, comm, &is_there, &status), "look for messages");
    if (is_there != 0) {
      int count = 0;
      MPI_Get_count(&status, MPI_BYTE, &count);
      std::vector<std::byte> bytes(static_cast<std::size_t>(count));
      require_mpi(MPI_Recv(bytes.data(), count, MPI_BYTE, status.MPI_SOURCE, tag, comm, MPI_STATUS_IGNORE),
                  "receive");
      return std::pair(status.MPI_SOURCE, std::move(bytes));
    }
    const auto now = clock::now();
    if (now >= until) return {};
    if (now < sleeps_from)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

/// Messages on their way: their memory is kept until MPI has taken it.
class mpi_outbox {
 public:
  explicit mpi_outbox(MPI_Comm comm, int tag = mpi_tag) : comm_(comm), tag_(tag) {}
  mpi_outbox(const mpi_outbox&) = delete;
  mpi_outbox& operator=(const mpi_outbox&) = delete;
  /// Waits a second at most: a message to a rank that died may never go.
  ~mpi_outbox() {
    const auto until = zo::workers::worker_clock::now() + std::chrono::seconds(1);
    while (!sweep() && zo::workers::worker_clock::now() < until) std::this_thread::yield();
    for (letter& l : letters_) {
      if (l.request == MPI_REQUEST_NULL) continue;
      MPI_Request_free(&l.request);
      static_cast<void>(new std::vector<std::byte>(std::move(l.bytes)));  // MPI may read it until the program ends
    }
  }
  /// False where MPI cannot, and where so much waits for a rank that it must have died.
  [[nodiscard]] bool send(int to, std::span<const std::byte> bytes) {
    sweep();
    if (std::ranges::count(letters_, to, &letter::to) >= most_waiting) return false;
    letter& next = letters_.emplace_back(letter{to, {bytes.begin(), bytes.end()}});
    return MPI_Isend(next.bytes.data(), static_cast<int>(next.bytes.size()), MPI_BYTE, to, tag_, comm_,
                     &next.request) == MPI_SUCCESS;
  }

 private:
  static constexpr std::ptrdiff_t most_waiting = 10'000;  ///< letters; a long log is some thousand

  struct letter {
    int to;
    std::vector<std::byte> bytes;
    MPI_Request request = MPI_REQUEST_NULL;
  };
  /// Forgets what has gone out; true where that is everything.
  bool sweep() {
    std::erase_if(letters_, [](letter& l) {
      int done = 0;
      return MPI_Test(&l.request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || done != 0;
    });
    return letters_.empty();
  }

  MPI_Comm comm_;
  int tag_;
  std::list<letter> letters_;
};

}  // namespace detail

/// MPI, for as long as this lives: errors are reported instead of ending the program.
class mpi_session {
 public:
  mpi_session(int& argc, char**& argv) {
    int provided = 0;
    detail::require_mpi(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided), "start");
    detail::require_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "report errors");
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }
  mpi_session(const mpi_session&) = delete;
  mpi_session& operator=(const mpi_session&) = delete;
  ~mpi_session() { MPI_Finalize(); }

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return size_; }
  /// Whether this rank keeps the log.
  [[nodiscard]] bool coordinates() const noexcept { return rank_ == 0; }

  /// Waits until all ranks are done with their work: true where they are. False where one has died, which the
  /// coordinator finds by waiting `patience` for its word: MPI_Finalize could wait for it for ever.
  [[nodiscard]] bool all_are_done(std::chrono::milliseconds patience) const {
    using clock = zo::workers::worker_clock;
    detail::mpi_outbox out(MPI_COMM_WORLD, detail::mpi_farewell_tag);
    const auto heard_from = [](int rank, clock::time_point until) {
      return detail::receive_mpi(MPI_COMM_WORLD, rank, until, detail::mpi_farewell_tag);
    };
    if (!coordinates()) {
      static_cast<void>(out.send(0, {}));
      const auto word = heard_from(0, clock::time_point::max());
      return word && word->second.empty();
    }
    const auto until = clock::now() + patience;
    bool all = true;
    for (int rank = 1; rank != size_; ++rank) all = heard_from(rank, until).has_value() && all;
    constexpr std::array<std::byte, 1> one_is_missing{};
    for (int rank = 1; rank != size_; ++rank)
      static_cast<void>(out.send(rank, std::span(one_is_missing).first(all ? 0 : 1)));
    return all;
  }

 private:
  int rank_ = 0, size_ = 1;
};

/// What a program of ranks returns: what run(session) does, or 1 after a message for what it throws. Where the
/// coordinator fails, the job ends; where a worker does, it waits for the others. A job in which a rank has died ends
/// without MPI_Finalize, `patience` after the coordinator is done.
template <class Run>
[[nodiscard]] int mpi_main(const char* name, int argc, char** argv, Run&& run,
                           std::chrono::milliseconds patience = std::chrono::seconds(30)) {
  mpi_session session(argc, argv);
  int status = 1;
  bool waits = true;
  try {
    status = run(session);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: rank %d: %s\n", name, session.rank(), e.what());
    if (session.coordinates()) MPI_Abort(MPI_COMM_WORLD, 1);
    waits = dynamic_cast<const zo::workers::coordinator_lost*>(&e) == nullptr;
  }
  if (waits && session.all_are_done(patience)) return status;
  std::fflush(nullptr);
  std::_Exit(status);
}

/// The coordinator's end (see workers::hub): workers are numbered by their ranks.
class mpi_hub {
 public:
  explicit mpi_hub(MPI_Comm comm = MPI_COMM_WORLD) : comm_(comm), out_(comm) {}

  [[nodiscard]] std::optional<zo::workers::arrival> receive(zo::workers::worker_clock::time_point until) {
    while (auto heard = detail::receive_mpi(comm_, MPI_ANY_SOURCE, until)) {
      const auto from = static_cast<zo::workers::peer>(heard->first);
      if (std::ranges::count(dropped_, from) == 0) return zo::workers::arrival{from, std::move(heard->second), false};
    }
    return {};
  }
  [[nodiscard]] bool send(zo::workers::peer to, std::span<const std::byte> bytes) {
    return out_.send(static_cast<int>(to), bytes);
  }
  void drop(zo::workers::peer to) { dropped_.push_back(to); }

 private:
  MPI_Comm comm_;
  detail::mpi_outbox out_;
  std::vector<zo::workers::peer> dropped_;
};

/// A worker's end (see workers::link).
class mpi_link {
 public:
  explicit mpi_link(MPI_Comm comm = MPI_COMM_WORLD) : comm_(comm), out_(comm) {}

  [[nodiscard]] std::optional<std::vector<std::byte>> receive(zo::workers::worker_clock::time_point until) {
    auto heard = detail::receive_mpi(comm_, 0, until);
    return heard ? std::optional(std::move(heard->second)) : std::nullopt;
  }
  void send(std::span<const std::byte> bytes) {
    require<zo::workers::worker_error>(out_.send(0, bytes), "MPI cannot send to the coordinator");
  }

 private:
  MPI_Comm comm_;
  detail::mpi_outbox out_;
};

static_assert(zo::workers::hub<mpi_hub> && zo::workers::link<mpi_link>);

}  // namespace zoqat::ext
