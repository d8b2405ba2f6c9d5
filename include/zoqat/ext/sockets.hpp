// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/file_descriptor.hpp>
#include <zoqat/zo/workers/link.hpp>
#include <zoqat/zo/workers/message.hpp>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

/// The links of many workers over sockets, of which any number may come and go at any time. Endpoints are "host:port"
/// or "unix:path". A peer that dies is noticed at once where its system closes its sockets, else by the clock. There
/// are neither passwords nor encryption: for networks whose machines trust each other, or through tunnels.
namespace zoqat::inline ZOQAT_ABI::ext {

namespace detail {

using zo::workers::worker_clock;

/// An address of an endpoint, and its socket.
struct socket_address {
  sockaddr_storage bytes{};
  socklen_t size = 0;

  socket_address(const void* address, socklen_t length) noexcept : size(length) {
    std::memcpy(&bytes, address, length);
  }
  [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&bytes); }
  [[nodiscard]] file_descriptor open() const {
    return file_descriptor(::socket(bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }
};

inline constexpr std::string_view unix_prefix = "unix:";

/// The addresses of an endpoint, the best first: a host may have several, of which a coordinator listens at one.
/// Throws value_error for an endpoint that names none.
[[nodiscard]] inline std::vector<socket_address> addresses_of(const std::string& endpoint) {
  std::vector<socket_address> addresses;
  if (endpoint.starts_with(unix_prefix)) {
    const std::string_view path = std::string_view(endpoint).substr(unix_prefix.size());
    sockaddr_un local{};
    local.sun_family = AF_UNIX;
    require(!path.empty() && path.size() < sizeof(local.sun_path),
            "{}: the path has {} bytes; a socket's has 1 to {}", endpoint, path.size(), sizeof(local.sun_path) - 1);
    std::memcpy(local.sun_path, path.data(), path.size());
    addresses.emplace_back(&local, sizeof(local));
    return addresses;
  }
  const std::size_t colon = endpoint.rfind(':');
  require(colon != endpoint.npos, "{}: is no endpoint; write host:port or unix:path", endpoint);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code =
      ::getaddrinfo(endpoint.substr(0, colon).c_str(), endpoint.substr(colon + 1).c_str(), &hints, &found);
  require(code == 0, "{}: {}; write host:port or unix:path", endpoint, ::gai_strerror(code));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> freed(found, ::freeaddrinfo);
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next)
    addresses.emplace_back(at->ai_addr, at->ai_addrlen);
  return addresses;
}

/// Connects to the first of some addresses where somebody listens. Returns 0, or the system's reason why nobody does.
[[nodiscard]] inline int connect_to(std::span<const socket_address> addresses, file_descriptor& socket) {
  int code = 0;
  for (const socket_address& address : addresses) {
    socket = address.open();
    if (socket && ::connect(socket.get(), address.get(), address.size) == 0) return 0;
    code = errno;
  }
  return code;
}

[[noreturn]] inline void fail_socket(const std::string& endpoint, std::string_view action, int code = errno) {
  fail<zo::workers::worker_error>("{}: cannot {}: {}", endpoint, action, std::generic_category().message(code));
}

/// Small messages are sent at once.
inline void send_at_once(const file_descriptor& socket) noexcept {
  const int on = 1;  // no error matters: sockets of files have no such option
  static_cast<void>(::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
}

[[nodiscard]] inline int milliseconds_until(worker_clock::time_point until) noexcept {
  const auto now = worker_clock::now();
  if (until <= now) return 0;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
  return static_cast<int>(std::min<std::int64_t>(left, std::numeric_limits<int>::max()));
}

/// Bytes of a stream, cut into messages.
class message_stream {
 public:
  /// Reads what there is; false once the other end is gone. What was taken makes room for it.
  [[nodiscard]] bool read(const file_descriptor& socket) {
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(std::exchange(used_, 0)));
    std::array<std::byte, 65536> piece;
    const ssize_t got = uninterrupted([&] { return ::recv(socket.get(), piece.data(), piece.size(), MSG_DONTWAIT); });
    if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    bytes_.insert(bytes_.end(), piece.begin(), piece.begin() + got);
    return got > 0;
  }
  [[nodiscard]] std::optional<std::vector<std::byte>> next() {
    using namespace zo::workers;
    const std::span<const std::byte> rest = std::span(bytes_).subspan(used_);
    if (rest.size() < message_format::header_bytes) return {};
    const std::size_t size = message_format::size_of(rest);
    if (rest.size() < size) return {};
    std::vector<std::byte> bytes(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(size));
    used_ += size;
    return bytes;
  }

 private:
  std::vector<std::byte> bytes_;
  std::size_t used_ = 0;
};

/// Bytes that wait until a socket takes them. Those that are sent are forgotten once they are the greater part, so
/// that sending costs no more than their number, however little a socket takes at a time.
class send_queue {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size() - sent_; }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  void add(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  /// Sends what goes; false where the other end is gone.
  [[nodiscard]] bool flush(const file_descriptor& socket) {
    bool stands = true;
    while (!empty()) {
      const ssize_t n = uninterrupted(
          [&] { return ::send(socket.get(), bytes_.data() + sent_, size(), MSG_NOSIGNAL | MSG_DONTWAIT); });
      stands = n >= 0 || errno == EAGAIN || errno == EWOULDBLOCK;
      if (n <= 0) break;
      sent_ += static_cast<std::size_t>(n);
    }
    if (sent_ > size())
      bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(std::exchange(sent_, 0)));
    return stands;
  }

