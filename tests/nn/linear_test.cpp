// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/linear.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/failing_new.hpp>
#include <support/random_model.hpp>
#include <zoqat/simd/reference.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

// Widths of weights from 2 to 8 bits, every granularity, symmetry, clipping policy, scale format, and inputs of 4 to
// 8 bits or in floats. Groups are ragged: 37 inputs.
using schemes_in_floats = std::tuple<
    full_precision, scheme<weight<4, group<32>, signed_symmetric, clip::codes, fp16_scale>>,
    scheme<weight<3, group<8>, signed_symmetric, clip::codes, shared_scale<31, 2>>>,
    scheme<weight<4, group<32>, with_minimum, clip::codes, fp16_scale>>,
    scheme<weight<2, group<5>, asymmetric, clip::codes>>, scheme<weight<3, group<32>, asymmetric, clip::codes>>,
    scheme<weight<4, per_tensor, asymmetric, clip::codes>>, scheme<weight<7, per_channel, symmetric, clip::range>>>;
using w6g32a6 = scheme<weight<6, group<32>, asymmetric, clip::range>, activation<6, per_token, symmetric>>;
using schemes_in_integers =
    std::tuple<scheme<weight<2, per_channel, asymmetric, clip::codes>, activation<4>>,
               scheme<weight<3, group<8>, symmetric, clip::codes, fp16_scale>, activation<8>>,
               scheme<weight<5, per_tensor, symmetric>, activation<6>>, w6g32a6,
               scheme<weight<8, per_tensor, asymmetric, clip::range>, activation<8, per_token, asymmetric>>>;
// Inputs in groups: coarser than those of weights, finer, and with sums.
using schemes_in_groups = std::tuple<
    scheme<weight<6, group<4>, signed_symmetric, clip::codes, shared_scale<31, 2>>,
           activation<8, group<16>, symmetric>>,
    scheme<weight<8, group<16>, signed_symmetric, clip::codes, fp16_scale>,
           activation<8, group<8>, symmetric, fp16_scale>>,
    scheme<weight<5, group<16>, with_minimum, clip::codes, fp16_scale>,
           activation<8, group<8>, symmetric, fp16_scale_and_sum>>,
    scheme<weight<2, group<4>, with_minimum, clip::codes, shared_scale<15, 3>>, activation<8, group<16>, symmetric>>>;

constexpr std::size_t rows = 5, in = 37, out = 19;

using matrices = std::vector<std::vector<double>>;

/// A layer with a bias whose input is smoothed and shifted, all of it random.
template <class Scheme>
struct random_layer {
  using layer_type = nn::smoothed_linear<Scheme>;

  nn::parameter_ids ids;
  nn::smoothing smooth{ids, "input", in, true};
  layer_type layer{ids, "layer", out, in, true};
  matrix<float> x = random_matrix(rows, in, 1, 2);

  random_layer() {
    std::ranges::copy(random_floats(out * in, 2), layer.weight().values().data());
    nn::for_each_trainable(layer, [](nn::trainable& t) {
      if (t.name() == "layer.bias") std::ranges::copy(random_floats(out, 3), t.values().data());
    });
    std::ranges::copy(random_floats(in, 4, 0.7f), smooth.log_scale().values().data());
    std::ranges::copy(random_floats(in, 5, 0.5f), smooth.shift().values().data());
    layer.init_clipping(smooth);
  }

  template <lane_reader Lanes = inference_lane, executor Executor = sequential>
  matrix<float> forward(const Lanes& lanes = at_masters, matrix<float> to = {}, Executor threads = {},
                        std::size_t tokens = rows) const {
    nn::token_batch batch;
    batch.add(std::vector<nn::token>(tokens));
    nn::workspace work;
    const bool accumulate = !to.empty();
    if (!accumulate) to.reshape(lanes.count() * tokens, out);
    matrix<float> inputs(lanes.count() * tokens, in);
    for (std::size_t row = 0; row != inputs.rows(); ++row)
      std::ranges::copy(x.row(row % tokens), inputs.row(row).begin());
    const nn::forward_pass<simd::default_kernels, Lanes, Executor> pass{lanes, threads, batch, work};
    layer.forward(pass, nn::linear_input<Scheme>(pass, inputs, smooth), to, accumulate);
    return to;
  }
  std::vector<float> trainable_values(std::string_view name) {
    std::vector<float> values;
    const auto collect = [&](nn::trainable& t) {
      if (t.name() == name) values.assign(t.values().flat().begin(), t.values().flat().end());
    };
    nn::for_each_trainable(layer, collect);
    nn::for_each_trainable(smooth, collect);
    return values;
  }
};

