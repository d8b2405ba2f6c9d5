// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/reverse/recorded_loss.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/nn/opt.hpp>
#include <zoqat/nn/qwen3.hpp>
#include <zoqat/ptq/weight_units.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// The gradient of every composition against finite differences of its own loss in double, tensor by tensor, along a
// direction that moves all of a tensor. Under a scheme the loss is the one with all roundings held, and its value is
// the model's own.

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;
using namespace zoqat::lab::reverse;

namespace {

using full = full_precision;
/// Everything is rounded, and inputs are shifted.
using w4a4kv4shift = scheme<weight<4, per_channel, asymmetric, clip::codes>, activation<4>, attention<4>, shift>;
/// Learned factors of steps at all four levels, groups of which the last is short.
using w2g8 = scheme<weight<2, group<8>, asymmetric, clip::codes>>;
/// One grid for a matrix, its range clipped and zero in its middle; inputs in groups.
using w8a8 = scheme<weight<8, per_tensor, symmetric, clip::range>, activation<8, group<16>, symmetric>>;
/// Minima, which groups share what they are multiples of, as Q2_K has them.
using q2_k8 =
    scheme<weight<2, group<8>, with_minimum, clip::codes, shared_scale<15, 3>>, activation<8, group<24>, symmetric>>;

nn::token_batch sequences() {
  constexpr std::array<std::size_t, 3> lengths{6, 1, 4};
  return random_batch(lengths, 37, 10);
}
model_shape opt_shape() {
  return {.hidden = 18,
          .intermediate = 23,
          .layers = 2,
          .heads = 3,
          .kv_heads = 3,
          .head_size = 6,
          .vocabulary = 37,
          .positions = 16,
          .norm_epsilon = 1e-5f,
          .biases = true};
}

/// A model away from where anything is neutral: smoothing, clipping, steps and norms have moved.
template <class Model>
Model moved_model(const model_shape& shape) {
  auto model = random_model<Model>(shape, 3);
  model.for_each_shared_input([](auto&& input) {
    for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
  });
  shake(model, 0.07f);
  ptq::set_weight_units(model);
  return model;
}

/// Moves each tensor by `step` there and back along random signs, and compares the change of `loss()` with what the
/// gradient says of it, to `tolerance` of the root of the sum of its squared parts and
/// the `rounding` of losses. Returns the names of the groups.
template <class Model, class Loss, class Filter = bool (*)(const parameter&)>
std::set<std::string_view> check_differences(
    Model& model, const std::vector<double>& gradient, float step, double tolerance, double rounding, Loss&& loss,
    Filter&& moves = [](const parameter&) { return true; }) {
  std::set<std::string_view> groups;
  std::vector<parameter> tensors;
  model.for_each_parameter([&](const parameter& p) { tensors.push_back(p); });
  std::size_t at = 0;
  for (const parameter& p : tensors) {
    if (!moves(p)) {
      at += p.size();
      continue;
    }
    const std::vector<float> start(p.values.begin(), p.values.end()), way = random_floats(start.size(), 900 + p.id);
    std::array<std::vector<float>, 2> points{start, start};
    std::array<double, 2> losses{};
    for (std::size_t side = 0; side != 2; ++side) {
      for (std::size_t i = 0; i != start.size(); ++i) points[side][i] += (side == 0 ? step : -step) * way[i];
      std::ranges::copy(points[side], p.values.begin());
      losses[side] = loss();
    }
    std::ranges::copy(start, p.values.begin());
    double expected = 0, squares = 0;
    for (std::size_t i = 0; i != start.size(); ++i, ++at) {
      const double unit = p.unit.empty() ? 1.0 : double{p.unit[i / (start.size() / p.unit.size())]};
      const double part = gradient[at] / unit * (double{points[0][i]} - double{points[1][i]});
      expected += part, squares += part * part;
    }
    const double error = std::abs(losses[0] - losses[1] - expected);
    CHECK_MESSAGE(squares > 0, p.name);
    CHECK_MESSAGE(error < tolerance * std::sqrt(squares) + rounding, p.name, ": ", losses[0] - losses[1], " where ",
                  expected, " is expected");
    groups.insert(parameter_group_names[static_cast<std::size_t>(p.group)]);
  }
  CHECK(at == gradient.size());
  return groups;
}

template <class Model>
void check(const model_shape& shape, const std::set<std::string_view>& groups) {
  auto model = moved_model<Model>(shape);
  const nn::token_batch batch = sequences();
  roundings rounded;
  recorded_loss recorded(model, batch, text_loss(batch), rounded);
  sequential here;
  CHECK(recorded.value() == doctest::Approx(losses_of(model, batch, here)[0].mean()).epsilon(2e-6));
  CHECK(recorded.drift() < 2e-5);
  const auto of_held = [&] {
    rounded.hold();
    return recorded_loss(model, batch, text_loss(batch), rounded).value();
  };
  CHECK(check_differences(model, recorded.gradient(), 1e-4f, 1e-4, 1e-14, of_held) == groups);
}

}  // namespace

