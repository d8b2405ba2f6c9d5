// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/responses/attention.hpp>

#include <doctest/doctest.h>
#include <nn/responses/disturbed.hpp>
#include <support/data.hpp>
#include <zoqat/nn/learned_positions.hpp>
#include <zoqat/nn/rope.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

constexpr std::array<std::size_t, 3> lengths{is_slow_build ? 3 : 6, 1, is_slow_build ? 2 : 3};

model_shape grouped_queries(rope_pairing pairing) {
  return {.hidden = 10,
          .intermediate = 7,
          .layers = 1,
          .heads = 6,
          .kv_heads = 2,
          .head_size = 4,
          .vocabulary = 9,
          .positions = 16,
          .rope_theta = 30,
          .rope = pairing};
}

template <class Position, class HeadNorm = nn::no_head_norm>
void check(const model_shape& shape) {
  using layer_type = nn::self_attention<disturbed_linear, Position, HeadNorm>;
  for (const matrix<double>& f : {matrix<double>(), random_metric(shape.hidden)}) {
    disturbed_layer<layer_type> layer(shape, std::make_shared<const Position>(shape), lengths);
    std::uint32_t name = 300;
    layer.layer.for_each_norm([&](nn::rms_norm& norm) {
      nn::for_each_base_tensor(norm, [&](nn::trainable& gains) {
        for (std::size_t j = 0; j != gains.cols(); ++j) gains.values()(0, j) += random_floats(4, name, 0.5f)[j];
        ++name;
      });
    });
    const std::vector<nn::output_metric> answers = layer.answered(f, 100);
    REQUIRE(answers.size() == 4);
    CHECK(answers[0].blocks.size() == shape.heads);
    CHECK(answers[1].blocks.size() == shape.kv_heads);
    CHECK(answers[2].blocks.size() == shape.kv_heads);
    CHECK(answers[3].blocks.size() == (f.empty() ? 0 : 1));
    std::size_t i = 0;
    layer.for_each_linear([&](disturbed_linear& linear) {
      CAPTURE(i);
      CAPTURE(f.empty());
      if (!answers[i].blocks.empty()) {
        const double difference = largest_difference(answers[i], layer.measured(linear, f));
        CHECK(difference >= 0);
        CHECK(difference < 2e-3);
      }
      ++i;
    });
  }
}

}  // namespace

TEST_CASE("attention with rotated queries and keys answers as it does when its outputs are disturbed") {
  check<nn::rope>(grouped_queries(rope_pairing::interleaved));
  check<nn::rope>(grouped_queries(rope_pairing::half_split));
}

TEST_CASE("attention with normed heads answers as it does when its outputs are disturbed") {
  check<nn::rope, nn::rms_norm>(grouped_queries(rope_pairing::half_split));
}

TEST_CASE("attention without rotations answers as it does when its outputs are disturbed") {
  check<nn::learned_positions>(grouped_queries(rope_pairing::interleaved));
}