/// Replaces inputs that share a grid by what their codes stand for; returns what their stored sum is more than the
/// sum of these, if it is stored.
template <class Activation>
double round_inputs(std::span<float> x) {
  using reference = simd::reference;
  std::vector<std::uint8_t> codes(x.size());
  if constexpr (!Activation::grouped) {
    const auto made =
        reference::quantize_row(x.data(), x.size(), Activation::bits, Activation::symmetric, codes.data());
    reference::dequantize(codes.data(), x.size(), made.grid, x.data());
    return 0;
  }
  float greatest = 0;
  for (const float v : x) greatest = std::max(greatest, std::abs(v));
  const float step = greatest / 127, scale = static_cast<float>(typename Activation::scale_format::type(step));
  float sum = 0;
  for (float& v : x) {
    const float code = std::nearbyint(v * (127 / greatest));
    sum += code;
    v = code * scale;
  }
  return Activation::stores_sums ? double{static_cast<float>(fp16(step * sum))} - double{sum} * double{scale} : 0.0;
}

/// What a layer should compute, by dequantized weights and inputs in double, and the size of its terms.
template <class Scheme>
std::pair<matrices, matrices> fake_quantized(random_layer<Scheme>& l) {
  using reference = simd::reference;
  const auto log_scale = l.trainable_values("input.log_scale"), shift = l.trainable_values("input.shift"),
             bias = l.trainable_values("layer.bias");
  matrix<float> inputs = l.x, weights = l.layer.weight().values();
  std::vector<double> biases(bias.begin(), bias.end());
  for (std::size_t k = 0; k != in; ++k) {
    const float s = std::exp(log_scale[k]);
    for (std::size_t m = 0; m != rows; ++m) inputs(m, k) = (inputs(m, k) - shift[k]) * (1.0f / s);
    for (std::size_t j = 0; j != out; ++j) {
      biases[j] += double{shift[k]} * double{weights(j, k)};
      weights(j, k) *= s;
    }
  }
  [[maybe_unused]] matrix<float> minima;  // of each group
  if constexpr (Scheme::quantizes_weights) {
    using part = typename Scheme::weight_type;
    const auto packed = quantize<part, reference>(weights.view(), l.layer.quantizer().clipping().values().flat());
    minima.reshape(out, part::groups(in));
    for (std::size_t j = 0; j != out; ++j)
      for (std::size_t g = 0; g != minima.cols(); ++g) minima(j, g) = packed.grid(j, g).minimum;
    weights = dequantize<part, reference>(packed);
  }
  matrix<double> stored(rows, in,
                        0.0);  // what the stored sum of a group is more than that of its values, at its first
  if constexpr (Scheme::quantizes_activations) {
    using part = typename Scheme::activation_type;
    for (std::size_t m = 0; m != rows; ++m)
      for_each_group<part>(in, [&](std::size_t, std::size_t first, std::size_t count) {
        stored(m, first) = round_inputs<part>({&inputs(m, first), count});
      });
  }
  std::pair result(matrices(rows, biases), matrices(rows, std::vector<double>(out)));
  for (std::size_t m = 0; m != rows; ++m)
    for (std::size_t j = 0; j != out; ++j) {
      result.second[m][j] = std::abs(biases[j]);
      for (std::size_t k = 0; k != in; ++k) {
        const double term = double{inputs(m, k)} * double{weights(j, k)};
        result.first[m][j] += term;
        if constexpr (Scheme::quantizes_activations)
          result.first[m][j] -= stored(m, k) * minima(j, k / Scheme::weight_type::group_size(in));
        result.second[m][j] += std::abs(term);
      }
    }
  return result;
}

void check_close(const matrix<float>& found, const std::pair<matrices, matrices>& expected, double added = 0) {
  double worst = 0;
  for (std::size_t m = 0; m != rows; ++m)
    for (std::size_t j = 0; j != out; ++j)
      worst = std::max(worst, std::abs(double{found(m, j)} - expected.first[m][j] - added) /
                                  (expected.second[m][j] + std::abs(added)));
  CHECK(worst < 40 * 0x1p-24);
}

