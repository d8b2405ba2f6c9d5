// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/linear/stored_weight.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/linear.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

// A format of the test's own: two steps a row, of which the weights of either half are whole multiples. A stored row
// is its numbers, and nothing is rounded but the weights.
struct halves {
  matrix<float> values{};
  std::vector<float> widths{};  // [rows * 2]

  [[nodiscard]] std::size_t rows() const { return values.rows(); }
  [[nodiscard]] std::size_t cols() const { return values.cols(); }
  [[nodiscard]] std::size_t steps() const { return 2; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return std::as_bytes(values.flat()); }
  void read_row(std::size_t r, const float* of, std::span<const float> factors, float* out) const {
    for (std::size_t i = 0; i != cols(); ++i) {
      const std::size_t half = i < cols() / 2 ? 0 : 1;
      const float width = widths[r * 2 + half];
      const float x = of ? std::nearbyint(of[i] / width) * width : values(r, i);
      out[i] = x * (factors.empty() ? 1.0f : factors[half]);
    }
  }
  void write_row(std::size_t r, const float* of, std::span<const float> factors, std::span<std::byte> out) const {
    std::vector<float> row(cols());
    read_row(r, of, factors, row.data());
    std::memcpy(out.data(), row.data(), out.size());
  }
  [[nodiscard]] float unit(std::size_t r) const { return widths[r * 2]; }
};
using layer_type = nn::smoothed_linear<nn::stored<halves>>;

constexpr std::size_t rows = 37, cols = 10;

halves some_matrix() {
  halves m{random_matrix(rows, cols, 1), std::vector<float>(rows * 2, 0.125f)};
  for (float& x : m.values.flat()) x = std::nearbyint(x * 8) / 8;
  return m;
}
layer_type some_layer(bool trains_weights) {
  nn::parameter_ids ids(false);
  layer_type layer(ids, "w", rows, cols);
  const auto fill = [](auto& to) {
    if constexpr (requires { to.take(halves{}); }) to.take(some_matrix());
  };
  layer.build(fill, nn::smoothing{},
              {.trained = {trains_weights ? "w" : "other"}, .fixed_quantization = false, .norms = false});
  return layer;
}

// Random values for all that trains.
void move(layer_type& layer, float scale) {
  nn::for_each_trainable(layer, [&](nn::trainable& t) {
    const std::vector<float> by = random_floats(t.values().size(), t.view().id, scale);
    for (std::size_t i = 0; i != by.size(); ++i) t.values().flat()[i] += by[i];
  });
}

}  // namespace

TEST_CASE("the product of every lane is that of the rows which this lane would write") {
  for (const bool trains_weights : {false, true}) {
    CAPTURE(trains_weights);
    layer_type layer = some_layer(trains_weights);
    move(layer, 0.3f);
    std::array<zo::perturbation, 2> points;  // the first at the masters, the second elsewhere
    points[1].along = {3, 0, 0};
    for (const parameter_group group : all_parameter_groups) points[1].scale[group] = 0.25f;
    const zo::lanes<zo::rademacher> lanes({points, {}});
    for (const std::size_t tokens : {std::size_t{3}, std::size_t{40}}) {
      const matrix<float> x = random_matrix(2 * tokens, cols, 2);
      nn::token_batch batch;
      batch.add(random_tokens(tokens, 4, 3));
      sequential threads;
      nn::workspace work;
      const nn::forward_pass<simd::default_kernels, zo::lanes<zo::rademacher>, sequential> pass{lanes, threads, batch,
                                                                                                work};
      const nn::linear_input<layer_type::scheme> input(pass, x, nn::smoothing{});
      matrix<float> y(2 * tokens, rows);
      layer.forward(pass, input, y, false);
      for (std::size_t lane = 0; lane != 2; ++lane) {
        layer_type moved = layer;
        nn::for_each_trainable(moved, [&](nn::trainable& t) {
          matrix<float> all;
          nn::read_all(lanes, t, all);
          std::ranges::copy(all.row(lane), t.values().data());
        });
        std::vector<float> row(cols);
        for (std::size_t r = 0; r != rows; ++r) {
          moved.stored_weights().write_row(r, std::as_writable_bytes(std::span(row)));
          for (std::size_t i = 0; i != tokens; ++i) {
            double sum = 0;
            for (std::size_t k = 0; k != cols; ++k) sum += double{x(lane * tokens + i, k)} * double{row[k]};
            CHECK(y(lane * tokens + i, r) == doctest::Approx(sum).epsilon(1e-4));
          }
        }
      }
    }
  }
}

TEST_CASE("weights that train start from what is stored, and only they take memory") {
  layer_type fixed = some_layer(false), training = some_layer(true);
  CHECK(fixed.weight().empty());
  CHECK(training.weight().values().flat().size() == rows * cols);
  CHECK(std::ranges::equal(training.weight().values().flat(), some_matrix().values.flat()));
  CHECK(training.weight().unit().size() == rows);
  CHECK(training.held_bytes() == fixed.held_bytes() + (rows * cols + rows) * sizeof(float));
  CHECK(fixed.weight_bytes() == rows * cols * sizeof(float));
  std::vector<std::uint32_t> ids;
  nn::for_each_trainable(training, [&](nn::trainable& t) { ids.push_back(t.view().id); });
  CHECK(ids == std::vector<std::uint32_t>{0, 1, 2, 3, 4});  // of the weights, then of the levels of steps
}

TEST_CASE("a matrix of another size is refused") {
  nn::parameter_ids ids(false);
  layer_type layer(ids, "model.layers.0.mlp.up_proj", rows, cols + 1);
  check_mentions(message_of<value_error>([&] { layer.stored_weights().take(some_matrix()); }), "up_proj", "[37, 10]",
                 "[37, 11]");
}
