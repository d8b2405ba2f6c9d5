// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/generate.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/llama.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using model_type = nn::llama<quant::full_precision>;

rng::engine engine(std::uint32_t name) {
  return rng::engine({.seed = 6, .tensor = name, .use = rng::purpose::sampling});
}
/// How often each token is chosen in 4000 draws.
std::vector<double> frequencies(std::vector<float> logits, const nn::sampling& how) {
  auto random = engine(1);
  std::vector<double> result(logits.size());
  for (int i = 0; i != 4000; ++i) {
    auto copy = logits;
    result[nn::choose(copy, how, random)] += 1.0 / 4000;
  }
  return result;
}
const std::vector<float> logits{std::log(0.1f), std::log(0.5f), std::log(0.15f), std::log(0.25f)};

struct generation {
  std::vector<nn::token> tokens, seen;
};
generation generate(std::span<const nn::token> prompt, std::size_t count, const nn::sampling& how, std::uint32_t name,
                    nn::token stop = 99) {
  auto model = random_model<model_type>(odd_shape(), 1);
  sequential threads;
  nn::generator<model_type, sequential> generator(model, threads);
  auto random = engine(name);
  generation result;
  result.tokens = generator(
      prompt, count, how, random, [&](nn::token t) { return t == stop; },
      [&](nn::token t) { result.seen.push_back(t); });
  return result;
}

}  // namespace

TEST_CASE("at temperature 0 the most likely token is chosen and no random number is read") {
  auto random = engine(2), untouched = engine(2);
  std::vector<float> copy = logits;
  CHECK(nn::choose(copy, {}, random) == 1);
  CHECK(random() == untouched());
}

TEST_CASE("tokens are drawn with their probabilities") {
  const auto plain = frequencies(logits, {.temperature = 1});
  CHECK(plain[0] == doctest::Approx(0.1).epsilon(0.02));
  CHECK(plain[1] == doctest::Approx(0.5).epsilon(0.02));
  CHECK(plain[2] == doctest::Approx(0.15).epsilon(0.02));
  // At half the temperature probabilities are squared.
  const auto cold = frequencies(logits, {.temperature = 0.5f});
  CHECK(cold[1] == doctest::Approx(0.25 / (0.01 + 0.25 + 0.0225 + 0.0625)).epsilon(0.02));
}

TEST_CASE("top-p keeps the fewest tokens that reach it, and at least one") {
  const auto kept = frequencies(logits, {.temperature = 1, .top_p = 0.7f});
  CHECK(kept[0] == 0);
  CHECK(kept[2] == 0);
  CHECK(kept[1] == doctest::Approx(2.0 / 3).epsilon(0.02));
  for (const float top_p : {0.3f, 0.0f})
    CHECK(frequencies(logits, {.temperature = 1, .top_p = top_p})[1] == doctest::Approx(1));
  CHECK(frequencies({3.0f}, {.temperature = 1, .top_p = 0.5f})[0] == doctest::Approx(1));
}

TEST_CASE("greedy text is the most likely token again and again") {
  const auto prompt = random_tokens(5, 37, 1);
  const auto made = generate(prompt, 20, {}, 1);
  REQUIRE(made.tokens.size() == 20);
  CHECK(made.seen == made.tokens);
  auto model = random_model<model_type>(odd_shape(), 1);
  std::vector<nn::token> text = prompt;
  for (const nn::token t : made.tokens) {
    nn::token_batch batch;
    batch.add(text);
    const auto all = logits_of(model, batch);
    const auto last = all.row(text.size() - 1);
    CHECK(std::ranges::max_element(last) - last.begin() == static_cast<std::ptrdiff_t>(t));
    text.push_back(t);
  }
}

TEST_CASE("text ends where it is told to, and where the positions do") {
  const auto prompt = random_tokens(5, 37, 1);
  const auto whole = generate(prompt, 30, {.temperature = 1}, 3).tokens;
  REQUIRE(whole.size() == 30);
  CHECK(generate(prompt, 30, {.temperature = 1}, 3).tokens == whole);
  CHECK(generate(prompt, 30, {.temperature = 1}, 4).tokens != whole);
  const auto first = std::ranges::find(whole, whole[20]);
  const auto stopped = generate(prompt, 30, {.temperature = 1}, 3, whole[20]);
  CHECK(std::equal(whole.begin(), first, stopped.tokens.begin(), stopped.tokens.end()));
  CHECK(stopped.seen == stopped.tokens);

  CHECK(generate(prompt, 0, {}, 1).tokens.empty());
  CHECK(generate(prompt, 1, {}, 1).tokens.size() == 1);
  CHECK(generate(prompt, 1000, {}, 1).tokens.size() == 76);  // after 80 positions one more is known
  CHECK(generate(random_tokens(80, 37, 2), 1000, {}, 1).tokens.size() == 1);
}

TEST_CASE("what does not fit is refused with the numbers") {
  const auto failure = [](std::size_t n) {
    return message_of<value_error>([&] { static_cast<void>(generate(random_tokens(n, 37, 1), 5, {}, 1)); });
  };
  check_mentions(failure(81), "81 tokens", "80 positions left");
  check_mentions(failure(0), "0 tokens");
}

TEST_CASE("a cache grows with what was said and keeps it") {
  nn::kv_cache cache{.layers = {{matrix<float>(0, 3), matrix<float>(0, 3)}}, .length = 0};
  cache.reserve(5, 1000);
  CHECK(cache.layers[0].keys.rows() == 64);
  for (float& x : cache.layers[0].keys.flat()) x = static_cast<float>(&x - cache.layers[0].keys.data());
  cache.length = 64;
  cache.reserve(64, 1000);
  CHECK(cache.layers[0].keys.rows() == 64);
  cache.reserve(65, 100);
  CHECK(cache.layers[0].keys.rows() == 100);
  CHECK(cache.layers[0].values.rows() == 100);
  for (std::size_t i = 0; i != 3 * 64; ++i) CHECK(cache.layers[0].keys.flat()[i] == static_cast<float>(i));
}