template <class Scheme>
void check_scheme() {
  random_layer<Scheme> l;
  const auto expected = fake_quantized(l);
  const auto found = l.forward();
  check_close(found, expected);
  check_close(l.forward(at_masters, matrix<float>(rows, out, 3.0f)), expected, 3);

  const auto few = l.forward(at_masters, {}, sequential(), nn::few_tokens);
  for (std::size_t m = 0; m != few.rows(); ++m)
    for (std::size_t j = 0; j != out; ++j)
      CHECK(std::abs(double{few(m, j)} - expected.first[m][j]) < 80 * 0x1p-24 * expected.second[m][j]);

  const std::size_t bytes = l.layer.weight_bytes();
  l.layer.deploy(l.smooth);
  CHECK(l.layer.deployed() == Scheme::quantizes_weights);
  std::size_t stored = 0;
  nn::for_each_stored(l.layer, [&](const auto&, const auto&, auto values) { stored += values.size_bytes(); });
  CHECK(bytes == stored);
  CHECK(l.layer.weight_bytes() == bytes);
  CHECK(std::ranges::equal(l.forward().flat(), found.flat()));
  CHECK(std::ranges::equal(l.forward(at_masters, {}, sequential(), nn::few_tokens).flat(), few.flat()));
}

template <class Schemes>
void check_all() {
  [&]<class... S>(std::type_identity<std::tuple<S...>>) { (check_scheme<S>(), ...); }(std::type_identity<Schemes>{});
}

}  // namespace

TEST_CASE("a layer with quantized weights equals the dequantized one in double") { check_all<schemes_in_floats>(); }
TEST_CASE("integer products equal the products of dequantized operands in double") {
  check_all<schemes_in_integers>();
}

TEST_CASE("integer products of groups of inputs equal those of dequantized operands, and stored sums meet minima") {
  check_all<schemes_in_groups>();
}

TEST_CASE("smoothing and shift are an identity in full precision") {
  random_layer<full_precision> smoothed, plain;
  plain.smooth = {};
  const auto a = smoothed.forward(), b = plain.forward();
  for (std::size_t i = 0; i != a.size(); ++i) CHECK(a.flat()[i] == doctest::Approx(b.flat()[i]).epsilon(1e-4));
}

TEST_CASE("a clipping parameter reaches its group and no other") {
  random_layer<w6g32a6> l;
  const auto before = l.forward();
  l.layer.quantizer().clipping().values()(0, 0) = -1;
  const auto after = l.forward();
  for (std::size_t m = 0; m != rows; ++m) {
    CHECK(before(m, 0) != after(m, 0));  // row 0, group 0 only
    for (std::size_t j = 1; j != out; ++j) CHECK(before(m, j) == after(m, j));
  }
  check_close(after, fake_quantized(l));
}

TEST_CASE("step gains are factors on the scales and move no code") {
  using part = weight<3, group<10>, asymmetric, clip::codes>;
  random_layer<scheme<part>> l;
  struct captured {
    std::vector<std::uint8_t> codes;
    std::vector<simd::grid> grids;
  };
  const auto capture = [&] {
    captured all;
    l.layer.quantizer().quantize(l.smooth, [&](std::size_t, const std::uint8_t* codes, const simd::grid* grids) {
      all.codes.insert(all.codes.end(), codes, codes + in);
      all.grids.insert(all.grids.end(), grids, grids + l.layer.groups());
    });
    return all;
  };
  const captured before = capture();
  REQUIRE(l.layer.groups() == 4);
  nn::for_each_trainable(l.layer, [](nn::trainable& t) {
    if (t.name().find("log_step") == std::string::npos) return;
    for (std::size_t i = 0; i != t.values().size(); ++i)
      t.values().flat()[i] = 0.01f * static_cast<float>(i % 7 + 1) * (t.name().ends_with("tensor") ? 10.0f : 1.0f);
  });
  const captured after = capture();
  CHECK(before.codes == after.codes);
  for (std::size_t r = 0; r != out; ++r)
    for (std::size_t g = 0; g != 4; ++g) {
      const std::size_t i = r * 4 + g;
      const double gain = 0.1 + 0.01 * static_cast<double>(r % 7 + 1) + 0.01 * static_cast<double>(g + 1) +
                          0.01 * static_cast<double>(i % 7 + 1);
      CHECK(double{after.grids[i].scale} ==
            doctest::Approx(double{before.grids[i].scale} * std::exp(gain)).epsilon(1e-6));
      CHECK(after.grids[i].zero_point == before.grids[i].zero_point);
    }
}

