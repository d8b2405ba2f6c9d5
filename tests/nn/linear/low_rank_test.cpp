// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/linear/low_rank.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/zo/log/run_log.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <set>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using w4a4 = quant::scheme<quant::weight<4>, quant::activation<4>>;
using w3g8 = quant::scheme<quant::weight<3, quant::group<8>, quant::asymmetric, quant::clip::codes>>;

const nn::low_rank_plan queries_and_downs{.layers = {"*.q_proj", "*.down_proj"}, .rank = 3, .alpha = 5, .seed = 7};

const nn::token_batch& batch() {
  static const nn::token_batch some = random_batch(std::array<std::size_t, 2>{9, 23}, 37, 3);
  return some;
}
std::vector<float> values(matrix<float> m) { return {m.flat().begin(), m.flat().end()}; }

/// A model whose layers are frozen, smoothed by factors other than 1, with adapters.
template <class Scheme>
nn::llama<Scheme> frozen(const nn::low_rank_plan& plan) {
  auto model = random_model<nn::llama<Scheme>>(odd_shape());
  model.for_each_shared_input([](auto&& input) {
    if (input.smoothing->active()) {
      auto& scales = input.smoothing->log_scale().values();
      std::ranges::copy(random_floats(scales.size(), 77, 0.4f), scales.data());
    }
    for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
  });
  model.store({.trained = {}, .adapters = plan});
  return model;
}

}  // namespace

TEST_CASE_TEMPLATE("an adapter starts as nothing, and is all that trains", Scheme, quant::full_precision, w4a4,
                   w3g8) {
  auto plain = frozen<Scheme>({}), adapted = frozen<Scheme>(queries_and_downs);
  CHECK(values(logits_of(adapted, batch())) == values(logits_of(plain, batch())));
  std::set<std::string> names;
  adapted.for_each_parameter([&](const parameter& p) {
    names.emplace(p.name);
    CHECK(p.group == parameter_group::weight);
    CHECK(p.values.size() == 3 * (p.name.find("lora_A") == p.name.npos
                                      ? (p.name.find("q_proj") == p.name.npos ? 21 : 24)
                                      : (p.name.find("q_proj") == p.name.npos ? 35 : 21)));
  });
  const std::string block = "model.layers.1.";
  CHECK(names.size() == 8);
  for (const char* name : {"self_attn.q_proj.lora_A.weight", "self_attn.q_proj.lora_B.weight",
                           "mlp.down_proj.lora_A.weight", "mlp.down_proj.lora_B.weight"})
    CHECK_MESSAGE(names.contains(block + name), name);
  std::size_t more = 0;
  adapted.for_each_parameter([&](const parameter& p) { more += p.values.size_bytes(); });
  CHECK(adapted.held_bytes() == plain.held_bytes() + more);
  CHECK(adapted.weight_bytes() == plain.weight_bytes() + more);
}

TEST_CASE("A is drawn from the seed, with the variance of one over its inputs, and B is zero") {
  nn::parameter_ids ids, same, other;
  const nn::low_rank_plan plan{.layers = {"*"}, .rank = 16, .seed = 3};
  const nn::low_rank a(ids, "layer", 400, 900, plan), again(same, "layer", 400, 900, plan);
  const nn::low_rank b(other, "layer", 400, 900, {.layers = {"*"}, .rank = 16, .seed = 4});
  const auto drawn = a.down().values().flat();
  double sum = 0, squares = 0;
  for (const float x : drawn) sum += double{x}, squares += double{x} * double{x};
  const auto n = static_cast<double>(drawn.size());
  CHECK(std::abs(sum / n) < 4 / std::sqrt(900 * n));
  CHECK(squares / n * 900 == doctest::Approx(1).epsilon(0.05));
  CHECK(std::ranges::equal(drawn, again.down().values().flat()));
  CHECK_FALSE(std::ranges::equal(drawn, b.down().values().flat()));
  CHECK(std::ranges::all_of(a.up().values().flat(), [](float x) { return x == 0; }));
  CHECK(a.factor() == 1.0f);
}

