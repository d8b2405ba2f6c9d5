// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/loss.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

/// A model whose logits are given: what losses need of a model is no more than this.
struct table_model {
  matrix<float> table;  ///< [rows, vocabulary]
  model_shape shape_{};

  explicit table_model(matrix<float> values) : table(std::move(values)) { shape_.vocabulary = table.cols(); }
  [[nodiscard]] const model_shape& shape() const { return shape_; }
  template <class Pass>
  void forward(const Pass&) {}
  template <class Pass, class F>
  void for_each_logit_tile(const Pass& pass, std::span<const std::size_t> tokens, F&& f) {
    matrix<float> wanted(pass.lanes.count() * tokens.size(), table.cols());
    logits(pass, tokens, wanted);
    pass.threads.parallel_for(nn::vocabulary_slices(table.cols()), [&](std::size_t slice) {
      const std::size_t word = slice * nn::vocabulary_slice;
      f(nn::logit_tile{0, slice, word,
                       wanted.view().col_block(word, std::min(nn::vocabulary_slice, table.cols() - word))});
    });
  }
  template <class Pass>
  void logits(const Pass& pass, std::span<const std::size_t> tokens, matrix_view<float> out) {
    for (std::size_t i = 0; i != out.rows(); ++i)
      std::ranges::copy(table.row(i / tokens.size() * pass.tokens() + tokens[i % tokens.size()]), out.row(i).begin());
  }
};
struct two_lanes {
  static std::size_t count() { return 2; }
  static void read(const parameter&, std::size_t, std::size_t, float*) noexcept {}
  template <class F>
  static void sweep_rows(const parameter&, std::size_t, std::size_t, sweep_scratch&, F&&) {}
};

constexpr std::size_t vocabulary = 9;

std::vector<double> log_softmax(std::span<const float> logits) {
  double total = 0;
  for (const float x : logits) total += std::exp(double{x});
  std::vector<double> result;
  for (const float x : logits) result.push_back(double{x} - std::log(total));
  return result;
}

struct fixture {
  nn::token_batch batch;
  nn::workspace work;
  sequential threads;
  two_lanes lanes;
  fixture() {
    batch.add(std::array<nn::token, 3>{1, 4, 8});
    batch.add(std::array<nn::token, 1>{2});  // nothing to score
    batch.add(std::array<nn::token, 4>{3, 3, 0, 5},
              std::array<std::int64_t, 4>{nn::not_scored, 7, nn::not_scored, 6});
  }
  auto pass() { return nn::forward_pass<simd::default_kernels, two_lanes, sequential>{lanes, threads, batch, work}; }
  auto inference() {
    return nn::forward_pass<simd::default_kernels, inference_lane, sequential>{at_masters, threads, batch, work};
  }
};
constexpr std::array<std::pair<std::size_t, std::size_t>, 4> scored{
    {{0, 4}, {1, 8}, {5, 7}, {7, 6}}};  // (row, target)

}  // namespace

TEST_CASE("cross-entropy sums the scored tokens of each lane") {
  fixture f;
  table_model model(random_matrix(16, vocabulary, 1, 5));
  std::array<nn::token_loss, 2> losses;
  nn::cross_entropy(model, f.pass(), losses);
  for (std::size_t lane = 0; lane != 2; ++lane) {
    double expected = 0;
    for (const auto& [row, target] : scored) expected -= log_softmax(model.table.row(lane * 8 + row))[target];
    CHECK(losses[lane].tokens == 4);
    CHECK(losses[lane].sum == doctest::Approx(expected).epsilon(1e-6));
    CHECK(losses[lane].mean() == losses[lane].sum / 4);
  }
  CHECK(losses[0].sum != losses[1].sum);
  CHECK(nn::token_loss{}.mean() == 0);
}

