// SPDX-License-Identifier: Apache-2.0
#include <zoqat/eval/choices.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <support/reference_llama.hpp>
#include <zoqat/nn/llama.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using model_type = nn::llama<quant::full_precision>;

/// Items of two to four candidates of one to three tokens after a common prompt.
std::vector<eval::encoded_item> random_items(std::size_t count) {
  std::vector<eval::encoded_item> items(count);
  for (std::uint32_t i = 0; i != count; ++i) {
    const auto prompt = random_tokens(3 + i % 4, 37, 100 + i);
    for (std::uint32_t c = 0; c != 2 + i % 3; ++c) {
      eval::continuation candidate{prompt, prompt.size()};
      const auto more = random_tokens(1 + (i + c) % 3, 37, 1000 + 10 * i + c);
      candidate.tokens.insert(candidate.tokens.end(), more.begin(), more.end());
      items[i].candidates.push_back(candidate);
    }
    items[i].correct = i % 2;
  }
  return items;
}

}  // namespace

TEST_CASE("a candidate's score is the mean log-probability of its tokens, and the best one is chosen") {
  auto model = random_model<model_type>(odd_shape(), 1);
  const reference_llama reference(model);
  const auto items = random_items(9);
  nn::workspace work;
  thread_pool threads(2);
  const auto scores = eval::candidate_scores(model, items, threads, work, 20);
  REQUIRE(scores.size() == items.size());
  double correct = 0;
  for (std::size_t i = 0; i != items.size(); ++i) {
    std::vector<double> expected;
    for (const auto& candidate : items[i].candidates) {
      double mean = 0;
      const auto losses = reference.losses(candidate.tokens);
      for (std::size_t t = candidate.given; t != candidate.tokens.size(); ++t)
        mean -= losses[t - 1] / static_cast<double>(candidate.scored());
      expected.push_back(mean);
    }
    REQUIRE(scores[i].size() == expected.size());
    for (std::size_t c = 0; c != expected.size(); ++c)
      CHECK(scores[i][c] == doctest::Approx(expected[c]).epsilon(1e-5));
    correct += std::ranges::max(expected) == expected[items[i].correct];
  }
  CHECK(correct > 0);
  CHECK(correct < 9);
  CHECK(eval::accuracy(model, items, threads, work) == correct / 9);
}

TEST_CASE("of equal scores the first counts, and no items have no accuracy") {
  auto model = random_model<model_type>(odd_shape(), 1);
  auto items = random_items(1);
  items[0].candidates[1] = items[0].candidates[0];
  nn::workspace work;
  sequential here;
  items[0].correct = 0;
  CHECK(eval::accuracy(model, items, here, work) == 1);
  items[0].correct = 1;
  CHECK(eval::accuracy(model, items, here, work) == 0);
  check_mentions(message_of<value_error>([&] { static_cast<void>(eval::accuracy(model, {}, here, work)); }),
                 "no items");
}
