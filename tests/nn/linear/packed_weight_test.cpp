// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/linear/packed_weight.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

// Products in integers, in floats, of panels where they lie and of panels made of codes, with scales that are
// rounded.
using w4a4 = scheme<weight<4>, activation<4>>;
using w2g5 = scheme<weight<2, group<5>, asymmetric, clip::codes>>;
using w3g32 = scheme<weight<3, group<32>, asymmetric, clip::codes, fp16_scale>>;
using with_minima = scheme<weight<5, group<16>, with_minimum, clip::codes, fp16_scale>,
                           activation<8, group<8>, symmetric, fp16_scale_and_sum>>;

template <class Scheme>
nn::llama<Scheme> packed(const nn::storage_plan& plan) {
  auto model = random_model<nn::llama<Scheme>>(odd_shape());
  model.for_each_shared_input([](auto&& input) {
    for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
  });
  model.store(plan);
  return model;
}
const nn::storage_plan scales{.trained = {}, .steps = true};
std::vector<float> logits(auto& model, std::size_t tokens) {
  const matrix<float> all = logits_of(model, random_batch(std::span(&tokens, 1), 37, 3));
  return {all.flat().begin(), all.flat().end()};
}

}  // namespace

TEST_CASE_TEMPLATE("step sizes of packed weights train, each lane with its own, and codes stay", Scheme, w4a4, w2g5,
                   w3g32, with_minima) {
  auto plain = packed<Scheme>({.trained = {}}), model = packed<Scheme>(scales);
  std::set<parameter_group> groups;
  model.for_each_parameter([&](const parameter& p) { groups.insert(p.group); });
  CHECK(groups.contains(parameter_group::step_row));
  CHECK_FALSE(groups.contains(parameter_group::weight));
  CHECK_FALSE(groups.contains(parameter_group::norm));
  CHECK(model.held_bytes() > plain.held_bytes());
  for (const std::size_t tokens : {std::size_t{2}, std::size_t{19}})
    CHECK(logits(model, tokens) == logits(plain, tokens));

  const std::array<zo::perturbation, 2> points{zo::perturbation{{1, 2, 3}, per_group<float>::all(0.1f)},
                                               zo::perturbation{{1, 2, 3}, per_group<float>::all(-0.1f)}};
  const zo::lanes<zo::gaussian> lanes({points, {}});
  thread_pool threads(2);
  for (const std::size_t tokens : {std::size_t{2}, std::size_t{19}}) {
    const auto batch = random_batch(std::span(&tokens, 1), 37, 5);
    const auto together = losses_of(model, batch, threads, lanes);
    CHECK(together[0].sum != together[1].sum);
    for (std::size_t lane = 0; lane != 2; ++lane) {
      auto moved = moved_to_lane(model, lanes, lane);
      CHECK(losses_of(moved, batch, threads)[0].sum == together[lane].sum);
      moved.deploy();
      CHECK(losses_of(moved, batch, threads)[0].sum == together[lane].sum);
    }
  }
}

TEST_CASE_TEMPLATE("a deployed model has the trained step sizes in its grids, and its codes are what they were",
                   Scheme, w4a4, w3g32) {
  auto plain = packed<Scheme>({.trained = {}}), model = packed<Scheme>(scales);
  shake(model, 0.2f);
  const auto before = logits(model, 19);
  CHECK(before != logits(plain, 19));
  model.deploy();
  CHECK(logits(model, 19) == before);
  model.for_each_parameter([](const parameter& p) { FAIL(p.name); });
  CHECK(model.held_bytes() == plain.held_bytes());
  std::vector<std::vector<std::byte>> codes[2], grids[2];
  for (std::size_t i = 0; i != 2; ++i)
    nn::for_each_stored(i == 0 ? plain : model, [&](const std::string& name, const auto&, auto values) {
      const auto bytes = std::as_bytes(values);
      if (name.ends_with(".codes")) codes[i].emplace_back(bytes.begin(), bytes.end());
      if (name.ends_with(".scales")) grids[i].emplace_back(bytes.begin(), bytes.end());
    });
  CHECK(codes[0] == codes[1]);
  REQUIRE(grids[0].size() == grids[1].size());
  for (std::size_t i = 0; i != grids[0].size(); ++i) CHECK(grids[0][i] != grids[1][i]);
}

TEST_CASE("step sizes that grids share do not train one by one") {
  using shared = scheme<weight<3, group<8>, signed_symmetric, clip::codes, shared_scale<31, 2>>>;
  check_mentions(message_of<value_error>([] { (void)packed<shared>(scales); }), "model.layers.0.self_attn.q_proj",
                 "share");
  using one = scheme<weight<4, per_tensor, asymmetric, clip::codes>>;
  check_mentions(message_of<value_error>([] { (void)packed<one>(scales); }), "share");
}