TEST_CASE("a token can be asked about any targets, several at once, whatever the batch says") {
  fixture f;
  table_model model(random_matrix(16, vocabulary, 1, 5));
  const std::array<nn::scored_token, 5> asked{{{4, 0}, {1, 8}, {1, 2}, {7, 6}, {1, 8}}};
  const matrix<double> losses = nn::token_losses(model, f.pass(), asked);
  REQUIRE(losses.rows() == 2);
  REQUIRE(losses.cols() == 5);
  for (std::size_t lane = 0; lane != 2; ++lane) {
    for (std::size_t i = 0; i != asked.size(); ++i) {
      const double expected = -log_softmax(model.table.row(lane * 8 + asked[i].index))[asked[i].target];
      CHECK(losses(lane, i) == doctest::Approx(expected).epsilon(1e-6));
    }
    CHECK(losses(lane, 1) == losses(lane, 4));
  }
  CHECK(nn::token_losses(model, f.pass(), {}).empty());
  const std::array<nn::scored_token, 1> outside{{{0, 9}}};
  check_mentions(message_of<value_error>([&] { static_cast<void>(nn::token_losses(model, f.pass(), outside)); }),
                 "target 9", "vocabulary of 9");
}

TEST_CASE("distillation is the KL divergence from the teacher, and nothing against itself") {
  fixture f;
  table_model teacher(random_matrix(8, vocabulary, 2, 4)), model(random_matrix(16, vocabulary, 3, 4));
  for (std::size_t row = 0; row != 8; ++row)
    std::ranges::copy(teacher.table.row(row), model.table.row(8 + row).begin());
  for (float& x : model.table.row(8)) x += 3;  // logits are free up to a constant
  const nn::teacher_scores scores = nn::teacher_probabilities(teacher, f.inference());
  REQUIRE(scores.probability.rows() == 4);
  for (std::size_t i = 0; i != 4; ++i) {
    const auto expected = log_softmax(teacher.table.row(scored[i].first));
    double entropy = 0;
    for (std::size_t v = 0; v != vocabulary; ++v) {
      CHECK(double{scores.probability(i, v)} == doctest::Approx(std::exp(expected[v])).epsilon(1e-5));
      entropy += std::exp(expected[v]) * expected[v];
    }
    CHECK(scores.negative_entropy[i] == doctest::Approx(entropy).epsilon(1e-5));
  }

  std::array<nn::token_loss, 2> losses;
  nn::distillation(model, f.pass(), scores, losses);
  double expected = 0;
  for (const auto& [row, target] : scored) {
    const auto p = log_softmax(teacher.table.row(row)), q = log_softmax(model.table.row(row));
    double divergence = 0;
    for (std::size_t v = 0; v != vocabulary; ++v) divergence += std::exp(p[v]) * (p[v] - q[v]);
    CHECK(divergence > 0.1);
    expected += divergence;
  }
  CHECK(losses[0].sum == doctest::Approx(expected).epsilon(1e-5));
  CHECK(losses[0].tokens == 4);
  CHECK(std::abs(losses[1].sum) < 1e-5);
}

