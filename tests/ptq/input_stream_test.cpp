// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/input_stream.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/input_recorder.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/llama.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using teacher = nn::llama<quant::full_precision>;
const std::vector<nn::token_batch> corpus{random_batch(std::array<std::size_t, 2>{19, 5}, 37, 1),
                                          random_batch(std::array<std::size_t, 1>{12}, 37, 9)};

}  // namespace

TEST_CASE("each input is fitted on the moments that it has once all before it were fitted") {
  auto model = random_model<teacher>(odd_shape(), 2);
  sequential threads;
  std::vector<std::pair<std::size_t, std::size_t>> blocks;
  std::vector<matrix<double>> moments;
  check_mentions(message_of<value_error>([&] { (ptq::input_stream(model, {}, threads)); }),
                 "calibration text has no token");
  ptq::fit_inputs_in_order(
      model, corpus, threads, [&](std::size_t block, std::size_t of) { blocks.emplace_back(block, of); },
      [&](auto&& input, matrix<double> m) {
        moments.push_back(std::move(m));
        for (auto* layer : input.layers)  // a large change, so that later inputs are others than before
          for (float& x : layer->weight().values().flat()) x = std::round(2 * x) / 2;
      });
  CHECK(blocks == std::vector<std::pair<std::size_t, std::size_t>>{{0, 2}, {1, 2}});
  REQUIRE(moments.size() == 8);
  const auto wanted = [](const std::vector<matrix<float>>& seen, std::size_t index, std::size_t i, std::size_t j) {
    double sum = 0, rows = 0;
    for (std::size_t pass = index; pass < seen.size(); pass += 8)
      for (std::size_t r = 0; r != seen[pass].rows(); ++r, ++rows)
        sum += double{seen[pass](r, i)} * double{seen[pass](r, j)};
    return sum / rows;
  };
  const auto fitted = inputs_of_layers(model, corpus);
  auto untouched = random_model<teacher>(odd_shape(), 2);
  const auto before = inputs_of_layers(untouched, corpus);
  double moved = 0;
  for (std::size_t index = 0; index != 8; ++index)
    for (std::size_t i = 0; i != moments[index].rows(); ++i) {
      const std::size_t j = i * 5 % moments[index].rows();
      CHECK(moments[index](i, j) == doctest::Approx(wanted(fitted, index, i, j)).epsilon(1e-4));
      moved += std::abs(wanted(fitted, index, i, j) - wanted(before, index, i, j));
    }
  CHECK(moved > 1);
}

TEST_CASE("the stream goes on where a pass through its block ends, whether its traces are kept or not") {
  auto model = random_model<teacher>(odd_shape(), 2);
  sequential threads;
  ptq::input_stream<teacher, sequential> kept(model, corpus, threads), again(model, corpus, threads);
  std::vector<ptq::detail::block_trace> traces;
  for (std::size_t i = 0; i != corpus.size(); ++i) traces.push_back(kept.trace(i));
  const matrix<float> behind = traces[1].streams.back();
  kept.advance(traces);
  again.advance();
  CHECK(std::ranges::equal(kept.stream(1).flat(), behind.flat()));
  CHECK(std::ranges::equal(again.stream(1).flat(), behind.flat()));
  CHECK(&kept.block() == &model.blocks()[1]);
}

TEST_CASE("weights see an input smoothed, on its grid, and with what the shift comes back as") {
  using shifted = quant::scheme<quant::weight<4, quant::per_channel, quant::asymmetric, quant::clip::codes>,
                                quant::activation<3>, quant::shift>;
  auto model = random_model<nn::llama<shifted>>(odd_shape(), 2);
  sequential threads;
  nn::smoothing* smoothing = nullptr;
  model.for_each_shared_input([&](auto&& input) {
    if (!smoothing) smoothing = input.smoothing;
  });
  REQUIRE(smoothing->shifts());
  std::ranges::copy(random_floats(21, 5), smoothing->log_scale().values().data());
  std::ranges::copy(random_floats(21, 6, 0.2f), smoothing->shift().values().data());
  ptq::input_stream<nn::llama<shifted>, sequential> stream(model, corpus, threads);
  const matrix<float> x = stream.trace(0).inputs[0], seen = stream.effective_input(x, 0, *smoothing);
  REQUIRE(seen.rows() == 24);
  for (std::size_t r = 0; r != seen.rows(); ++r) {
    std::vector<double> smoothed(21), back(21);
    for (std::size_t j = 0; j != 21; ++j) {
      const double s = std::exp(double{smoothing->log_scale().values()(0, j)});
      back[j] = double{smoothing->shift().values()(0, j)} / s;
      smoothed[j] = double{x(r, j)} / s - back[j];
    }
    const double low = std::min(0.0, *std::ranges::min_element(smoothed));
    const double step = (std::max(0.0, *std::ranges::max_element(smoothed)) - low) / 7;
    for (std::size_t j = 0; j != 21; ++j) {
      const double got = double{seen(r, j)} - back[j];
      CHECK(std::abs(got - smoothed[j]) <= 0.5001 * step);
      CHECK(std::abs(got / step - std::nearbyint(got / step)) < 1e-3);  // on the grid
    }
  }
}

TEST_CASE("inputs that are out of hand are refused by the layer that reads them") {
  auto model = random_model<teacher>(odd_shape(), 2);
  sequential threads;
  model.visit(nn::layer_visitor{[](nn::trainable& t, const nn::tensor_use&) {
                                  if (t.name() == "model.layers.1.input_layernorm.weight")
                                    t.values()(0, 3) = 1e30f;  // whose square is infinite
                                },
                                [](auto&, auto&) {}});
  std::size_t fitted = 0;
  check_mentions(message_of<value_error>([&] {
                   ptq::fit_inputs_in_order(
                       model, corpus, threads, [](std::size_t, std::size_t) {}, [&](auto&&, auto&&) { ++fitted; });
                 }),
                 "channel 3", "model.layers.1.self_attn.q_proj", "inf");
  CHECK(fitted == 4);
}
