// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/linear/linear_input.hpp>

#include <doctest/doctest.h>
#include <support/random_model.hpp>
#include <zoqat/simd/reference.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <type_traits>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

constexpr std::size_t tokens = 35, in = 21;  // more than a block of rows

template <class Lanes>
auto pass_over(const Lanes& lanes, const nn::token_batch& batch, nn::workspace& work, sequential& threads) {
  return nn::forward_pass<simd::default_kernels, Lanes, sequential>{lanes, threads, batch, work};
}

struct fixture {
  nn::token_batch batch;
  nn::workspace work;
  sequential threads;
  nn::parameter_ids ids;
  matrix<float> x = random_matrix(tokens, in, 1, 3);
  fixture() { batch.add(std::vector<nn::token>(tokens)); }
};

}  // namespace

TEST_CASE("without smoothing and quantization the input is passed on as it is") {
  fixture f;
  const nn::linear_input<full_precision> input(pass_over(at_masters, f.batch, f.work, f.threads), f.x, {});
  CHECK(input.values.data() == f.x.data());
  CHECK(input.scales.empty());
  CHECK(input.shifts.empty());
}

TEST_CASE("each lane is smoothed by its own s and shift") {
  fixture f;
  nn::smoothing smooth(f.ids, "input", in, true);
  std::ranges::copy(random_floats(in, 2), smooth.log_scale().values().data());
  std::ranges::copy(random_floats(in, 3), smooth.shift().values().data());
  per_group<float> scale = per_group<float>::all(0.5f);
  std::array<zo::perturbation, 2> points{{{{7, 0, 0}, scale}, {}}};
  points[1] = -points[0];
  const zo::lanes<zo::rademacher> lanes({points, {}});
  matrix<float> both(2 * tokens, in);
  for (std::size_t row = 0; row != both.rows(); ++row)
    std::ranges::copy(f.x.row(row % tokens), both.row(row).begin());

  const nn::linear_input<full_precision> input(pass_over(lanes, f.batch, f.work, f.threads), both, smooth);
  for (std::size_t lane = 0; lane != 2; ++lane)
    for (std::size_t k = 0; k != in; ++k) {
      const float log_scale = smooth.log_scale().values()(0, k), s = input.scales(lane, k);
      CHECK(std::abs(std::log(s) - log_scale) == doctest::Approx(0.5).epsilon(1e-4));
      CHECK(std::abs(input.shifts(lane, k) - smooth.shift().values()(0, k)) == doctest::Approx(0.5).epsilon(1e-4));
      for (std::size_t i = 0; i != tokens; ++i)
        CHECK(input.values(lane * tokens + i, k) == doctest::Approx((f.x(i, k) - input.shifts(lane, k)) / s));
    }
  for (std::size_t k = 0; k != in; ++k)
    CHECK(std::log(input.scales(0, k)) + std::log(input.scales(1, k)) ==
          doctest::Approx(2 * smooth.log_scale().values()(0, k)).epsilon(1e-4));
}

TEST_CASE("tokens are quantized one by one, as they are and smoothed; sums of codes go by groups of weights") {
  using w8g8a5 = scheme<weight<8, group<8>>, activation<5>>;
  fixture f;
  nn::smoothing smooth(f.ids, "input", in, true);
  std::ranges::copy(random_floats(in, 2), smooth.log_scale().values().data());
  std::ranges::copy(random_floats(in, 3), smooth.shift().values().data());
  for (const nn::smoothing& smoothing : {nn::smoothing(), smooth}) {
    const nn::linear_input<w8g8a5> input(pass_over(at_masters, f.batch, f.work, f.threads), f.x, smoothing);
    REQUIRE(input.code_sums.rows() == 3);
    for (std::size_t i = 0; i != tokens; ++i) {
      std::array<float, in> smoothed;
      for (std::size_t k = 0; k != in; ++k)
        smoothed[k] = smoothing.active() ? (f.x(i, k) - input.shifts(0, k)) * (1.0f / input.scales(0, k)) : f.x(i, k);
      std::array<std::uint8_t, in> codes;
      const auto made = simd::reference::quantize_row(smoothed.data(), in, 5, false, codes.data());
      CHECK(made.grid == input.grids(0, i));
      CHECK(std::ranges::equal(codes, input.codes.row(i)));
      std::array<std::int32_t, 3> sums{};
      for (std::size_t k = 0; k != in; ++k) sums[k / 8] += codes[k];
      for (std::size_t g = 0; g != 3; ++g) CHECK(input.code_sums(g, i) == sums[g]);
    }
  }
}

