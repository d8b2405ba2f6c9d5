// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/responses/mlp.hpp>

#include <doctest/doctest.h>
#include <nn/responses/disturbed.hpp>

#include <array>
#include <cstddef>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

constexpr std::array<std::size_t, 3> lengths{5, 1, 4};
constexpr model_shape sizes{.hidden = 6,
                            .intermediate = 11,
                            .layers = 1,
                            .heads = 2,
                            .kv_heads = 1,
                            .head_size = 3,
                            .vocabulary = 9,
                            .positions = 16,
                            .biases = true};

using silu_mlp = nn::gated_mlp<disturbed_linear, nn::silu>;
using gelu_mlp = nn::mlp<disturbed_linear, nn::gelu_erf>;
using relu_mlp = nn::mlp<disturbed_linear, nn::relu>;

}  // namespace

TEST_CASE_TEMPLATE("an MLP answers as it does when its outputs are disturbed", Layer, silu_mlp, gelu_mlp, relu_mlp) {
  for (const matrix<double>& f : {matrix<double>(), random_metric(sizes.hidden)}) {
    disturbed_layer<Layer> layer(sizes, 0, lengths);
    const std::vector<nn::output_metric> answers = layer.answered(f, 100);
    std::size_t i = 0;
    layer.for_each_linear([&](disturbed_linear& linear) {
      CAPTURE(i);
      CAPTURE(f.empty());
      const bool writes_stream = i + 1 == answers.size();
      if (writes_stream && f.empty()) {
        CHECK(answers[i].blocks.empty());  // the identity
      } else {
        CHECK(answers[i].blocks.size() == 1);
        const double difference = largest_difference(answers[i], layer.measured(linear, f));
        CHECK(difference >= 0);
        CHECK(difference < 2e-3);
      }
      ++i;
    });
    CHECK(i == answers.size());
  }
}

TEST_CASE("blocks of an MLP's metric are those of the whole") {
  disturbed_layer<silu_mlp> layer(sizes, 0, lengths);
  const matrix<double> f = random_metric(sizes.hidden);
  const auto whole = layer.answered(f, 11), parts = layer.answered(f, 4);
  for (std::size_t i = 0; i != whole.size(); ++i) {
    REQUIRE(whole[i].blocks.size() == 1);
    CHECK(parts[i].blocks.size() == (i == 2 ? 2 : 3));  // of 6 and of 11 rows
    const double difference = largest_difference(parts[i], whole[i].blocks[0]);
    CHECK(difference >= 0);
    CHECK(difference < 1e-12);
  }
}
