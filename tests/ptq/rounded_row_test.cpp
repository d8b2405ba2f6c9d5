// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/rounded_row.hpp>

#include <doctest/doctest.h>
#include <support/random_model.hpp>
#include <zoqat/nn/linear.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using w3 =
    quant::scheme<quant::weight<3, quant::group<4>, quant::asymmetric, quant::clip::codes>, quant::activation<8>>;

}  // namespace

TEST_CASE("the nearest code is the one whose value is nearest, halves to the even one, and within the codes") {
  const simd::grid g{0.5f, 2};
  for (int i = -400; i != 400; ++i) {
    const double w = i / 97.0;
    double nearest = 1e9;
    for (std::uint8_t code = 0; code != 8; ++code)
      nearest = std::min(nearest, std::abs(w - ptq::detail::value_of(code, g)));
    CHECK(std::abs(w - ptq::detail::value_of(ptq::detail::nearest_code<w3::weight_type>(w, g), g)) == nearest);
  }
  CHECK(ptq::detail::nearest_code<w3::weight_type>(0.25, g) == 2);
  CHECK(ptq::detail::nearest_code<w3::weight_type>(0.75, g) == 4);
}

TEST_CASE("rows that are set are what the layer quantizes its smoothed weights to") {
  nn::parameter_ids ids;
  nn::smoothed_linear<w3> layer(ids, "layer", 2, 6);
  nn::smoothing smoothing(ids, "input", 6);
  for (std::size_t j = 0; j != 6; ++j) smoothing.log_scale().values()(0, j) = 0.2f * static_cast<float>(j) - 0.5f;
  const auto values = random_floats(12, 1);
  std::ranges::copy(values, layer.weight().values().data());
  const matrix<double> smoothed = ptq::detail::smoothed_weights(layer, smoothing);
  for (std::size_t r = 0; r != 2; ++r)
    for (std::size_t k = 0; k != 6; ++k)
      CHECK(smoothed(r, k) ==
            doctest::Approx(double{values[6 * r + k]} * std::exp(0.2 * static_cast<double>(k) - 0.5)).epsilon(1e-6));

  const std::vector<ptq::rounded_row> rows{{{0, 7, 3, 1, 2, 5}, {{0.25f, 3}, {0.5f, 1}}, 0},
                                           {{6, 6, 0, 2, 7, 0}, {{0.125f, 4}, {0.3f, 0}}, 0}};
  ptq::detail::set_codes(layer, smoothing, rows);
  std::size_t seen = 0;
  layer.quantizer().quantize(smoothing, [&](std::size_t row, const std::uint8_t* codes, const simd::grid* grids) {
    ++seen;
    for (std::size_t k = 0; k != 6; ++k) CHECK(codes[k] == rows[row].codes[k]);
    for (std::size_t g = 0; g != 2; ++g) {
      CHECK(grids[g].scale == doctest::Approx(rows[row].grids[g].scale).epsilon(1e-6));
      CHECK(grids[g].zero_point == rows[row].grids[g].zero_point);
    }
  });
  CHECK(seen == 2);

  // Grids alone leave the masters.
  std::ranges::copy(values, layer.weight().values().data());
  ptq::detail::set_grids(layer, rows);
  CHECK(std::ranges::equal(layer.weight().values().flat(), values));
}
