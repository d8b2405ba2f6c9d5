// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/mlp.hpp>

#include <doctest/doctest.h>
#include <support/random_model.hpp>
#include <zoqat/nn/linear.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

constexpr std::size_t tokens = 34, hidden = 5, wide = 18;

double activate(double x, const nn::silu&) { return x / (1 + std::exp(-x)); }
double activate(double x, const nn::relu&) { return std::max(x, 0.0); }
double activate(double x, const nn::gelu_erf&) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }
double activate(double x, const nn::gelu_tanh&) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

/// A stream of tens after the layer has seen x [tokens, hidden].
template <class Mlp>
matrix<float> added_to_tens(Mlp& mlp, const matrix<float>& x) {
  nn::token_batch batch;
  batch.add(std::vector<nn::token>(x.rows()));
  nn::workspace work;
  sequential threads;
  matrix<float> stream(x.rows(), x.cols(), 10.0f);
  mlp.forward(nn::forward_pass<simd::default_kernels, inference_lane, sequential>{at_masters, threads, batch, work},
              0, x, stream);
  return stream;
}

}  // namespace

TEST_CASE_TEMPLATE("down(act(gate(x)) * up(x)) is added to the stream", Activation, nn::silu, nn::relu, nn::gelu_tanh,
                   nn::gelu_erf) {
  nn::parameter_ids ids;
  nn::gated_mlp<nn::linear, Activation> mlp(ids, "b.", {.hidden = hidden, .intermediate = wide}, 0);
  std::vector<matrix<float>> weights;
  mlp.for_each_shared_input([&](auto&& input) {
    for (auto* layer : input.layers) {
      std::ranges::copy(random_floats(layer->weight().values().size(), layer->weight().view().id),
                        layer->weight().values().data());
      weights.push_back(layer->weight().values());
    }
  });
  REQUIRE(weights.size() == 3);  // gate, up, down

  const auto x = random_matrix(tokens, hidden, 9, 2);
  const matrix<float> stream = added_to_tens(mlp, x);
  for (std::size_t i = 0; i != tokens; ++i)
    for (std::size_t h = 0; h != hidden; ++h) {
      double expected = 10;
      for (std::size_t w = 0; w != wide; ++w) {
        double gate = 0, up = 0;
        for (std::size_t k = 0; k != hidden; ++k) {
          gate += double{weights[0](w, k)} * double{x(i, k)};
          up += double{weights[1](w, k)} * double{x(i, k)};
        }
        expected += double{weights[2](h, w)} * activate(gate, Activation{}) * up;
      }
      CHECK(double{stream(i, h)} == doctest::Approx(expected).epsilon(1e-5));
    }
}

TEST_CASE_TEMPLATE("fc2(act(fc1(x))) with biases is added to the stream", Activation, nn::silu, nn::relu,
                   nn::gelu_tanh, nn::gelu_erf) {
  nn::parameter_ids ids;
  nn::mlp<nn::linear, Activation> mlp(ids, "b.", {.hidden = hidden, .intermediate = wide, .biases = true}, 0);
  std::vector<matrix<float>> tensors;
  mlp.for_each_shared_input([&](auto&& input) {
    for (auto* layer : input.layers)
      nn::for_each_base_tensor(*layer, [&](nn::trainable& t) {
        std::ranges::copy(random_floats(t.values().size(), t.view().id), t.values().data());
        tensors.push_back(t.values());
      });
  });
  REQUIRE(tensors.size() == 4);  // fc1, its bias, fc2, its bias

  const auto x = random_matrix(tokens, hidden, 9, 2);
  const matrix<float> stream = added_to_tens(mlp, x);
  for (std::size_t i = 0; i != tokens; ++i)
    for (std::size_t h = 0; h != hidden; ++h) {
      double expected = 10 + double{tensors[3](0, h)};
      for (std::size_t w = 0; w != wide; ++w) {
        double in = double{tensors[1](0, w)};
        for (std::size_t k = 0; k != hidden; ++k) in += double{tensors[0](w, k)} * double{x(i, k)};
        expected += double{tensors[2](h, w)} * activate(in, Activation{});
      }
      CHECK(double{stream(i, h)} == doctest::Approx(expected).epsilon(1e-5));
    }
}

TEST_CASE("the input of gate and up is smoothed where activations are quantized, that of down never") {
  using w4a4 = quant::scheme<quant::weight<4>, quant::activation<4>>;
  nn::parameter_ids ids;
  const model_shape shape{.hidden = hidden, .intermediate = wide};
  nn::gated_mlp<nn::smoothed_linear<w4a4>, nn::silu> quantized(ids, "b.", shape, 0);
  nn::gated_mlp<nn::linear, nn::silu> plain(ids, "b.", shape, 0);
  std::vector<bool> active, writes;
  const auto look = [&](auto&& input) {
    active.push_back(input.smoothing->active());
    writes.push_back(input.writes_stream);
  };
  quantized.for_each_shared_input(look);
  plain.for_each_shared_input(look);
  CHECK(active == std::vector<bool>{true, false, false, false});
  CHECK(writes == std::vector<bool>{false, true, false, true});
}

TEST_CASE("so is that of fc1, and that of fc2 never") {
  nn::parameter_ids ids;
  nn::mlp<nn::smoothed_linear<quant::scheme<quant::weight<4>, quant::activation<4>>>, nn::relu> mlp(
      ids, "b.", {.hidden = hidden, .intermediate = wide}, 0);
  std::vector<bool> active;
  mlp.for_each_shared_input([&](auto&& input) { active.push_back(input.smoothing->active()); });
  CHECK(active == std::vector<bool>{true, false});
}