 private:
  std::vector<std::byte> bytes_;
  std::size_t sent_ = 0;
};

}  // namespace detail

/// The coordinator's end (see workers::hub): listens from the start of its life.
class socket_hub {
 public:
  /// Throws worker_error where nothing can listen there. A port of 0 is one that is free: see `endpoint`.
  explicit socket_hub(const std::string& endpoint) : endpoint_(endpoint) {
    std::string_view failed;
    int code = 0;
    for (const detail::socket_address& address : detail::addresses_of(endpoint)) {
      failed = listen_at(address);
      if (failed.empty()) return;
      code = errno;
    }
    detail::fail_socket(endpoint, failed, code);
  }
  socket_hub(const socket_hub&) = delete;
  socket_hub& operator=(const socket_hub&) = delete;
  /// Sends what is still to be sent, and waits a second at most for the others to take it.
  ~socket_hub() {
    if (!unlinked_.empty()) ::unlink(unlinked_.c_str());
    const auto until = zo::workers::worker_clock::now() + std::chrono::seconds(1);
    for (connection& c : connections_) finish(c);
    while (!connections_.empty() && zo::workers::worker_clock::now() < until) turn(until);
  }

  /// What a worker connects to.
  [[nodiscard]] const std::string& endpoint() const noexcept { return endpoint_; }

  [[nodiscard]] std::optional<zo::workers::arrival> receive(zo::workers::worker_clock::time_point until) {
    bool looked = false;
    while (arrivals_.empty() && (!looked || zo::workers::worker_clock::now() < until)) {
      turn(until);
      looked = true;
    }
    if (arrivals_.empty()) return {};
    zo::workers::arrival first = std::move(arrivals_.front());
    arrivals_.pop_front();
    return first;
  }
  [[nodiscard]] bool send(zo::workers::peer to, std::span<const std::byte> bytes) {
    const auto at = std::ranges::find(connections_, to, &connection::id);
    if (at == connections_.end() || at->finishing) return false;
    at->out.add(bytes);
    if (flush(*at) && at->out.size() > most_waiting) at->gone = true;
    return !at->gone;
  }
  void drop(zo::workers::peer to) {
    const auto at = std::ranges::find(connections_, to, &connection::id);
    if (at != connections_.end()) finish(*at);
    std::erase_if(arrivals_, [&](const zo::workers::arrival& a) { return a.from == to; });
  }

 private:
  /// What may wait for a worker that takes nothing, before it counts as gone.
  static constexpr std::size_t most_waiting = std::size_t{1} << 28;

  struct connection {
    zo::workers::peer id = 0;
    file_descriptor socket{};
    detail::message_stream in{};
    detail::send_queue out{};
    bool finishing = false;  ///< nothing more is said or heard, but what waits is sent
    bool gone = false;
  };

