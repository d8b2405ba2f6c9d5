// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/channel_ranges.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/input_recorder.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/opt.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("a range grows with what it sees") {
  ptq::channel_range range;
  CHECK(range.reach(3) == 0);
  range.add({2, 2});
  CHECK(range.min == 2);
  CHECK(range.max == 2);
  range.add({-1, 4});
  range.add({});
  CHECK(range.min == -1);
  CHECK(range.max == 4);
  CHECK(range.reach(0) == 4);
  CHECK(range.reach(3) == 4);
  CHECK(range.reach(-5) == 9);
}

TEST_CASE("each input has the ranges of its own channels, over all batches") {
  auto model = random_model<nn::opt<quant::full_precision>>({.hidden = 6,
                                                             .intermediate = 9,
                                                             .layers = 2,
                                                             .heads = 2,
                                                             .kv_heads = 2,
                                                             .head_size = 3,
                                                             .vocabulary = 11,
                                                             .positions = 8,
                                                             .biases = true},
                                                            1);
  const std::array<std::size_t, 2> lengths{5, 1};
  const std::vector corpus{random_batch(lengths, 11, 1), random_batch(lengths, 11, 5)};
  sequential threads;
  const std::vector<nn::token_batch> without_tokens(2);
  check_mentions(message_of<value_error>([&] { (void)ptq::input_ranges(model, without_tokens, threads); }),
                 "calibration text has no token");
  const auto ranges = ptq::input_ranges(model, corpus, threads);

  const auto inputs = inputs_of_layers(model, corpus);
  REQUIRE(inputs.size() == 2 * 8);
  for (std::size_t input = 0; input != 8; ++input) {
    const std::size_t channels = inputs[input].cols();
    REQUIRE(ranges.of_input(input).size() == channels);
    for (std::size_t j = 0; j != channels; ++j) {
      std::vector<float> values;
      for (const std::size_t pass : {input, input + 8})
        for (std::size_t row = 0; row != 6; ++row) values.push_back(inputs[pass](row, j));
      CHECK(ranges.of_input(input)[j].min == *std::ranges::min_element(values));
      CHECK(ranges.of_input(input)[j].max == *std::ranges::max_element(values));
    }
  }
}
