// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/round_to_nearest.hpp>

#include <doctest/doctest.h>
#include <support/random_model.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/quant/packed_matrix.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

template <class Clipping>
using model_with = nn::llama<scheme<weight<3, group<8>, asymmetric, Clipping>>>;

/// The weights that all codes of a model stand for.
template <class Model>
std::vector<float> dequantized(Model& model) {
  std::vector<float> all;
  model.for_each_shared_input([&](auto&& input) {
    for (auto* layer : input.layers)
      layer->quantizer().quantize(
          *input.smoothing, [&](std::size_t, const std::uint8_t* codes, const simd::grid* grids) {
            std::vector<float> row(layer->in_features());
            dequantize_row<typename Model::scheme::weight_type>({codes, row.size()}, grids, row.data());
            all.insert(all.end(), row.begin(), row.end());
          });
  });
  return all;
}

}  // namespace

TEST_CASE("every clipping policy starts from the range of the weights") {
  auto plain = random_model<model_with<clip::none>>(odd_shape(), 1);
  auto codes = random_model<model_with<clip::codes>>(odd_shape(), 1);
  auto range = random_model<model_with<clip::range>>(odd_shape(), 1);
  const auto expected = dequantized(plain);
  CHECK(dequantized(codes) != expected);
  ptq::round_to_nearest(plain);
  ptq::round_to_nearest(codes);
  ptq::round_to_nearest(range);
  CHECK(dequantized(plain) == expected);

  // The logarithm of a step, and the logit of 0.9999, are not exact. Of codes, few flip.
  for (const auto& found : {dequantized(codes), dequantized(range)}) {
    REQUIRE(found.size() == expected.size());
    std::size_t far = 0;
    for (std::size_t i = 0; i != found.size(); ++i) far += std::abs(found[i] - expected[i]) > 2e-3f;
    CHECK(far <= found.size() / 200);
  }
}
