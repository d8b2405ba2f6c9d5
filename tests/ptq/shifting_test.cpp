// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/shifting.hpp>

#include <doctest/doctest.h>
#include <nn/deployment.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/opt.hpp>
#include <zoqat/ptq/outlier_suppression.hpp>
#include <zoqat/ptq/reconstruct.hpp>
#include <zoqat/ptq/smoothquant.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

/// Smoothed and shifted, but nothing is quantized.
struct smoothed_full_precision : full_precision {
  static constexpr bool smooths_inputs = true;
  static constexpr bool shifts_inputs = true;
};
template <class... Shift>
using w4a4 = scheme<weight<4, per_channel, asymmetric, clip::codes>, activation<4>, Shift...>;

using teacher = nn::opt<full_precision>;
using identity = nn::opt<smoothed_full_precision>;
using shifted = nn::opt<w4a4<shift>>;
using unshifted = nn::opt<w4a4<>>;

model_shape shape(bool biases = true) {
  return {.hidden = 24,
          .intermediate = 35,
          .layers = 2,
          .heads = 3,
          .kv_heads = 3,
          .head_size = 8,
          .vocabulary = 37,
          .positions = 50,
          .biases = biases};
}

constexpr std::array<std::size_t, 3> lengths{30, 1, 12};

/// A model whose norms and values lie to one side of zero, as those of OPT do in a few channels.
teacher one_sided(bool biases = true) {
  auto model = random_model<teacher>(shape(biases), 1);
  nn::for_each_base_tensor(model, [](nn::trainable& t) {
    if (!t.name().ends_with("norm.bias") && !t.name().ends_with("v_proj.bias")) return;
    for (std::size_t j = 0; j < t.cols(); j += 3) t.values()(0, j) += 6;
  });
  return model;
}

struct setup {
  teacher ideal;
  std::vector<nn::token_batch> corpus{random_batch(lengths, 37, 1), random_batch(lengths, 37, 11)};
  nn::token_batch held_out = random_batch(lengths, 37, 900);
  sequential threads;

  explicit setup(bool biases = true) : ideal(one_sided(biases)) {}

  template <class Model>
  Model started() {
    Model model(ideal.shape());
    nn::copy_base_tensors(ideal, model);
    ptq::smoothquant(model, ideal, corpus, 0.5f, threads);
    return model;
  }
  /// Root of the mean squared difference of the logits.
  template <class Model>
  double error(Model& model) {
    const auto wanted = logits_of(ideal, held_out), found = logits_of(model, held_out);
    double squares = 0;
    for (std::size_t i = 0; i != wanted.size(); ++i)
      squares += std::pow(double{found.flat()[i]} - double{wanted.flat()[i]}, 2);
    return std::sqrt(squares / static_cast<double>(wanted.size()));
  }
};

}  // namespace

TEST_CASE("a shift starts in the middle of its channel's range") {
  constexpr float largest = std::numeric_limits<float>::max();
  const std::array<ptq::channel_range, 6> ranges{{{-9, 1}, {5, 5}, {}, {largest / 2, largest}, {-1, 2}, {0, 6}}};
  nn::parameter_ids ids;
  nn::smoothing own(ids, "own", 6, true);
  ptq::init_shift(own, ranges);
  CHECK(std::ranges::equal(own.shift().values().flat(),
                           std::array{-4.0f, 5.0f, 0.0f, largest / 4 + largest / 2, 0.5f, 3.0f}));
  nn::smoothing shared(ids, "shared", 6, 1, 3, true);  // channels 0 1 2 and 3 4 5
  ptq::init_shift(shared, ranges);
  CHECK(std::ranges::equal(shared.shift().values().flat(), std::array{-2.0f, largest / 2 - 0.5f}));
}

