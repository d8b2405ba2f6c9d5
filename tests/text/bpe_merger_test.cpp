// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/bpe_merger.hpp>

#include <doctest/doctest.h>
#include <zoqat/random/stream.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

using namespace zoqat;

namespace {

using symbols = std::vector<std::uint32_t>;
using table = std::map<std::pair<std::uint32_t, std::uint32_t>, text::bpe_merge>;

auto rule_of(const table& merges) {
  return [&merges](std::uint32_t left, std::uint32_t right) -> std::optional<text::bpe_merge> {
    const auto found = merges.find({left, right});
    return found == merges.end() ? std::nullopt : std::optional(found->second);
  };
}

symbols fast(const symbols& text, const table& merges, text::bpe_merger& merger) {
  symbols result;
  auto rule = rule_of(merges);
  for (const auto symbol : text) merger.add(symbol);
  merger.merge_into(result, rule);
  return result;
}
symbols fast(const symbols& text, const table& merges) {
  text::bpe_merger merger;
  return fast(text, merges, merger);
}

symbols naive(symbols text, const table& merges) {
  const auto rule = rule_of(merges);
  while (true) {
    std::optional<text::bpe_merge> best;
    std::size_t place = 0;
    for (std::size_t i = 0; i + 1 < text.size(); ++i) {
      const auto merge = rule(text[i], text[i + 1]);
      if (merge && (!best || merge->score > best->score)) best = merge, place = i;
    }
    if (!best) return text;
    text[place] = best->id;
    text.erase(text.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

}  // namespace

TEST_CASE("the best pair merges first, the leftmost of equals") {
  const table merges{{{1, 2}, {10, 1}}, {{2, 3}, {11, 2}}, {{1, 1}, {12, 0}}, {{12, 1}, {13, 0}}};
  CHECK(fast({1, 2, 3}, merges) == symbols{1, 11});     // 2+3 is better than 1+2
  CHECK(fast({1, 1, 1}, merges) == symbols{13});        // (1 1) 1, and on
  CHECK(fast({1, 1, 1, 1}, merges) == symbols{13, 1});  // (1 1) 1 is as good as the (1 1) to its right
  CHECK(fast({3, 2, 1}, merges) == symbols{3, 2, 1});
}

TEST_CASE("a stretch of no or one symbol is left alone, and the merger can be used again") {
  const table merges{{{1, 2}, {3, 0}}};
  text::bpe_merger merger;
  CHECK(merger.empty());
  CHECK(fast({}, merges, merger).empty());
  CHECK(fast({1}, merges, merger) == symbols{1});
  CHECK(merger.empty());
  CHECK(fast({1, 2, 1, 2}, merges, merger) == symbols{3, 3});
  merger.add(7);
  CHECK(merger.back() == 7);
}

// Few symbols and few distinct scores: merges overlap, chain, tie and go stale all the time.
TEST_CASE("the queue gives what scanning anew for every merge gives") {
  rng::engine engine({.seed = 1, .use = rng::purpose::data});
  std::size_t merged = 0;
  for (int round = 0; round != 2'000; ++round) {
    CAPTURE(round);
    table merges;
    const std::uint32_t alphabet = 2 + engine.below(3), count = engine.below(12);
    for (std::uint32_t known = alphabet; known != alphabet + count; ++known) {
      const std::uint32_t left = engine.below(known), right = engine.below(known);
      merges[{left, right}] = {known, static_cast<float>(engine.below(3))};
    }
    symbols text(engine.below(40));
    for (auto& symbol : text) symbol = engine.below(alphabet);
    const auto expected = naive(text, merges);
    REQUIRE(fast(text, merges) == expected);
    merged += text.size() - expected.size();
  }
  CHECK(merged > 5'000);
}

TEST_CASE("a stretch of a million equal symbols merges") {
  const table merges{{{0, 0}, {1, 3}}, {{1, 1}, {2, 2}}, {{2, 2}, {3, 1}}};
  const symbols text(1'000'000, 0);
  CHECK(fast(text, merges) == symbols(text.size() / 8, 3));
}
