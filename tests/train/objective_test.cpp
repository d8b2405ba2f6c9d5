// SPDX-License-Identifier: Apache-2.0
#include <zoqat/train/objective.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <train/points.hpp>
#include <zoqat/nn/llama.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

constexpr float epsilon = 1e-2f;

using teacher = nn::llama<full_precision>;
using student = nn::llama<scheme<weight<4, group<8>, asymmetric, clip::codes>, activation<8>>>;
using objective = train::language_model_loss<student, teacher, thread_pool>;

struct setup {
  teacher ideal = random_model<teacher>(odd_shape(), 1);
  student model{ideal.shape()};
  eval::chunks corpus;
  thread_pool threads{2};

  setup() {
    nn::copy_base_tensors(ideal, model);
    model.for_each_shared_input([](auto&& input) {
      for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
    });
    for (std::uint32_t i = 0; i != 5; ++i) corpus.push_back(random_tokens(6 + i, 37, i));
  }
  objective loss(train::language_model_loss_options how) { return {model, ideal, corpus, threads, how}; }
};

}  // namespace

TEST_CASE("lanes at once give the losses of lanes one by one, bit by bit") {
  setup s;
  auto loss = s.loss({.batch = 3, .micro_batches = 1});
  const auto points = pairs(2, epsilon);
  const auto all = evaluate(loss, points);
  for (std::size_t i = 0; i != points.size(); ++i)
    CHECK(evaluate(loss, std::span(points).subspan(i, 1)) == std::vector{all[i]});
  CHECK(std::set<double>(all.begin(), all.end()).size() == 4);

  // Two ways along a direction lie around the masters.
  const std::vector<zo::perturbation> masters(1);
  const double at = evaluate(loss, masters)[0];
  CHECK(std::abs((all[0] + all[1]) / 2 - at) < 0.5 * std::abs(all[0] - all[1]) + 0.05 * at);
}

TEST_CASE("a loss is the mean over the tokens of the micro-batch") {
  setup s;
  const std::vector<zo::perturbation> masters(1);
  for (const train::target target : {train::target::text, train::target::teacher}) {
    auto loss = s.loss({.batch = 3, .micro_batches = 2, .compared_with = target, .seed = 4});
    CHECK(loss.micro_batches() == 2);
    for (const std::uint32_t step : {0u, 1u}) {
      loss.select(step);
      const auto drawn = train::draw_chunks(5, 3, 4, step);
      std::size_t tokens = 0;
      for (const std::uint32_t chunk : drawn) tokens += s.corpus[chunk].size();
      CHECK(loss.tokens() == tokens);
      for (std::size_t micro = 0; micro != 2; ++micro) {
        nn::token_batch batch;
        for (std::size_t i = micro; i < 3; i += 2) batch.add(s.corpus[drawn[i]]);
        nn::workspace work;
        const nn::forward_pass<simd::default_kernels, inference_lane, thread_pool> pass{at_masters, s.threads, batch,
                                                                                        work};
        nn::token_loss expected;
        if (target == train::target::text)
          nn::cross_entropy(s.model, pass, std::span(&expected, 1));
        else
          nn::distillation(s.model, pass, nn::teacher_probabilities(s.ideal, pass), std::span(&expected, 1));
        CHECK(evaluate(loss, masters, micro)[0] == expected.mean());
        CHECK(evaluate(loss, masters, micro)[0] == expected.mean());  // the teacher's scores are kept
        CHECK(expected.mean() > 0);
      }
    }
  }
}

TEST_CASE("an evaluation leaves every bit of the parameters") {
  setup s;
  const auto before = bits_of(s.model);
  auto loss = s.loss({.batch = 2, .micro_batches = 1});
  static_cast<void>(evaluate(loss, pairs(3, epsilon)));
  CHECK(bits_of(s.model) == before);
}

TEST_CASE("options that make no sense are refused") {
  setup s;
  check_mentions(message_of<value_error>([&] { s.loss({.batch = 2, .micro_batches = 3}); }), "batch of 2",
                 "3 micro-batches");
  check_mentions(message_of<value_error>([&] { s.loss({.batch = 2, .micro_batches = 0}); }), "0 micro-batches");
  auto loss = s.loss({.batch = 2, .micro_batches = 2});
  check_mentions(message_of<value_error>([&] { evaluate(loss, pairs(1, epsilon), 2); }), "micro-batch 2", "has 2");
  const auto alone = [&](train::target what) {
    static_cast<void>(objective(s.model, s.corpus, s.threads, {.compared_with = what}));
  };
  CHECK_NOTHROW(alone(train::target::text));
  check_mentions(message_of<value_error>([&] { alone(train::target::teacher); }), "a teacher");
  s.corpus.clear();
  check_mentions(message_of<value_error>([&] { s.loss({}); }), "no chunks");
}
