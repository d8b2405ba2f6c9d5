// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/smoothquant.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/input_recorder.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/llama.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using teacher = nn::llama<quant::full_precision>;
using w4a4 =
    quant::scheme<quant::weight<4, quant::per_channel, quant::asymmetric, quant::clip::codes>, quant::activation<4>>;
using student = nn::llama<w4a4>;

}  // namespace

TEST_CASE("s is max|x|^alpha / max|w|^(1 - alpha), over all layers of the input and all channels that share it") {
  nn::parameter_ids ids;
  nn::linear a(ids, "a", 2, 4), b(ids, "b", 1, 4);
  std::ranges::copy(std::array{1.0f, -8.0f, 0.0f, 1.0f, -2.0f, 3.0f, 0.0f, 0.5f}, a.weight().values().data());
  std::ranges::copy(std::array{4.0f, 1.0f, 0.0f, -2.0f}, b.weight().values().data());
  const std::array<ptq::channel_range, 4> ranges{{{-9, 1}, {-1, 2}, {5, 5}, {}}};  // of the last, nothing was seen
  const std::array layers{&a, &b};

  nn::smoothing own(ids, "own", 4);
  ptq::init_smoothing(own, ranges, layers, 0.75f);
  const auto expected = [](double x, double w) { return 0.75 * std::log(x) - 0.25 * std::log(w); };
  const std::array wanted{expected(9, 4), expected(2, 8), expected(5, 1e-5), expected(1e-5, 2)};
  for (std::size_t j = 0; j != 4; ++j)
    CHECK(double{own.log_scale().values()(0, j)} == doctest::Approx(wanted[j]).epsilon(1e-5));

  nn::smoothing shared(ids, "shared", 4, 1, 2);  // channels 0 1 and 2 3
  ptq::init_smoothing(shared, ranges, layers, 0.75f);
  REQUIRE(shared.log_scale().cols() == 2);
  CHECK(double{shared.log_scale().values()(0, 0)} == doctest::Approx(expected(9, 8)).epsilon(1e-5));
  CHECK(double{shared.log_scale().values()(0, 1)} == doctest::Approx(expected(5, 2)).epsilon(1e-5));

  // A shift is taken off first: -9 to 1 reaches 5 to either side of -4.
  nn::smoothing shifted(ids, "shifted", 4, true);
  std::ranges::copy(std::array{-4.0f, 0.0f, 5.0f, 7.0f}, shifted.shift().values().data());
  ptq::init_smoothing(shifted, ranges, layers, 0.75f);
  const std::array left{expected(5, 4), expected(2, 8), expected(1e-5, 1e-5), expected(1e-5, 2)};
  for (std::size_t j = 0; j != 4; ++j)
    CHECK(double{shifted.log_scale().values()(0, j)} == doctest::Approx(left[j]).epsilon(1e-5));
}

TEST_CASE("a whole model is smoothed where norms feed linear layers, by the teacher's inputs") {
  auto ideal = random_model<teacher>(odd_shape(), 1);
  student model(ideal.shape());
  nn::copy_base_tensors(ideal, model);
  const std::array<std::size_t, 2> lengths{9, 5};
  const std::vector corpus{random_batch(lengths, 37, 1), random_batch(lengths, 37, 3)};
  sequential threads;
  const auto with = [&](std::span<const nn::token_batch> text, float alpha) {
    return message_of<value_error>([&] { ptq::smoothquant(model, ideal, text, alpha, threads); });
  };
  check_mentions(with({}, 0.5f), "no token");
  check_mentions(with(corpus, 1.5f), "alpha is 1.5");
  check_mentions(with(corpus, std::numeric_limits<float>::quiet_NaN()), "alpha is nan");
  ptq::smoothquant(model, ideal, corpus, 0.5f, threads);

  const auto inputs = inputs_of_layers(ideal, corpus);
  REQUIRE(inputs.size() == 2 * 2 * 4);
  std::size_t index = 0, smoothed = 0;
  model.for_each_shared_input([&](auto&& input) {
    if (input.writes_stream) {
      if (input.smoothing->active())
        for (const float x : input.smoothing->log_scale().values().flat()) CHECK(x == 0);
    } else {
      ++smoothed;
      for (std::size_t j = 0; j != 21; ++j) {
        double x = 1e-5, w = 1e-5;
        for (const std::size_t pass : {index, index + 8})
          for (std::size_t row = 0; row != 14; ++row) x = std::max(x, std::abs(double{inputs[pass](row, j)}));
        for (const auto* layer : input.layers)
          for (std::size_t row = 0; row != layer->out_features(); ++row)
            w = std::max(w, std::abs(double{layer->weight().values()(row, j)}));
        CHECK(double{input.smoothing->log_scale().values()(0, j)} ==
              doctest::Approx(std::log(x / w) / 2).epsilon(1e-4));
      }
    }
    ++index;
  });
  CHECK(smoothed == 2 * 2);

  // The grids fit the smoothed weights: each code is within half a step.
  model.for_each_shared_input([&](auto&& input) {
    matrix<float> s;
    input.smoothing->scales(at_masters, s);
    for (auto* layer : input.layers)
      layer->quantizer().quantize(
          *input.smoothing, [&](std::size_t row, const std::uint8_t* codes, const simd::grid* grids) {
            for (std::size_t k = 0; k != layer->in_features(); ++k) {
              const float w = layer->weight().values()(row, k) * (s.empty() ? 1.0f : s(0, k));
              const float stands_for = grids[0].scale * static_cast<float>(codes[k] - grids[0].zero_point);
              CHECK(std::abs(w - stands_for) <= 0.501f * grids[0].scale);
            }
          });
  });
}
