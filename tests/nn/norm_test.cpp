// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/norm.hpp>

#include <doctest/doctest.h>
#include <support/random_model.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

constexpr std::size_t tokens = 3, width = 11;
constexpr float epsilon = 0.5f;  // large enough to be seen

template <class Norm>
struct fixture {
  nn::parameter_ids ids;
  Norm norm{ids, "n", model_shape{.hidden = width, .norm_epsilon = epsilon}};
  matrix<float> x = random_matrix(tokens, width, 1);

  fixture() {
    nn::for_each_trainable(norm, [](nn::trainable& t) {
      std::ranges::copy(random_floats(t.values().size(), 10 + t.view().id, 2), t.values().data());
    });
  }
  nn::trainable& find(std::string_view name) {
    nn::trainable* found = nullptr;
    nn::for_each_trainable(norm, [&](nn::trainable& t) { found = t.name() == name ? &t : found; });
    REQUIRE(found != nullptr);
    return *found;
  }
  template <lane_reader Lanes = inference_lane>
  matrix<float> forward(const Lanes& lanes = at_masters) {
    nn::token_batch batch;
    batch.add(std::vector<nn::token>(tokens));
    nn::workspace work;
    sequential threads;
    matrix<float> out(lanes.count() * tokens, width);
    for (std::size_t row = 0; row != out.rows(); ++row) std::ranges::copy(x.row(row % tokens), out.row(row).begin());
    norm.forward(nn::forward_pass<simd::default_kernels, Lanes, sequential>{lanes, threads, batch, work}, out, out);
    return out;
  }
  /// By the definition, in double.
  double expected(std::size_t row, std::size_t k, double gain_scale) {
    const bool centered = std::is_same_v<Norm, nn::layer_norm>;
    double mean = 0, squares = 0;
    for (const float v : x.row(row)) mean += centered ? double{v} / width : 0;
    for (const float v : x.row(row)) squares += (double{v} - mean) * (double{v} - mean) / width;
    const double gain = double{find("n.weight").values()(0, k)} * gain_scale;
    const double bias = centered ? double{find("n.bias").values()(0, k)} : 0;
    return (double{x(row, k)} - mean) / std::sqrt(squares + double{epsilon}) * gain + bias;
  }
};

}  // namespace

TEST_CASE_TEMPLATE("a norm equals its definition; deployed, it keeps its bits", Norm, nn::rms_norm, nn::layer_norm) {
  fixture<Norm> f;
  const auto out = f.forward();
  const double scale = std::exp(double{f.find("n.log_scale").values()(0, 0)});
  for (std::size_t row = 0; row != tokens; ++row)
    for (std::size_t k = 0; k != width; ++k)
      CHECK(double{out(row, k)} == doctest::Approx(f.expected(row, k, scale)).epsilon(1e-5));

  std::vector<std::string> base;
  nn::for_each_base_tensor(f.norm, [&](nn::trainable& t) { base.push_back(t.name()); });
  const bool biased = std::is_same_v<Norm, nn::layer_norm>;
  CHECK(base == (biased ? std::vector<std::string>{"n.weight", "n.bias"} : std::vector<std::string>{"n.weight"}));

  f.norm.deploy();
  CHECK(f.find("n.log_scale").values()(0, 0) == 0);
  CHECK(std::ranges::equal(f.forward().flat(), out.flat()));
}

TEST_CASE("each lane has its own gains") {
  fixture<nn::rms_norm> f;
  std::array<zo::perturbation, 2> points;
  points[0].along = points[1].along = {1, 0, 0};
  points[0].scale[parameter_group::norm_scale] = 0.5f;
  points[1] = -points[0];
  const auto out = f.forward(zo::lanes<zo::rademacher>({points, {}}));
  const double log_scale = double{f.find("n.log_scale").values()(0, 0)};
  const double ratio = double{out(0, 0)} / double{out(tokens, 0)};
  const double sign = ratio > 1 ? 0.5 : -0.5;  // ±1 is what the direction says
  CHECK(std::abs(std::log(ratio)) == doctest::Approx(1).epsilon(1e-4));
  for (std::size_t row = 0; row != tokens; ++row)
    for (std::size_t k = 0; k != width; ++k) {
      CHECK(double{out(row, k)} == doctest::Approx(f.expected(row, k, std::exp(log_scale + sign))).epsilon(1e-5));
      CHECK(double{out(tokens + row, k)} ==
            doctest::Approx(f.expected(row, k, std::exp(log_scale - sign))).epsilon(1e-5));
    }
}
