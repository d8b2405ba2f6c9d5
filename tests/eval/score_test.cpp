// SPDX-License-Identifier: Apache-2.0
#include <zoqat/eval/score.hpp>

#include <doctest/doctest.h>
#include <support/random_model.hpp>
#include <zoqat/eval/choices.hpp>
#include <zoqat/nn/llama.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using model_type = nn::llama<quant::full_precision>;

/// Texts of many lengths; some share what is read, wholly or in part.
std::vector<eval::continuation> texts() {
  std::vector<eval::continuation> all;
  for (std::uint32_t i = 0; i != 6; ++i) {
    const std::size_t given = 1 + 3 * i % 7;
    all.push_back({random_tokens(given + 1 + i % 3, 37, i), given});
  }
  eval::continuation prompt{random_tokens(12, 37, 90), 11};
  for (const nn::token last : {3u, 36u, 3u}) {
    prompt.tokens.back() = last;
    all.push_back(prompt);
  }
  prompt.tokens.insert(prompt.tokens.end(), {5, 6});  // reads more than those before
  all.push_back(prompt);
  prompt.tokens.resize(4);
  prompt.given = 2;  // and less
  all.push_back(prompt);
  prompt.tokens[1] = (prompt.tokens[1] + 1) % 37;
  all.push_back(prompt);
  return all;
}
std::vector<const eval::continuation*> pointers(const std::vector<eval::continuation>& all) {
  std::vector<const eval::continuation*> result;
  for (const auto& text : all) result.push_back(&text);
  return result;
}
/// Finds all words as likely, and notes how many tokens each pass has.
struct recording_model {
  model_shape shape_{.vocabulary = 37};
  std::vector<std::size_t> passes{};

  [[nodiscard]] const model_shape& shape() const { return shape_; }
  template <class Pass>
  void forward(const Pass& pass) {
    passes.push_back(pass.tokens());
  }
  template <class Pass, class F>
  void for_each_logit_tile(const Pass&, std::span<const std::size_t> tokens, F&& f) const {
    matrix<float> logits(tokens.size(), 37, 0.0f);
    f(nn::logit_tile{0, 0, 0, logits});
  }
  template <class Pass>
  void logits(const Pass&, std::span<const std::size_t>, matrix_view<float>) const {
    FAIL("scores are made from tiles");
  }
};
/// By all logits of one text alone.
double brute_force(model_type& model, const eval::continuation& text) {
  nn::token_batch batch;
  batch.add(text.tokens);
  const matrix<float> logits = logits_of(model, batch);
  double loss = 0;
  for (std::size_t i = text.given; i != text.tokens.size(); ++i) {
    double total = 0;
    for (const float x : logits.row(i - 1)) total += std::exp(double{x});
    loss += std::log(total) - double{logits(i - 1, text.tokens[i])};
  }
  return loss;
}

}  // namespace

TEST_CASE("losses of continuations are those of all logits, whatever the parts and the threads") {
  auto model = random_model<model_type>(odd_shape(), 1);
  const auto all = texts();
  nn::workspace work;
  thread_pool one(1), three(3);
  const matrix<double> whole = eval::continuation_losses(model, at_masters, pointers(all), 10'000, one, work);
  REQUIRE(whole.rows() == 1);
  REQUIRE(whole.cols() == all.size());
  for (std::size_t i = 0; i != all.size(); ++i) {
    CHECK(whole(0, i) == doctest::Approx(brute_force(model, all[i])).epsilon(1e-5));
    CHECK(whole(0, i) > 0);
  }
  CHECK(whole(0, 6) == whole(0, 8));
  CHECK(whole(0, 6) != whole(0, 7));
  for (const std::size_t part : {std::size_t{0}, std::size_t{1}, std::size_t{13}, std::size_t{30}}) {
    const auto parts = eval::continuation_losses(model, at_masters, pointers(all), part, one, work);
    const auto threaded = eval::continuation_losses(model, at_masters, pointers(all), part, three, work);
    CHECK(std::ranges::equal(parts.flat(), threaded.flat()));
    for (std::size_t i = 0; i != all.size(); ++i) CHECK(parts(0, i) == doctest::Approx(whole(0, i)).epsilon(1e-6));
  }
  CHECK(eval::continuation_losses(model, at_masters, {}, 10, one, work).empty());
}

TEST_CASE("a pass has no more tokens than asked for, but for a sequence that is longer") {
  recording_model model;
  const auto all = texts();
  const auto at = pointers(all);
  nn::workspace work;
  sequential here;
  std::size_t longest = 0, whole = 0;
  for (const auto& text : all) longest = std::max(longest, text.read().size());
  const auto passes = [&](std::size_t part) {
    model.passes.clear();
    const auto losses = eval::continuation_losses(model, at_masters, at, part, here, work);
    for (std::size_t i = 0; i != all.size(); ++i)
      CHECK(losses(0, i) == doctest::Approx(static_cast<double>(all[i].scored()) * std::log(37.0)));
    return model.passes;
  };
  CHECK(passes(10'000).size() == 1);
  whole = model.passes[0];
  for (const std::size_t part : {std::size_t{1}, longest, whole / 2, whole - 1}) {
    std::size_t sum = 0;
    for (const std::size_t tokens : passes(part)) {
      CHECK(tokens <= std::max(part, longest));
      sum += tokens;
    }
    CHECK(sum == whole);
    CHECK(model.passes.size() > 1);
  }
}

TEST_CASE("texts share a sequence where one reads what the other reads first") {
  const auto all = texts();
  const auto at = pointers(all);
  const auto end_of = [&](std::size_t first) { return eval::detail::shared_sequence(at, first).first; };
  for (std::size_t i = 0; i != 6; ++i) CHECK(end_of(i) == i + 1);
  CHECK(end_of(6) == 11);
  CHECK(eval::detail::shared_sequence(at, 6).second.size() == 13);
  CHECK(end_of(10) == 11);
  CHECK(end_of(11) == 12);
}