TEST_CASE("groups of tokens have grids of their own, sums of codes by parts, and sums that minima multiply") {
  using q8 = activation<8, group<6>, symmetric, fp16_scale>;
  using with_sums = activation<8, group<6>, symmetric, fp16_scale_and_sum>;
  fixture f;
  std::ranges::fill(f.x.view().row(3).subspan(6, 6), 0.0f);
  const auto check = [&]<class Scheme>(std::type_identity<Scheme>) {
    const nn::linear_input<Scheme> input(pass_over(at_masters, f.batch, f.work, f.threads), f.x, {});
    REQUIRE(input.grids.rows() == 4);
    for (std::size_t i = 0; i != tokens; ++i) {
      std::array<float, in> values;
      input.template dequantize<simd::reference>(i, values.data());
      for (std::size_t g = 0; g != 4; ++g) {
        const std::size_t first = 6 * g, count = std::min<std::size_t>(6, in - first);
        double greatest = 0;
        int sum = 0;
        for (std::size_t k = first; k != first + count; ++k) {
          greatest = std::max(greatest, std::abs(double{f.x(i, k)}));
          sum += input.codes(i, k) - 128;
        }
        CHECK(input.grids(g, i).zero_point == 128);
        CHECK(input.grids(g, i).scale == doctest::Approx(greatest / 127).epsilon(0x1p-11));
        for (std::size_t k = first; k != first + count; ++k)
          CHECK(std::abs(double{values[k]} - double{f.x(i, k)}) <= greatest * (0.5 / 127 + 0x1p-11) * 1.0001);
        if constexpr (Scheme::activation_type::stores_sums)
          CHECK(input.part_sums(i, g) == doctest::Approx(greatest / 127 * sum).epsilon(0x1p-11));
        else if constexpr (Scheme::weight_type::has_minima)
          for (std::size_t part = 2 * g; part != 2 * g + (count + 2) / 3; ++part) {
            double of_part = 0;
            for (std::size_t k = 3 * part; k != std::min(3 * part + 3, in); ++k) of_part += double{values[k]};
            CHECK(std::abs(double{input.part_sums(i, part)} - of_part) <= greatest * 0x1p-21);
          }
        if constexpr (Scheme::weight_type::bits == 8)
          for (std::size_t part = 2 * g; part != 2 * g + (count + 2) / 3; ++part) {
            int of_part = 0;
            for (std::size_t k = 3 * part; k != std::min(3 * part + 3, in); ++k) of_part += input.codes(i, k);
            CHECK(input.code_sums(part, i) == of_part);
          }
      }
    }
  };
  check(std::type_identity<scheme<weight<8, group<3>>, q8>>{});
  check(std::type_identity<scheme<weight<5, group<6>, with_minimum, clip::none, fp16_scale>, with_sums>>{});
  check(std::type_identity<scheme<weight<4, group<3>, with_minimum, clip::none, fp16_scale>, q8>>{});
}

TEST_CASE("few tokens in floats come with their sums, group by group") {
  using w4g8 = scheme<weight<4, group<8>>>;
  fixture f;
  f.batch = {};
  f.batch.add(std::vector<nn::token>(nn::few_tokens));
  const auto few = f.x.view().row_block(0, nn::few_tokens);
  const nn::linear_input<w4g8> input(pass_over(at_masters, f.batch, f.work, f.threads), few, {});
  REQUIRE(input.value_sums.rows() == 3);
  for (std::size_t i = 0; i != nn::few_tokens; ++i)
    for (std::size_t g = 0; g != 3; ++g) {
      double sum = 0;
      for (std::size_t k = 8 * g; k != std::min(in, 8 * (g + 1)); ++k) sum += static_cast<double>(f.x(i, k));
      CHECK(input.value_sums(g, i) == static_cast<float>(sum));
    }
}

TEST_CASE("few tokens in codes come with their sums, part by part") {
  using w4a8 = scheme<weight<4, group<8>>, activation<8, group<8>, symmetric>>;
  fixture f;
  f.batch = {};
  f.batch.add(std::vector<nn::token>(nn::few_tokens));
  const auto few = f.x.view().row_block(0, nn::few_tokens);
  const nn::linear_input<w4a8> input(pass_over(at_masters, f.batch, f.work, f.threads), few, {});
  REQUIRE(input.code_sums.rows() == 3);
  for (std::size_t i = 0; i != nn::few_tokens; ++i)
    for (std::size_t part = 0; part != 3; ++part) {
      int sum = 0;
      for (std::size_t k = 8 * part; k != std::min(in, 8 * (part + 1)); ++k) sum += input.codes(i, k);
      CHECK(input.code_sums(part, i) == sum);
    }
}
