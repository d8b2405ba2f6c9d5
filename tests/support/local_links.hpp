// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/zo/workers/link.hpp>

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace zoqat::testing {

/// Links between threads of a program.
class local_network {
 public:
  using bytes = std::vector<std::byte>;
  using time = zo::workers::worker_clock::time_point;

  class hub {
   public:
    explicit hub(local_network& network) : network_(network) {}
    hub(const hub&) = delete;
    hub& operator=(const hub&) = delete;
    ~hub() {
      const std::lock_guard lock(network_.mutex_);
      network_.closed_ = true;
      network_.changed_.notify_all();
    }
    [[nodiscard]] std::optional<zo::workers::arrival> receive(time until) {
      return network_.take(network_.to_hub_, until, [] { return false; });
    }
    [[nodiscard]] bool send(zo::workers::peer to, std::span<const std::byte> message) {
      const std::lock_guard lock(network_.mutex_);
      network_.to_worker_[to].emplace_back(message.begin(), message.end());
      network_.changed_.notify_all();
      return !network_.dropped_.contains(to);
    }
    void drop(zo::workers::peer to) {
      const std::lock_guard lock(network_.mutex_);
      network_.dropped_.insert(to);
      std::erase_if(network_.to_hub_, [&](const auto& a) { return a.from == to; });
    }

   private:
    local_network& network_;
  };

  class link {
   public:
    link(local_network& network, zo::workers::peer id) : network_(network), id_(id) {}
    link(const link&) = delete;
    link& operator=(const link&) = delete;
    ~link() { network_.put({id_, {}, true}); }
    [[nodiscard]] std::optional<bytes> receive(time until) {
      bool closed = false;
      auto heard = network_.take(network_.to_worker_[id_], until, [&] { return closed = network_.closed_; });
      require<zo::workers::worker_error>(heard.has_value() || !closed, "the coordinator is gone");
      return heard;
    }
    void send(std::span<const std::byte> message) { network_.put({id_, {message.begin(), message.end()}, false}); }

   private:
    local_network& network_;
    zo::workers::peer id_;
  };

  /// A link must be made in the thread that tests, so that its mailbox is there for all.
  void expect(zo::workers::peer id) { to_worker_[id]; }

 private:
  void put(zo::workers::arrival a) {
    const std::lock_guard lock(mutex_);
    if (dropped_.contains(a.from)) return;
    to_hub_.push_back(std::move(a));
    changed_.notify_all();
  }
  template <class T, class Closed>
  std::optional<T> take(std::deque<T>& from, time until, Closed&& closed) {
    std::unique_lock lock(mutex_);
    const auto ready = [&] { return !from.empty() || closed(); };
    if (!ready() && until > zo::workers::worker_clock::now()) changed_.wait_until(lock, until, ready);
    if (from.empty()) return {};
    T first = std::move(from.front());
    from.pop_front();
    return first;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<zo::workers::arrival> to_hub_;
  std::map<zo::workers::peer, std::deque<bytes>> to_worker_;
  std::set<zo::workers::peer> dropped_;
  bool closed_ = false;
};

static_assert(zo::workers::hub<local_network::hub> && zo::workers::link<local_network::link>);

}  // namespace zoqat::testing