TEST_CASE("a vocabulary of several slices gives the same losses on any number of threads") {
  // Around one slice and two, and targets at their ends.
  for (const std::size_t words : {std::size_t{1023}, std::size_t{1024}, std::size_t{1025}, std::size_t{2500}}) {
    CAPTURE(words);
    fixture f;
    const auto last = static_cast<std::int64_t>(words) - 1;
    f.batch.add(std::array<nn::token, 4>{},
                std::array<std::int64_t, 4>{std::min<std::int64_t>(1024, last), 0, last, 1023 % last});
    table_model teacher(random_matrix(12, words, 5, 9)), model(random_matrix(24, words, 6, 9));
    std::ranges::copy(teacher.table.flat(), model.table.row(12).begin());
    std::array<std::array<nn::token_loss, 2>, 3> entropies, divergences;
    for (std::size_t i = 0; i != 3; ++i) {
      thread_pool threads(i + 1);
      const two_lanes lanes;
      const nn::forward_pass<simd::default_kernels, two_lanes, thread_pool> pass{lanes, threads, f.batch, f.work};
      const nn::forward_pass<simd::default_kernels, inference_lane, thread_pool> at{at_masters, threads, f.batch,
                                                                                    f.work};
      nn::cross_entropy(model, pass, entropies[i]);
      nn::distillation(model, pass, nn::teacher_probabilities(teacher, at), divergences[i]);
    }
    for (std::size_t i = 1; i != 3; ++i)
      for (std::size_t lane = 0; lane != 2; ++lane) {
        CHECK(entropies[i][lane].sum == entropies[0][lane].sum);
        CHECK(divergences[i][lane].sum == divergences[0][lane].sum);
      }
    for (std::size_t lane = 0; lane != 2; ++lane) {
      double entropy = 0, divergence = 0;
      for (std::size_t row = 0; row != 12; ++row) {
        if (f.batch.target(row) == nn::not_scored) continue;
        const auto p = log_softmax(teacher.table.row(row)), q = log_softmax(model.table.row(lane * 12 + row));
        entropy -= q[static_cast<std::size_t>(f.batch.target(row))];
        for (std::size_t v = 0; v != words; ++v) divergence += std::exp(p[v]) * (p[v] - q[v]);
      }
      CHECK(entropies[0][lane].tokens == 8);
      CHECK(entropies[0][lane].sum == doctest::Approx(entropy).epsilon(1e-6));
      CHECK(std::abs(divergences[0][lane].sum - divergence) < 1e-4);
    }
    CHECK(divergences[0][0].sum > 1);
    CHECK(divergences[0][1].sum == 0);  // the teacher's own logits
  }
}

TEST_CASE("slices are joined as one log-sum-exp") {
  CHECK(nn::log_sum_exp(std::array{-3.25f}) == -3.25);
  CHECK(nn::log_sum_exp(std::array{1000.0f, 999.0f, -2000.0f}) ==
        doctest::Approx(1000 + std::log1p(std::exp(-1.0))).epsilon(1e-12));
  CHECK(std::isnan(nn::log_sum_exp(std::array{1.0f, std::nanf(""), 2.0f})));
}

TEST_CASE("nothing scored is a loss of nothing") {
  nn::token_batch batch;
  nn::workspace work;
  sequential threads;
  const two_lanes lanes;
  for (int round = 0; round != 2; ++round) {  // no tokens, then one without a target
    const nn::forward_pass<simd::default_kernels, two_lanes, sequential> pass{lanes, threads, batch, work};
    const nn::forward_pass<simd::default_kernels, inference_lane, sequential> at{at_masters, threads, batch, work};
    table_model model(random_matrix(2, vocabulary, 7));
    std::array<nn::token_loss, 2> losses{nn::token_loss{1, 1}, nn::token_loss{1, 1}};
    nn::cross_entropy(model, pass, losses);
    CHECK((losses[0].sum == 0 && losses[0].tokens == 0 && losses[1].sum == 0 && losses[1].tokens == 0));
    losses[1] = {1, 1};
    nn::distillation(model, pass, nn::teacher_probabilities(model, at), losses);
    CHECK((losses[1].sum == 0 && losses[1].tokens == 0));
    batch.add(std::array<nn::token, 1>{2});
  }
}

TEST_CASE("targets that make no sense are refused with the number") {
  fixture f;
  table_model model(random_matrix(16, vocabulary, 4));
  std::array<nn::token_loss, 2> losses;
  f.batch.add(std::array<nn::token, 1>{0}, std::array<std::int64_t, 1>{9});
  check_mentions(message_of<value_error>([&] { nn::cross_entropy(model, f.pass(), losses); }), "target 9",
                 "vocabulary of 9");
  nn::token_batch batch;
  check_mentions(message_of<value_error>([&] {
                   batch.add(std::array<nn::token, 2>{0, 1}, std::array<std::int64_t, 2>{0, -2});
                 }),
                 "target -2");
  check_mentions(message_of<value_error>([&] {
                   batch.add(std::array<nn::token, 2>{0, 1}, std::array<std::int64_t, 1>{0});
                 }),
                 "2 tokens", "1 targets");
  CHECK(batch.tokens() == 0);
}