  /// Says what cannot be done there, for the reason in errno, or nothing.
  std::string_view listen_at(const detail::socket_address& address) {
    listener_ = address.open();
    if (!listener_) return "open a socket";
    const int on = 1;
    static_cast<void>(::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    unlink_abandoned(address);
    if (::bind(listener_.get(), address.get(), address.size) != 0) return "bind to it";
    if (::listen(listener_.get(), SOMAXCONN) != 0) return "listen";
    if (address.bytes.ss_family == AF_UNIX)
      unlinked_ = endpoint_.substr(detail::unix_prefix.size());
    else
      name_port();
    return {};
  }
  /// Removes the socket of a coordinator that was killed, which nobody listens to any more.
  void unlink_abandoned(const detail::socket_address& address) const {
    if (address.bytes.ss_family != AF_UNIX) return;
    const std::string path = endpoint_.substr(detail::unix_prefix.size());
    std::error_code error;
    if (!std::filesystem::is_socket(path, error)) return;
    const file_descriptor probe = address.open();
    if (probe && ::connect(probe.get(), address.get(), address.size) != 0 && errno == ECONNREFUSED)
      ::unlink(path.c_str());
  }
  void name_port() {
    sockaddr_storage bound{};
    socklen_t size = sizeof(bound);
    if (::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0) return;
    const std::uint16_t port = bound.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in*>(&bound)->sin_port
                                                          : reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port;
    endpoint_.replace(endpoint_.rfind(':') + 1, endpoint_.npos, std::to_string(ntohs(port)));
  }
  /// Sends what goes; false where the other end is gone.
  bool flush(connection& c) {
    if (!c.out.flush(c.socket)) c.gone = true;
    if (c.finishing && c.out.empty()) ::shutdown(c.socket.get(), SHUT_WR);
    return !c.gone;
  }
  void finish(connection& c) {
    c.finishing = true;
    flush(c);
  }
  /// Waits until something happens on a socket, and takes it in.
  void turn(zo::workers::worker_clock::time_point until) {
    std::vector<pollfd> watched{{listener_.get(), POLLIN, 0}};
    for (const connection& c : connections_)
      watched.push_back({c.socket.get(), static_cast<short>(c.out.empty() ? POLLIN : POLLIN | POLLOUT), 0});
    const bool lost_some = std::ranges::any_of(connections_, &connection::gone);
    const int patience = lost_some ? 0 : detail::milliseconds_until(until);
    if (::poll(watched.data(), watched.size(), patience) < 0 && errno != EINTR)
      detail::fail_socket(endpoint_, "wait for workers");
    for (std::size_t i = 0; i != connections_.size(); ++i) {
      connection& c = connections_[i];
      if ((watched[i + 1].revents & POLLOUT) != 0) flush(c);
      if ((watched[i + 1].revents & (POLLIN | POLLHUP | POLLERR)) != 0) hear(c);
    }
    for (const connection& c : connections_)
      if (c.gone && !c.finishing) arrivals_.push_back({c.id, {}, true});
    std::erase_if(connections_, [](const connection& c) { return c.gone; });
    if ((watched[0].revents & POLLIN) != 0) accept();
  }
  void hear(connection& c) {
    const bool stands = c.in.read(c.socket);
    while (auto bytes = c.in.next())
      if (!c.finishing) arrivals_.push_back({c.id, *std::move(bytes), false});
    c.gone = c.gone || !stands;
  }
  void accept() {
    file_descriptor socket(uninterrupted([&] { return ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC); }));
    if (!socket) return;  // whoever knocked is gone again
    detail::send_at_once(socket);
    connections_.push_back({.id = next_id_++, .socket = std::move(socket)});
  }

  std::string endpoint_, unlinked_;
  file_descriptor listener_;
  zo::workers::peer next_id_ = 1;
  std::vector<connection> connections_;
  std::deque<zo::workers::arrival> arrivals_;
};

/// A worker's end (see workers::link).
class socket_link {
 public:
  /// Connects to whichever of the endpoint's addresses answers, trying again for so long. Throws worker_error.
  explicit socket_link(const std::string& endpoint,
                       std::chrono::milliseconds patience = std::chrono::milliseconds(60000))
      : endpoint_(endpoint) {
    const auto until = zo::workers::worker_clock::now() + patience;
    while (const int code = detail::connect_to(detail::addresses_of(endpoint), socket_)) {
      if (zo::workers::worker_clock::now() >= until) detail::fail_socket(endpoint, "reach the coordinator", code);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    detail::send_at_once(socket_);
  }

  [[nodiscard]] std::optional<std::vector<std::byte>> receive(zo::workers::worker_clock::time_point until) {
    while (true) {
      if (auto bytes = in_.next()) return bytes;
      require<zo::workers::coordinator_lost>(!gone_, "{}: the coordinator is gone; its log can be gone on with",
                                             endpoint_);
      pollfd watched{socket_.get(), POLLIN, 0};
      const int ready = ::poll(&watched, 1, detail::milliseconds_until(until));
      if (ready < 0 && errno != EINTR) detail::fail_socket(endpoint_, "wait for the coordinator");
      if (ready > 0) gone_ = !in_.read(socket_);
      if (ready == 0 && zo::workers::worker_clock::now() >= until) return {};
    }
  }
  void send(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t n =
          uninterrupted([&] { return ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); });
      if (n < 0) return;  // what it says last may still be read: `receive` finds that it is gone
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
  }

 private:
  std::string endpoint_;
  file_descriptor socket_;
  detail::message_stream in_;
  bool gone_ = false;
};

static_assert(zo::workers::hub<socket_hub> && zo::workers::link<socket_link>);

}  // namespace zoqat::ext
