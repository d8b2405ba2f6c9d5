// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/prefix.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/generate.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/nn/opt.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using w4 = quant::scheme<quant::weight<4, quant::group<8>>>;
const std::vector<nn::token> before = random_tokens(5, 37, 50);

template <class Model>
Model with_prefix() {
  auto model = random_model<Model>(odd_shape());
  model.store({.trained = {}});
  sequential here;
  nn::add_prefix(model, before, here);
  return model;
}
nn::token_batch batch_of(std::size_t in_front) {
  nn::token_batch batch;
  for (const std::size_t length : {std::size_t{9}, std::size_t{1}, std::size_t{23}}) {
    std::vector<nn::token> tokens(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(in_front));
    const auto own = random_tokens(length, 37, static_cast<std::uint32_t>(length));
    tokens.insert(tokens.end(), own.begin(), own.end());
    batch.add(tokens);
  }
  return batch;
}

}  // namespace

TEST_CASE_TEMPLATE("a prefix starts as the tokens it was made of: sequences go on as behind these", Model,
                   nn::llama<quant::full_precision>, nn::llama<w4>, nn::opt<w4>) {
  auto plain = random_model<Model>(odd_shape());
  plain.store({.trained = {}});
  auto model = with_prefix<Model>();
  CHECK(model.prefix_tokens() == before.size());
  const auto long_batch = batch_of(before.size()), short_batch = batch_of(0);
  const matrix<float> wanted = logits_of(plain, long_batch), found = logits_of(model, short_batch);
  double worst = 0;
  for (std::size_t s = 0; s != short_batch.sequences(); ++s)
    for (std::size_t i = 0; i != short_batch.length(s); ++i)
      for (std::size_t v = 0; v != wanted.cols(); ++v)
        worst = std::max(worst, std::abs(double{wanted(long_batch.start(s) + before.size() + i, v)} -
                                         double{found(short_batch.start(s) + i, v)}));
  CHECK(worst < 2e-5);
  CHECK(logits_of(plain, short_batch)(0, 0) != doctest::Approx(double{found(0, 0)}).epsilon(1e-4));

  // Keys and values of both layers are all that trains, each row in units of its size.
  std::vector<std::string> names;
  model.for_each_parameter([&](const parameter& p) {
    names.emplace_back(p.name);
    CHECK(p.values.size() == before.size() * 8);
    REQUIRE(p.unit.size() == before.size());
    double squares = 0;
    for (std::size_t j = 0; j != 8; ++j) squares += double{p.values[j]} * double{p.values[j]};
    CHECK(double{p.unit[0]} == doctest::Approx(std::sqrt(squares / 8)));
  });
  CHECK(names ==
        std::vector<std::string>{"model.layers.0.self_attn.prefix.keys", "model.layers.0.self_attn.prefix.values",
                                 "model.layers.1.self_attn.prefix.keys", "model.layers.1.self_attn.prefix.values"});
  CHECK(model.held_bytes() == plain.held_bytes() + 4 * before.size() * 8 * sizeof(float));
}

TEST_CASE("text is generated behind a prefix, and the positions it takes are missing") {
  auto model = with_prefix<nn::llama<w4>>();
  shake(model, 0.3f);
  sequential here;
  nn::generator<nn::llama<w4>, sequential> generator(model, here);
  CHECK(generator.room() == 80 - before.size());
  const auto tokens = random_tokens(11, 37, 4);
  nn::token_batch batch;
  batch.add(tokens);
  const matrix<float> all = logits_of(model, batch);
  for (std::size_t i = 0; i != tokens.size(); ++i) {
    const auto logits = generator.feed({&tokens[i], 1});
    double worst = 0;
    for (std::size_t v = 0; v != logits.size(); ++v)
      worst = std::max(worst, std::abs(double{logits[v]} - double{all(i, v)}));
    CHECK(worst < 1e-5);
  }
  nn::token_batch too_long;
  too_long.add(random_tokens(76, 37, 1));
  check_mentions(message_of<value_error>([&] { (void)logits_of(model, too_long); }), "81", "80 positions");
}

TEST_CASE("each lane has its own prefix, and a deployed model keeps it") {
  auto model = with_prefix<nn::llama<w4>>();
  const std::array<zo::perturbation, 2> points{zo::perturbation{{1, 2, 3}, per_group<float>::all(0.4f)},
                                               zo::perturbation{{1, 2, 3}, per_group<float>::all(-0.4f)}};
  const zo::lanes<zo::gaussian> lanes({points, {}});
  thread_pool threads(2);
  const auto batch = batch_of(0);
  const auto together = losses_of(model, batch, threads, lanes);
  for (std::size_t lane = 0; lane != 2; ++lane) {
    auto moved = moved_to_lane(model, lanes, lane);
    CHECK(losses_of(moved, batch, threads)[0].sum == together[lane].sum);
  }
  CHECK(together[0].sum != together[1].sum);
  const auto at_rest = losses_of(model, batch, threads)[0].sum;
  model.deploy();
  model.for_each_parameter([](const parameter& p) { FAIL(p.name); });
  CHECK(losses_of(model, batch, threads)[0].sum == at_rest);
}

TEST_CASE("a prefix of no tokens, of all positions, and a second one are errors") {
  auto model = random_model<nn::llama<w4>>(odd_shape());
  sequential here;
  check_mentions(message_of<value_error>([&] { nn::add_prefix(model, {}, here); }), "0 tokens");
  check_mentions(message_of<value_error>([&] { nn::add_prefix(model, random_tokens(80, 37, 1), here); }), "80 tokens",
                 "1 to 79");
  nn::add_prefix(model, before, here);
  check_mentions(message_of<value_error>([&] { nn::add_prefix(model, before, here); }), "prefix of 5 tokens already");
}
