// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <support/random_model.hpp>
#include <zoqat/nn/generate.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

// Everything quantized; the least and the most a scheme can ask of attention.
using teacher = nn::llama<full_precision>;
using student = nn::llama<scheme<weight<4, per_channel, asymmetric, clip::codes>, activation<8>, attention<4>>>;

template <class Model>
Model fresh(std::uint32_t name = 1) {
  auto model = random_model<Model>(odd_shape(), name);
  model.for_each_shared_input([](auto&& input) {
    for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
  });
  shake(model, 0.02f);
  return model;
}
nn::token_batch one(std::span<const nn::token> tokens) {
  nn::token_batch batch;
  batch.add(tokens);
  return batch;
}

}  // namespace

TEST_CASE_TEMPLATE("a later token never changes an earlier logit", Model, teacher, student) {
  auto model = fresh<Model>();
  auto tokens = random_tokens(70, model.shape().vocabulary, 1);
  const auto before = logits_of(model, one(tokens));
  for (const std::size_t changed : {std::size_t{69}, std::size_t{64}, std::size_t{9}}) {
    tokens[changed] = (tokens[changed] + 1) % 37;
    const auto after = logits_of(model, one(tokens));
    CHECK(std::ranges::equal(before.flat().first(changed * 37), after.flat().first(changed * 37)));
    CHECK_FALSE(std::ranges::equal(before.row(changed), after.row(changed)));
  }
}

TEST_CASE_TEMPLATE("generation with a cache computes what a pass over the whole text does", Model, teacher, student) {
  auto model = fresh<Model>();
  const auto tokens = random_tokens(70, model.shape().vocabulary, 2);
  const auto whole = logits_of(model, one(tokens));
  sequential threads;
  nn::generator<Model, sequential> generator(model, threads);
  std::size_t fed = 0;
  std::vector<float> first;
  for (const std::size_t piece : std::array<std::size_t, 6>{1, 1, 6, 60, 1, 1}) {
    const auto logits = generator.feed(std::span(tokens).subspan(fed, piece));
    fed += piece;
    if (first.empty()) first.assign(logits.begin(), logits.end());
    CHECK(generator.room() == 80 - fed);
    double worst = 0;
    for (std::size_t v = 0; v != 37; ++v)
      worst = std::max(worst, std::abs(static_cast<double>(logits[v]) - static_cast<double>(whole(fed - 1, v))));
    CHECK(worst < 1e-4);
  }
  generator.reset();
  CHECK(generator.room() == 80);
  const auto again = generator.feed(std::span(tokens).first(1));
  CHECK(std::ranges::equal(again, first));
}

TEST_CASE_TEMPLATE("a sequence does not see its neighbors", Model, teacher, student) {
  auto model = fresh<Model>();
  sequential threads;
  const auto tokens = random_tokens(23, 37, 3);
  const auto alone = losses_of(model, one(tokens), threads);
  nn::token_batch crowd;
  crowd.add(random_tokens(13, 37, 4));
  crowd.add(tokens);
  crowd.add(random_tokens(66, 37, 5));
  const auto logits = logits_of(model, crowd), wanted = logits_of(model, one(tokens));
  CHECK(std::ranges::equal(wanted.flat(), logits.flat().subspan(13 * 37, 23 * 37)));
  CHECK(alone[0].tokens == 22);
}

TEST_CASE("range moves between keys and queries without changing a score") {
  // 8-bit queries and keys with a common factor per pair: what changes is rounding only.
  using fine = nn::llama<scheme<weight<8, per_channel, asymmetric, clip::codes>, activation<8>, attention<8>>>;
  auto model = random_model<fine>(odd_shape(), 9);
  model.for_each_shared_input([](auto&& input) {
    for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
  });
  const auto batch = one(random_tokens(30, 37, 8));
  const auto before = logits_of(model, batch);
  std::size_t scales = 0;
  model.for_each_parameter([&](const parameter& p) {
    if (!p.name.ends_with("scores.log_scale")) return;
    ++scales;
    CHECK(p.values.size() == 2 * 2);
    std::ranges::copy(random_floats(p.values.size(), p.id, 0.5f), p.values.begin());
  });
  CHECK(scales == 2);
  const auto after = logits_of(model, batch);
  double worst = 0, size = 0;
  for (std::size_t i = 0; i != before.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(before.flat()[i]) - static_cast<double>(after.flat()[i])));
    size = std::max(size, std::abs(static_cast<double>(before.flat()[i])));
  }
  CHECK(worst > 0);
  CHECK(worst < 0.05 * size);
}

TEST_CASE("smoothing of values is shared by the heads that mix them") {
  // s of o_proj's input divides by what v_proj could have been divided by: folding it there must change nothing.
  auto model = fresh<student>(11);
  auto& layer = model.blocks()[0];
  std::size_t inputs = 0;
  layer.for_each_residual([&](auto& r) {
    r.layer().for_each_shared_input([&](auto&& input) {
      if (inputs++ != 1) return;
      CHECK(input.smoothing->log_scale().values().size() == 2 * 4);
      CHECK(input.smoothing->width() == 6 * 4);
      for (std::size_t j = 0; j != 24; ++j) CHECK(input.smoothing->source(j) == j / 12 * 4 + j % 4);
    });
  });
  CHECK(inputs == 4);
}
