// SPDX-License-Identifier: Apache-2.0
#include <zoqat/train/reward_loss.hpp>

#include <doctest/doctest.h>
#include <support/character_tokenizer.hpp>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <train/points.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/train/trainer.hpp>
#include <zoqat/zo/embed/in_place.hpp>
#include <zoqat/zo/optimizers/sgd.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using model_type = nn::llama<quant::full_precision>;

struct question {
  std::string prompt;
  std::vector<std::string> answers;
};

/// How many letters of an answer are vowels: a reward that nobody could differentiate.
struct vowels {
  double operator()(std::string_view answer, const question& item) const {
    return static_cast<double>(std::ranges::count_if(
               answer, [](char c) { return std::string_view("aeiou").find(c) != std::string_view::npos; })) +
           0.5 * static_cast<double>(item.answers.size());
  }
};

const character_tokenizer letters;

struct setup {
  model_type model = random_model<model_type>(odd_shape(), 3);
  std::vector<question> items{
      {"the cat", {"sat"}}, {"a dog ran", {"far", "off"}}, {"so", {"it"}}, {"the end", {"x"}}};
  thread_pool threads{2};
  eval::answer_end end{.max_tokens = 5, .texts = {"q", ". "}, .tokens = {character_tokenizer::end}};
  eval::encoding how{.positions = 40};

  template <class Reward>
  auto loss(Reward reward, train::reward_loss_options options) {
    options.how = how, options.end = end;
    return train::reward_loss(model, letters, items, reward, threads, options);
  }
  /// `best` less the mean reward of answers that are generated one at a time, with a cache of keys and values.
  template <class Reward>
  double expected(std::span<const std::uint32_t> drawn, Reward reward, double best) {
    nn::generator<model_type, thread_pool> generate(model, threads);
    double total = 0;
    for (const std::uint32_t i : drawn) {
      const auto prompt = eval::encode_prompt(letters, items[i].prompt, how, end.max_tokens);
      total += reward(eval::generate_answer(generate, letters, prompt, end), items[i]);
    }
    return best - total / static_cast<double>(drawn.size());
  }
};

}  // namespace

TEST_CASE("losses are those of answers that are generated alone, on every lane and for every micro-batch") {
  setup s;
  const auto points = pairs(2, 0.4f);
  bool differ = false;
  for (const std::size_t part : {std::size_t{1}, std::size_t{10'000}}) {
    auto loss =
        s.loss(vowels(), {.how = s.how, .batch = 5, .micro_batches = 2, .best = 3, .part_tokens = part, .seed = 4});
    CHECK(loss.micro_batches() == 2);
    for (const std::uint32_t step : {0u, 1u}) {
      loss.select(step);
      train::step_data data(s.items.size(), 5, 2, 4);
      data.select(step);
      for (std::size_t micro = 0; micro != 2; ++micro) {
        const auto found = evaluate(loss, points, micro);
        std::vector<double> expected(points.size());
        zo::in_place(s.model, [&] { return s.expected(data.of(micro), vowels(), 3); })(
            zo::lane_points<zo::rademacher>{points, {}}, 0, std::span(expected));
        CHECK(found == expected);
        differ |= found[0] != found[1];
      }
    }
  }
  CHECK(differ);
}

TEST_CASE("F1 and exact match are those of the best gold") {
  const question item{"who", {"the red house", "a cat"}};
  CHECK(train::f1_reward()("red dog", item) == doctest::Approx(0.5));
  CHECK(train::f1_reward()("cat", item) == 1);
  CHECK(train::exact_match_reward()("Red house.", item) == 1);
  CHECK(train::exact_match_reward()("red", item) == 0);
}

TEST_CASE("training raises a reward that has no derivative" * doctest::skip(is_slow_build)) {
  setup s;
  auto loss = s.loss(vowels(), {.how = s.how, .batch = 8, .best = 6, .seed = 1});
  const auto mean = [&] {
    std::vector<std::uint32_t> all{0, 1, 2, 3};
    return s.expected(all, vowels(), 6);
  };
  const double before = mean();
  const zo::estimator<zo::central, zo::rademacher> estimator{.epsilon = per_group<float>::all(0.15f), .seed = 5};
  const zo::sgd<> optimizer{.learning_rate = per_group<float>::all(0.003f)};
  train::run(s.model, loss, estimator, optimizer, {0, 150}, s.threads);
  CHECK(mean() < before - 0.5);
}

TEST_CASE("options that make no sense are refused") {
  setup s;
  const auto failure = [&] {
    return message_of<value_error>([&] { s.loss(vowels(), {.how = s.how, .batch = 2, .micro_batches = 1}); });
  };
  s.end.max_tokens = 0;
  check_mentions(failure(), "at most 0 tokens");
  s.end.max_tokens = 40;
  check_mentions(failure(), "40 positions", "40 new tokens");
  s.end.max_tokens = 5;
  check_mentions(message_of<value_error>([&] { s.loss(vowels(), {.how = s.how, .batch = 1, .micro_batches = 2}); }),
                 "batch of 1", "2 micro-batches");
  s.items.clear();
  check_mentions(failure(), "no items");
}
