// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/loss.hpp>

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
  matrix<float> logits;  ///< [rows, vocabulary]
  model_shape shape_{};

  explicit table_model(matrix<float> values) : logits(std::move(values)) { shape_.vocabulary = logits.cols(); }
  [[nodiscard]] const model_shape& shape() const { return shape_; }
  template <class Pass>
  void forward(const Pass&) {}
  template <class Pass, class Wanted, class F>
  void for_each_logits(const Pass& pass, Wanted&& wanted, F&& f) {
    for (std::size_t row = 0; row != pass.rows(); ++row) {
      if (!wanted(row)) continue;
      std::vector<float> copy(logits.row(row).begin(), logits.row(row).end());
      f(row, std::span<float>(copy));
    }
  }
};
struct two_lanes {
  static std::size_t count() { return 2; }
  static void read(const parameter&, std::size_t, std::size_t, float*) noexcept {}
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
    for (const auto& [row, target] : scored) expected -= log_softmax(model.logits.row(lane * 8 + row))[target];
    CHECK(losses[lane].tokens == 4);
    CHECK(losses[lane].sum == doctest::Approx(expected).epsilon(1e-6));
    CHECK(losses[lane].mean() == losses[lane].sum / 4);
  }
  CHECK(losses[0].sum != losses[1].sum);
  CHECK(nn::token_loss{}.mean() == 0);
}

TEST_CASE("distillation is the KL divergence from the teacher, and nothing against itself") {
  fixture f;
  table_model teacher(random_matrix(8, vocabulary, 2, 4)), model(random_matrix(16, vocabulary, 3, 4));
  for (std::size_t row = 0; row != 8; ++row)
    std::ranges::copy(teacher.logits.row(row), model.logits.row(8 + row).begin());
  for (float& x : model.logits.row(8)) x += 3;  // logits are free up to a constant
  const nn::teacher_scores scores = nn::score(teacher, f.inference());
  REQUIRE(scores.log_probability.rows() == 4);
  for (std::size_t i = 0; i != 4; ++i)
    for (std::size_t v = 0; v != vocabulary; ++v)
      CHECK(double{scores.log_probability(i, v)} ==
            doctest::Approx(log_softmax(teacher.logits.row(scored[i].first))[v]).epsilon(1e-5));

  std::array<nn::token_loss, 2> losses;
  nn::distillation(model, f.pass(), scores, losses);
  double expected = 0;
  for (const auto& [row, target] : scored) {
    const auto p = log_softmax(teacher.logits.row(row)), q = log_softmax(model.logits.row(row));
    double divergence = 0;
    for (std::size_t v = 0; v != vocabulary; ++v) divergence += std::exp(p[v]) * (p[v] - q[v]);
    CHECK(divergence > 0.1);
    expected += divergence;
  }
  CHECK(losses[0].sum == doctest::Approx(expected).epsilon(1e-5));
  CHECK(losses[0].tokens == 4);
  CHECK(std::abs(losses[1].sum) < 1e-5);
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
  }), "target -2");
  check_mentions(message_of<value_error>([&] {
    batch.add(std::array<nn::token, 2>{0, 1}, std::array<std::int64_t, 1>{0});
  }), "2 tokens", "1 targets");
  CHECK(batch.tokens() == 0);
}