TEST_CASE_TEMPLATE(
    "beside weights in floats or packed, what is added is (alpha / rank) x A B of the input as it came", Scheme,
    quant::full_precision, w4a4, w3g8) {
  const std::size_t in = 37, out = 19, rank = 4;
  for (const std::size_t rows : {std::size_t{2}, std::size_t{11}})  // few tokens take another product
    for (const bool accumulate : {false, true}) {
      nn::parameter_ids ids;
      nn::smoothed_linear<Scheme> layer(ids, "layer", out, in, true);
      nn::smoothing smooth(ids, "input", in);
      std::ranges::copy(random_floats(in, 2, 0.5f), smooth.log_scale().values().data());
      std::ranges::copy(random_floats(out * in, 3), layer.weight().values().data());
      layer.init_clipping(smooth);
      layer.store(smooth, {.trained = {}});
      nn::token_batch batch;
      batch.add(random_tokens(rows, 5, 1));
      const matrix<float> x = random_matrix(rows, in, 4);
      const auto output = [&] {
        sequential here;
        nn::workspace work;
        const nn::forward_pass<simd::default_kernels, inference_lane, sequential> pass{at_masters, here, batch, work};
        matrix<float> y = random_matrix(rows, out, 5);
        layer.forward(pass, nn::linear_input<Scheme>(pass, x, smooth), y, accumulate);
        return y;
      };
      const matrix<float> before = output();
      layer.adapt(ids, {.layers = {"lay*"}, .rank = rank, .alpha = 6});
      REQUIRE(layer.adapter());
      const nn::low_rank& adapter = *layer.adapter();
      std::ranges::copy(random_floats(out * rank, 6), adapter.up().view().values.begin());
      const matrix<float> after = output();
      double worst = 0, largest = 0;
      for (std::size_t m = 0; m != rows; ++m)
        for (std::size_t j = 0; j != out; ++j) {
          double wanted = double{before(m, j)};
          for (std::size_t r = 0; r != rank; ++r)
            for (std::size_t k = 0; k != in; ++k)
              wanted +=
                  1.5 * double{x(m, k)} * double{adapter.down().values()(r, k)} * double{adapter.up().values()(j, r)};
          worst = std::max(worst, std::abs(wanted - double{after(m, j)}));
          largest = std::max(largest, std::abs(wanted - double{before(m, j)}));
        }
      CHECK(worst < 2e-6);
      CHECK(largest > 0.1);
    }
}

TEST_CASE_TEMPLATE("each lane computes with its own adapter", Scheme, w4a4, w3g8) {
  auto model = frozen<Scheme>(queries_and_downs);
  shake(model, 0.3f);
  const std::array<zo::perturbation, 2> points{zo::perturbation{{1, 2, 3}, per_group<float>::all(0.2f)},
                                               zo::perturbation{{1, 2, 3}, per_group<float>::all(-0.2f)}};
  const zo::lanes<zo::gaussian> lanes({points, {}});
  thread_pool threads(2);
  const auto together = losses_of(model, batch(), threads, lanes);
  for (std::size_t lane = 0; lane != 2; ++lane) {
    auto moved = moved_to_lane(model, lanes, lane);
    sequential here;
    CHECK(losses_of(moved, batch(), here)[0].sum == together[lane].sum);
  }
  CHECK(together[0].sum != together[1].sum);
}

TEST_CASE("adapters can train beside biases, and a deployed model keeps them and trains nothing") {
  model_shape shape = odd_shape();
  shape.biases = true;
  auto model = random_model<nn::llama<w4a4>>(shape);
  model.store({.trained = {}, .biases = true, .adapters = queries_and_downs});
  std::size_t biases = 0, adapters = 0;
  model.for_each_parameter([&](const parameter& p) { (p.name.ends_with(".bias") ? biases : adapters) += 1; });
  CHECK(biases == 2 * 7);
  CHECK(adapters == 8);
  shake(model, 0.2f);
  const auto before = values(logits_of(model, batch()));
  auto changed = model;
  std::size_t of_constants = 0;
  model.for_each_constant([&](std::span<const std::byte> bytes) { of_constants += bytes.size(); });
  model.deploy();
  model.for_each_parameter([](const parameter& p) { FAIL(p.name); });
  CHECK(values(logits_of(model, batch())) == before);
  // What trains is no constant, and all else is.
  std::size_t of_deployed = 0;
  model.for_each_constant([&](std::span<const std::byte> bytes) { of_deployed += bytes.size(); });
  CHECK(of_deployed > of_constants);
  std::size_t i = 0;
  changed.for_each_parameter([&](const parameter& p) {
    if (i++ == 3) p.values[0] += 1;
  });
  changed.deploy();
  CHECK(zo::fingerprint(changed) != zo::fingerprint(model));
}

TEST_CASE("a plan that no adapter fits is an error") {
  const auto refused = [](nn::low_rank_plan plan) {
    auto model = random_model<nn::llama<w4a4>>(odd_shape());
    return message_of<value_error>([&] { model.store({.trained = {}, .adapters = plan}); });
  };
  check_mentions(refused({.layers = {"*.q_projj"}}), "'*.q_projj'", "self_attn.q_proj");
  check_mentions(refused({.layers = {"*.q_proj"}, .rank = 0}), "model.layers.0.self_attn.q_proj", "rank 0",
                 "at most 21");
  check_mentions(refused({.layers = {"*.k_proj"}, .rank = 9}), "rank 9", "at most 8");
  check_mentions(refused({.layers = {"*"}, .rank = 2, .alpha = 0}), "alpha 0");
  check_mentions(refused({.layers = {"*"}, .rank = 2, .alpha = std::numeric_limits<float>::infinity()}), "alpha inf");
  auto model = frozen<w4a4>(queries_and_downs);
  CHECK_NOTHROW(model.store({.trained = {}, .adapters = queries_and_downs}));
  check_mentions(
      message_of<value_error>([&] { model.store({.trained = {}, .adapters = {.layers = {"*.q_proj"}, .rank = 4}}); }),
      "rank 3", "alpha 5", "rank 4");
}