TEST_CASE("a row that is set is found again") {
  using part = weight<4, group<16>, asymmetric, clip::codes, fp16_scale>;
  random_layer<scheme<part>> l;
  matrix<float> scales;
  l.smooth.scales(at_masters, scales);
  std::vector<std::uint8_t> codes(in);
  for (std::size_t k = 0; k != in; ++k) codes[k] = static_cast<std::uint8_t>(5 * k % 16);
  const std::vector<simd::grid> grids{{0.25f, 3}, {0.0078125f, 15}, {1.5f, 0}};
  l.layer.quantizer().set_row(17, codes, grids, scales.flat());
  std::size_t seen = 0;
  l.layer.quantizer().quantize(l.smooth, [&](std::size_t row, const std::uint8_t* found, const simd::grid* where) {
    ++seen;
    if (row != 17) return;
    CHECK(std::equal(codes.begin(), codes.end(), found));
    CHECK(std::equal(grids.begin(), grids.end(), where));
  });
  CHECK(seen == out);
}

TEST_CASE("lanes compute each what one lane computes, bit by bit") {
  random_layer<w6g32a6> l;
  per_group<float> scale = per_group<float>::all(0.02f);
  std::vector<zo::perturbation> points{{{1, 2, 0}, scale}, {}, {{1, 2, 1}, scale}};
  points[1] = -points[0];
  const auto all = l.forward(zo::lanes<zo::gaussian>({points, {}}));
  for (std::size_t lane = 0; lane != points.size(); ++lane) {
    const auto alone = l.forward(zo::lanes<zo::gaussian>({std::span(points).subspan(lane, 1), {}}));
    CHECK(std::ranges::equal(alone.flat(), all.flat().subspan(lane * rows * out, rows * out)));
  }
  CHECK_FALSE(std::ranges::equal(all.flat().first(rows * out), all.flat().subspan(rows * out, rows * out)));
}

TEST_CASE("a layer too deep for exact integer products is refused") {
  nn::parameter_ids ids;
  using w8a8 = scheme<weight<8>, activation<8>>;
  check_mentions(message_of<value_error>([&] { nn::smoothed_linear<w8a8>(ids, "mlp.down", 1, 32769); }), "mlp.down",
                 "32769", "use quant::group");
  nn::smoothed_linear<w8a8>(ids, "mlp.down", 1, 32768);
  nn::smoothed_linear<scheme<weight<8, group<128>>, activation<8>>>(ids, "mlp.down", 1, 32769);
  nn::smoothed_linear<scheme<weight<8>>>(ids, "mlp.down", 1, 32769);
}

TEST_CASE("weights measured in cells have their mean step as unit") {
  random_layer<scheme<weight<4, group<16>, asymmetric, clip::codes>>> l;
  l.layer.set_weight_units(l.smooth);
  REQUIRE(l.layer.weight().unit().size() == out);
  l.layer.quantizer().quantize(l.smooth, [&](std::size_t row, const std::uint8_t*, const simd::grid* grids) {
    const float mean = (grids[0].scale + grids[1].scale + grids[2].scale) / 3;
    CHECK(l.layer.weight().unit()[row] == doctest::Approx(mean).epsilon(1e-5));
  });
}

TEST_CASE("fixed grids change nothing until weights move, whatever their granularity") {
  const auto check = []<class Scheme>(std::type_identity<Scheme>) {
    random_layer<Scheme> l;
    const auto before = l.forward();
    l.layer.quantizer().fix_grids(l.smooth);
    CAPTURE(Scheme::weight_type::whole_tensor);
    CHECK(l.layer.quantizer().grids_fixed());
    CHECK(std::ranges::equal(l.forward().flat(), before.flat()));
  };
  check(std::type_identity<w6g32a6>{});
  check(std::type_identity<scheme<weight<5, per_tensor, symmetric>, activation<6>>>{});
}

TEST_CASE_TEMPLATE("a layer is packed as a whole or not at all, wherever memory runs out", Scheme, w6g32a6,
                   scheme<weight<2, group<5>, asymmetric, clip::codes>>) {
  random_layer<Scheme> whole, l;
  whole.layer.deploy(whole.smooth);
  std::size_t in_part = 0;
  const std::size_t failures =
      fail_each_allocation([&] { l.layer.deploy(l.smooth); }, [&] { in_part += l.layer.deployed(); });
  CHECK(failures > 3);
  CHECK(in_part == 0);
  REQUIRE(l.layer.deployed());
  CHECK(std::ranges::equal(l.forward().flat(), whole.forward().flat()));
}
