// SPDX-License-Identifier: Apache-2.0
#include <zoqat/train/task_loss.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <train/points.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/ptq/prepare.hpp>
#include <zoqat/train/trainer.hpp>
#include <zoqat/zo/embed/in_place.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/optimizers/sgd.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

constexpr float epsilon = 0.05f;

using model_type = nn::llama<scheme<weight<4, group<8>, asymmetric, clip::codes>, activation<8>>>;
using objective = train::task_loss<model_type, thread_pool>;
using train::task_target;

/// A few items of two or three candidates, some of which are a single token.
std::vector<eval::encoded_item> random_items() {
  std::vector<eval::encoded_item> items(5);
  for (std::uint32_t i = 0; i != items.size(); ++i) {
    const auto prompt = random_tokens(4 + i, 37, i);
    for (std::uint32_t c = 0; c != 2 + i % 2; ++c) {
      eval::continuation candidate{prompt, prompt.size()};
      for (const nn::token t : random_tokens(1 + i % 3 * c, 37, 50 + 10 * i + c)) candidate.tokens.push_back(t);
      items[i].candidates.push_back(candidate);
    }
    items[i].correct = (i + 1) % 2;
  }
  return items;
}

struct setup {
  model_type model = random_model<model_type>(odd_shape(), 1);
  std::vector<eval::encoded_item> items = random_items();
  thread_pool threads;

  explicit setup(std::size_t thread_count = 2) : threads(thread_count) { ptq::prepare(model); }
  objective loss(train::task_loss_options how) { return {model, items, threads, how}; }

  /// −log p of each scored token, by all logits of one text alone.
  std::vector<double> brute_force(const eval::continuation& text) {
    nn::token_batch batch;
    batch.add(text.tokens);
    const matrix<float> logits = logits_of(model, batch);
    std::vector<double> losses;
    for (std::size_t i = text.given; i != text.tokens.size(); ++i) {
      double total = 0;
      for (const float x : logits.row(i - 1)) total += std::exp(double{x});
      losses.push_back(std::log(total) - double{logits(i - 1, text.tokens[i])});
    }
    return losses;
  }
  double mean_of(const std::vector<double>& values) {
    double sum = 0;
    for (const double v : values) sum += v;
    return sum / static_cast<double>(values.size());
  }
  /// The loss of items as it is defined.
  double expected(std::span<const std::uint32_t> drawn, task_target target) {
    std::vector<double> losses;
    for (const std::uint32_t i : drawn) {
      const auto& item = items[i];
      if (target == task_target::tokens) {
        const auto more = brute_force(item.right());
        losses.insert(losses.end(), more.begin(), more.end());
        continue;
      }
      double total = 0;
      for (const auto& candidate : item.candidates) total += std::exp(-mean_of(brute_force(candidate)));
      losses.push_back(std::log(total) + mean_of(brute_force(item.right())));
    }
    return mean_of(losses);
  }
};

}  // namespace

TEST_CASE("losses are those of all logits, on every lane and for every micro-batch") {
  setup s;
  const auto points = pairs(2, epsilon);
  for (const task_target target : {task_target::candidates, task_target::tokens}) {
    auto loss = s.loss({.batch = 5, .micro_batches = 2, .compared_with = target, .part_tokens = 30, .seed = 4});
    CHECK(loss.micro_batches() == 2);
    for (const std::uint32_t step : {0u, 1u}) {
      loss.select(step);
      train::step_data data(s.items.size(), 5, 2, 4);
      data.select(step);
      for (std::size_t micro = 0; micro != 2; ++micro) {
        const auto found = evaluate(loss, points, micro);
        // The same points, written into the model one after the other.
        std::vector<double> expected(points.size());
        zo::in_place(s.model, [&] { return s.expected(data.of(micro), target); })(
            zo::lane_points<zo::rademacher>{points, {}}, 0, std::span(expected));
        for (std::size_t i = 0; i != points.size(); ++i)
          CHECK(found[i] == doctest::Approx(expected[i]).epsilon(1e-4));
        CHECK(std::abs(found[0] - found[1]) > 1e-3);
      }
    }
  }
}

TEST_CASE("a batch in parts has the loss of the whole") {
  setup s;
  const auto points = pairs(1, epsilon);
  for (const task_target target : {task_target::candidates, task_target::tokens}) {
    auto whole = s.loss({.batch = 16, .compared_with = target, .part_tokens = 10'000});
    const auto expected = evaluate(whole, points);
    for (const std::size_t part : {std::size_t{1}, std::size_t{25}}) {
      auto parts = s.loss({.batch = 16, .compared_with = target, .part_tokens = part});
      const auto found = evaluate(parts, points);
      for (std::size_t i = 0; i != 2; ++i) CHECK(found[i] == doctest::Approx(expected[i]).epsilon(1e-4));
    }
  }
}

TEST_CASE("an update that waits is made once, by the first part") {
  setup eager, deferred;
  const zo::planned_update u{.seed = 3, .step = 0, .gain = per_group<float>::all(0.1f), .half_difference = {0.5f}};
  zo::apply(zo::update{u, zo::rademacher{}}, eager.model);
  auto loss = deferred.loss({.batch = 16, .part_tokens = 1});
  const auto start = bits_of(deferred.model);
  loss.defer(zo::update{u, zo::rademacher{}}, deferred.model);
  CHECK(bits_of(deferred.model) != bits_of(eager.model));  // weights wait for a pass
  auto at_once = eager.loss({.batch = 16, .part_tokens = 1});
  CHECK(evaluate(loss, pairs(2, epsilon)) == evaluate(at_once, pairs(2, epsilon)));
  CHECK(bits_of(deferred.model) == bits_of(eager.model));
  loss.flush(deferred.model);
  CHECK(bits_of(deferred.model) == bits_of(eager.model));
  CHECK(bits_of(eager.model) != start);
}

TEST_CASE("a run ends in the same bits for any number of threads, watched or not") {
  struct watch {
    void after_step(const train::step_report&) {}
  };
  const auto trained = [](std::size_t threads, auto... callbacks) {
    setup s(threads);
    auto loss = s.loss({.batch = 4, .micro_batches = 2, .part_tokens = 20});
    const zo::estimator<zo::central, zo::rademacher> estimator{
        .epsilon = per_group<float>::all(0.05f), .micro_batches = 2, .seed = 5};
    const zo::sgd<> optimizer{.learning_rate = per_group<float>::all(0.01f)};
    train::run(s.model, loss, estimator, optimizer, {0, 4}, s.threads, callbacks...);
    return bits_of(s.model);
  };
  setup untrained;
  const auto one = trained(1);
  CHECK(one != bits_of(untrained.model));
  CHECK(trained(3) == one);
  CHECK(trained(2, watch{}) == one);
}

TEST_CASE("options that make no sense are refused") {
  setup s;
  s.items[3].candidates.resize(1);
  s.items[3].correct = 0;
  check_mentions(message_of<value_error>([&] { s.loss({}); }), "item 3", "1 candidates", "its tokens");
  CHECK(s.loss({.compared_with = task_target::tokens}).micro_batches() == 1);
  check_mentions(message_of<value_error>([&] { s.loss({.batch = 1, .micro_batches = 2}); }), "batch of 1",
                 "2 micro-batches");
  auto loss = s.loss({.compared_with = task_target::tokens});
  check_mentions(message_of<value_error>([&] { evaluate(loss, pairs(1, epsilon), 1); }), "micro-batch 1");
  s.items.clear();
  check_mentions(message_of<value_error>([&] { s.loss({}); }), "no items");
}