TEST_CASE("shifts and scales at all inputs change nothing in full precision") {
  for (const bool biases : {true, false}) {
    setup s(biases);
    auto model = s.started<identity>();
    std::size_t shifts = 0;
    model.for_each_shared_input([&](auto&& input) {
      if (!input.smoothing->shifts()) return;
      ++shifts;
      float largest = 0;
      for (const float x : input.smoothing->shift().values().flat()) largest = std::max(largest, std::abs(x));
      CHECK(largest > 1);
    });
    CHECK(shifts == 2 * 3);  // of queries, keys and values, of the mixed values, and of fc1
    const auto wanted = logits_of(s.ideal, s.held_out), found = logits_of(model, s.held_out);
    float worst = 0;
    for (std::size_t i = 0; i != wanted.size(); ++i)
      worst = std::max(worst, std::abs(found.flat()[i] - wanted.flat()[i]));
    CHECK(worst < 1e-5f);  // of logits up to 10
    // The check can fail: a shift that the bias does not take back.
    nn::for_each_trainable(model, [](nn::trainable& t) {
      if (t.name().ends_with("fc1.bias") || t.name().ends_with("norm.bias")) t.values()(0, 0) += 0.1f;
    });
    CHECK(s.error(model) > 1e-4);
  }
}

TEST_CASE("what Outlier Suppression+ finds under quantization changes nothing in full precision") {
  setup s;
  shifted found(s.ideal.shape());
  nn::copy_base_tensors(s.ideal, found);
  ptq::outlier_suppression(found, s.ideal, s.corpus, s.threads, {.candidates = 20}, [](auto, auto) {});
  identity model(s.ideal.shape());
  nn::copy_base_tensors(s.ideal, model);
  std::vector<nn::smoothing*> from;
  found.for_each_shared_input([&](auto&& input) { from.push_back(input.smoothing); });
  std::size_t index = 0;
  float greatest_scale = 0, greatest_shift = 0;
  model.for_each_shared_input([&](auto&& input) {
    nn::smoothing& by = *from[index++];
    if (!by.active()) return;
    std::ranges::copy(by.log_scale().values().flat(), input.smoothing->log_scale().values().data());
    std::ranges::copy(by.shift().values().flat(), input.smoothing->shift().values().data());
    greatest_scale = std::max(greatest_scale, *std::ranges::max_element(by.log_scale().values().flat()));
    greatest_shift = std::max(greatest_shift, *std::ranges::max_element(by.shift().values().flat()));
  });
  CHECK(greatest_scale > 0.3f);
  CHECK(greatest_shift > 1);
  const auto wanted = logits_of(s.ideal, s.held_out), same = logits_of(model, s.held_out);
  float worst = 0;
  for (std::size_t i = 0; i != wanted.size(); ++i)
    worst = std::max(worst, std::abs(same.flat()[i] - wanted.flat()[i]));
  CHECK(worst < 1e-5f);  // of logits up to 10
  // And it is worth its while: rounding costs less than without.
  auto plain = s.started<unshifted>();
  CHECK(s.error(found) < s.error(plain));
}

TEST_CASE("shifting is worth its while where channels lie to one side of zero") {
  setup s;
  auto with = s.started<shifted>();
  auto without = s.started<unshifted>();
  const double error = s.error(with);
  CAPTURE(error);
  CAPTURE(s.error(without));
  CHECK(error < 0.7 * s.error(without));
}

TEST_CASE("a deployed model computes the same bits, and has folded its shifts into biases") {
  for (const bool biases : {true, false}) {
    setup s(biases);
    auto model = s.started<shifted>();
    shake(model, 0.02f);
    const auto names = check_deployment(model, s.held_out);
    CHECK(names.contains("model.layers.1.self_attn.mixed.shift"));
    for (const char* const name :
         {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.fc1"})
      CHECK(names.contains("model.layers.0." + std::string(name) + ".bias"));
    CHECK(names.contains("model.layers.0.mlp.fc2.bias") == biases);  // nothing is shifted there
  }
}

TEST_CASE("freezing some layers of a shifted input leaves the loss as it was, bit by bit") {
  setup s;
  auto model = s.started<shifted>();
  const auto before = logits_of(model, s.held_out);
  model.store({.fixed_quantization = false});
  CHECK(std::ranges::equal(logits_of(model, s.held_out).flat(), before.flat()));
  model.for_each_parameter([](const parameter& p) { CHECK(p.group != parameter_group::smoothing); });
}

TEST_CASE("reconstruction takes the shift into account") {
  setup s;
  auto model = s.started<shifted>();
  const double before = s.error(model);
  ptq::reconstructor<shifted, teacher, sequential>(model, s.ideal, s.threads)(s.corpus, [](auto, auto) {});
  CAPTURE(before);
  CHECK(s.error(model) < before);
}