TEST_CASE("LLaMA with grouped queries in full precision") {
  check<nn::llama<full>>(odd_shape(rope_pairing::half_split, false), {"weight", "norm", "norm_scale"});
}
TEST_CASE("OPT in full precision, with biases, learned positions and GELU") {
  check<nn::opt<full, nn::gelu_tanh>>(opt_shape(), {"weight", "norm", "norm_scale"});
}
TEST_CASE("weights, inputs, queries, keys and values rounded, inputs smoothed and shifted") {
  check<nn::llama<w4a4kv4shift>>(odd_shape(), {"weight", "smoothing", "score_scale", "clipping", "step_tensor",
                                               "step_row", "norm", "norm_scale"});
}
TEST_CASE("Qwen3, whose heads are normed, weights rounded in groups") {
  check<nn::qwen3<w2g8>>(odd_shape(rope_pairing::interleaved), {"weight", "clipping", "step_tensor", "step_row",
                                                                "step_column", "step_group", "norm", "norm_scale"});
}
TEST_CASE("OPT with one grid for a matrix, a clipped range, and inputs in groups") {
  check<nn::opt<w8a8>>(opt_shape(), {"weight", "clipping", "norm", "norm_scale"});
}

TEST_CASE("LLaMA with weights on grids that have minima") {
  check<nn::llama<q2_k8>>(odd_shape(), {"weight", "clipping", "step_tensor", "step_row", "step_column", "step_group",
                                        "norm", "norm_scale"});
}

TEST_CASE("where only weights are rounded, the gradient by steps and norms is that of the model's own loss") {
  auto model = moved_model<nn::qwen3<w2g8>>(odd_shape(rope_pairing::interleaved));
  const nn::token_batch batch = sequences();
  roundings rounded;
  const std::vector<double> gradient = recorded_loss(model, batch, text_loss(batch), rounded).gradient();
  sequential here;
  const auto moves_no_code = [](const parameter& p) {
    return p.group != parameter_group::weight && p.group != parameter_group::clipping;
  };
  check_differences(
      model, gradient, 5e-3f, 0.02, 1e-6, [&] { return losses_of(model, batch, here)[0].mean(); }, moves_no_code);
}

TEST_CASE("distillation is the KL divergence from a teacher, and has no gradient at the teacher") {
  auto model = moved_model<nn::llama<full>>(odd_shape()), teacher = model;
  const nn::token_batch batch = sequences();
  sequential here;
  nn::workspace work;
  const nn::forward_pass<simd::default_kernels, inference_lane, sequential> pass{at_masters, here, batch, work};
  const nn::teacher_scores scores = nn::teacher_probabilities(teacher, pass);
  roundings none;
  for (const double g : recorded_loss(model, batch, teacher_loss(batch, scores), none).gradient())
    CHECK(std::abs(g) < 1e-6);
  shake(model, 0.02f, 800);
  recorded_loss recorded(model, batch, teacher_loss(batch, scores), none);
  nn::token_loss expected;
  nn::distillation(model, pass, scores, std::span(&expected, 1));
  CHECK(expected.mean() > 1e-3);
  CHECK(recorded.value() == doctest::Approx(expected.mean()).epsilon(1e-3));
  const auto loss = [&] { return recorded_loss(model, batch, teacher_loss(batch, scores), none).value(); };
  check_differences(model, recorded.gradient(), 1e-4f, 1e-4, 1e-14, loss);
}

TEST_CASE("outputs of layers have derivatives too: a bias collects them") {
  auto model = moved_model<nn::opt<full, nn::gelu_tanh>>(opt_shape());
  const nn::token_batch batch = sequences();
  roundings none;
  recorded_loss recorded(model, batch, text_loss(batch), none);
  const std::string name = "model.layers.1.mlp.fc1";
  const matrix<double>& by_output = recorded.output_gradient(name);
  const std::vector<double> gradient = recorded.gradient();
  std::size_t at = 0;
  model.for_each_parameter([&](const parameter& p) {
    for (std::size_t i = 0; p.name == name + ".bias" && i != p.size(); ++i) {
      double sum = 0;
      for (std::size_t t = 0; t != by_output.rows(); ++t) sum += by_output(t, i);
      CHECK(sum == doctest::Approx(gradient[at + i]).epsilon(1e-10));
    }
    at += p.size();
  });
  check_mentions(message_of<value_error>([&] { static_cast<void>(recorded.output_gradient("model.layers.9")); }),
                 "'model.layers.9'");
}

TEST_CASE("activations are those of the kernels, and their slopes those of differences") {
  const auto check_activation = []<class Activation>(Activation a) {
    for (const double x : {-3.1, -0.4, 0.3, 2.7}) {
      const auto value = [&](double at) { return value_and_slope(a, at).first; };
      std::array<float, 1> exact{static_cast<float>(x)};
      Activation::template apply<simd::default_kernels>(exact.data(), 1);
      CHECK(value(x) == doctest::Approx(double{exact[0]}).epsilon(1e-5));
      CHECK(value_and_slope(a, x).second == doctest::Approx((value(x + 1e-5) - value(x - 1e-5)) / 2e-5));
    }
  };
  check_activation(nn::silu());
  check_activation(nn::relu());
  check_activation(nn::gelu_tanh());
  check_activation(nn::gelu_erf());
}
