// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <queue>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

/// The token that two adjacent tokens merge into, and how eagerly they do.
struct bpe_merge {
  std::uint32_t id = 0;
  float score = 0;
};

/// Byte-pair encoding of a stretch of symbols: the adjacent pair with the best score merges, the leftmost of
/// equals, until no pair can. The result is that of scanning the stretch anew for every merge, in O(n log n)
/// instead of O(n²): the symbols form a list, and a queue holds the pairs that can merge. A pair whose symbols
/// have changed since it was queued is found out when its turn comes.
///
/// The object keeps its scratch memory from one stretch to the next.
class bpe_merger {
 public:
  [[nodiscard]] bool empty() const noexcept { return symbols_.empty(); }
  /// The last symbol added; there must be one.
  [[nodiscard]] std::uint32_t back() const noexcept { return symbols_.back().id; }

  /// Appends a symbol to the stretch. Throws value_error when it gets longer than 2^32 - 2 symbols.
  void add(std::uint32_t id) {
    require(symbols_.size() < none, "a text of {} symbols that may merge is too long", symbols_.size());
    const auto place = static_cast<std::uint32_t>(symbols_.size());
    symbols_.push_back({id, place == 0 ? none : place - 1, none});
    if (place != 0) symbols_[place - 1].next = place;
  }

  /// Merges the stretch, appends the result to `tokens` and starts an empty stretch. `rule(left, right)` is an
  /// optional `bpe_merge` that depends on its arguments only.
  template <class Rule>
  void merge_into(std::vector<std::uint32_t>& tokens, Rule& rule) {
    for (std::uint32_t i = 0; i != symbols_.size(); ++i) propose(i, rule);
    while (!pairs_.empty()) {
      const pair best = pairs_.top();
      pairs_.pop();
      if (is_current(best)) merge(best, rule);
    }
    for (std::uint32_t i = symbols_.empty() ? none : 0; i != none; i = symbols_[i].next)
      tokens.push_back(symbols_[i].id);
    symbols_.clear();
  }

 private:
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

  struct symbol {
    std::uint32_t id, previous, next;
  };
  struct pair {
    bpe_merge merge;
    std::uint32_t left, left_id, right_id;
  };
  // std::priority_queue puts the greatest on top.
  struct comes_later {
    bool operator()(const pair& a, const pair& b) const noexcept {
      return a.merge.score != b.merge.score ? a.merge.score < b.merge.score : a.left > b.left;
    }
  };

  template <class Rule>
  void propose(std::uint32_t left, Rule& rule) {
    if (left == none || symbols_[left].next == none) return;
    const std::uint32_t left_id = symbols_[left].id, right_id = symbols_[symbols_[left].next].id;
    if (const std::optional<bpe_merge> merge = rule(left_id, right_id))
      pairs_.push({*merge, left, left_id, right_id});
  }

  // Equal ids are as good as the same symbols: the rule looks at nothing else.
  [[nodiscard]] bool is_current(const pair& p) const noexcept {
    const symbol& left = symbols_[p.left];
    return left.id == p.left_id && left.next != none && symbols_[left.next].id == p.right_id;
  }

  template <class Rule>
  void merge(const pair& p, Rule& rule) {
    symbol& left = symbols_[p.left];
    symbol& right = symbols_[left.next];
    left.id = p.merge.id;
    left.next = right.next;
    if (left.next != none) symbols_[left.next].previous = p.left;
    right.id = none;  // no longer the left symbol of anything
    propose(left.previous, rule);
    propose(p.left, rule);
  }

  std::vector<symbol> symbols_;
  std::priority_queue<pair, std::vector<pair>, comes_later> pairs_;
};

}  // namespace zoqat::text
