// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ext/c_quantize.h>

#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/ptq/input_moments.hpp>
#include <zoqat/ptq/reconstruct_matrix.hpp>
#include <zoqat/quant/host_matrix.hpp>
#include <zoqat/zo/embed/fine_tuner.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

using namespace zoqat;

namespace {

constexpr std::size_t rows = 19, cols = 75;  // ragged in panels and in groups of 32

matrix<float> weights_of_host() {
  matrix<float> w(rows, cols);
  for (std::size_t r = 0; r != rows; ++r)
    for (std::size_t k = 0; k != cols; ++k)
      w(r, k) = static_cast<float>(std::sin(1.7 * static_cast<double>(r * cols + k)));
  return w;
}
matrix<float> inputs_of_host() {
  matrix<float> x(200, cols);
  for (std::size_t r = 0; r != x.rows(); ++r)
    for (std::size_t k = 0; k != cols; ++k)
      x(r, k) = static_cast<float>(std::cos(0.3 * static_cast<double>(r * r + 3 * k)) + (k % 5 == 0));
  return x;
}

/// A matrix that was made, and is destroyed at the end.
struct made_matrix {
  zoqat_matrix* m = nullptr;
  made_matrix(const matrix<float>& w, int bits, std::size_t group_size, zoqat_moments* moments) {
    REQUIRE(zoqat_matrix_create(w.data(), rows, cols, cols, bits, group_size, moments, 2, &m) == ZOQAT_OK);
  }
  made_matrix(const made_matrix&) = delete;
  made_matrix& operator=(const made_matrix&) = delete;
  ~made_matrix() { zoqat_matrix_destroy(m); }
};

double loss_of(const float* values) {
  double total = 1;
  for (std::size_t i = 0; i != rows * cols; ++i) total += 0.01 * std::pow(double{values[i]} - 0.4, 2);
  return total;
}

}  // namespace

TEST_CASE("a matrix quantized and trained through C has the bits of one in C++") {
  using three_bits = quant::weight<3, quant::group<32>>;
  const auto w = weights_of_host(), x = inputs_of_host();
  ptq::input_moments seen(cols);
  seen.add(x);
  thread_pool threads(2);
  quant::host_matrix<three_bits> wanted(ptq::reconstruct_matrix<three_bits>(w, seen, threads).packed);
  matrix<float> values(rows, cols);
  zo::fine_tuner tuner({.seed = 3});
  tuner.add("w", wanted);
  tuner.run(20, [&](std::uint32_t, std::uint32_t) {
    wanted.materialize(values);
    return loss_of(values.data());
  });
  wanted.materialize(values);

  zoqat_moments* moments = nullptr;
  REQUIRE(zoqat_moments_create(cols, &moments) == ZOQAT_OK);
  REQUIRE(zoqat_moments_add(moments, x.data(), 150) == ZOQAT_OK);
  REQUIRE(zoqat_moments_add(moments, x.row(150).data(), 50) == ZOQAT_OK);
  const made_matrix here(w, 3, 32, moments);
  zoqat_moments_destroy(moments);
  CHECK(zoqat_matrix_groups(here.m) == 3);
  zoqat_options options = zoqat_default_options();
  options.seed = 3;
  zoqat_tuner* t = nullptr;
  REQUIRE(zoqat_tuner_create(&options, &t) == ZOQAT_OK);
  REQUIRE(zoqat_tuner_add_matrix(t, "w", here.m) == ZOQAT_OK);
  const auto loss = [](void* m, std::uint32_t, std::uint32_t, double* l) {
    std::vector<float> now(rows * cols);
    if (zoqat_matrix_values(static_cast<zoqat_matrix*>(m), now.data(), cols) != ZOQAT_OK) return 1;
    *l = loss_of(now.data());
    return 0;
  };
  REQUIRE(zoqat_tuner_run(t, 20, loss, nullptr, here.m, nullptr) == ZOQAT_OK);
  CHECK(std::string(zoqat_tuner_probe_line(t)).find("step_group by") != std::string::npos);
  zoqat_tuner_destroy(t);
  std::vector<float> found(rows * cols);
  REQUIRE(zoqat_matrix_values(here.m, found.data(), cols) == ZOQAT_OK);
  CHECK(std::equal(found.begin(), found.end(), values.data()));

  std::vector<std::uint8_t> codes(rows * cols), zero_points(rows * 3);
  std::vector<float> scales(rows * 3);
  REQUIRE(zoqat_matrix_codes(here.m, codes.data(), scales.data(), zero_points.data()) == ZOQAT_OK);
  std::size_t wrong = 0;
  for (std::size_t r = 0; r != rows; ++r)
    for (std::size_t k = 0; k != cols; ++k) {
      const std::size_t g = r * 3 + k / 32;
      wrong += scales[g] * static_cast<float>(codes[r * cols + k] - zero_points[g]) != found[r * cols + k];
    }
  CHECK(wrong == 0);
}

TEST_CASE("every format of a matrix rounds to nearest, and rounds weights that train anew") {
  const auto w = weights_of_host();
  for (const int bits : {2, 3, 4, 8})
    for (const std::size_t group_size : {0u, 32u, 64u, 128u}) {
      CAPTURE(bits);
      CAPTURE(group_size);
      const made_matrix here(w, bits, group_size, nullptr);
      CHECK(zoqat_matrix_groups(here.m) == (group_size == 0 ? 1 : (cols + group_size - 1) / group_size));
      std::vector<float> values(rows * cols), rounded(rows * (cols + 2), 7.0f);
      REQUIRE(zoqat_matrix_values(here.m, values.data(), cols) == ZOQAT_OK);
      REQUIRE(zoqat_matrix_round(here.m, w.data(), cols, rounded.data(), cols + 2) == ZOQAT_OK);
      const float step = 2.0f / static_cast<float>((1 << bits) - 1);  // at most: the weights are in [-1, 1]
      float largest = 0;
      for (std::size_t r = 0; r != rows; ++r) {
        for (std::size_t k = 0; k != cols; ++k) {
          largest = std::max(largest, std::abs(values[r * cols + k] - w(r, k)));
          CHECK(rounded[r * (cols + 2) + k] == values[r * cols + k]);
        }
        CHECK(rounded[r * (cols + 2) + cols] == 7.0f);  // between the rows
      }
      CHECK(largest <= step);
      CHECK(largest > 0);
    }
}

TEST_CASE("what cannot be quantized is refused with a sentence") {
  const auto w = weights_of_host();
  zoqat_matrix* m = nullptr;
  const auto refused = [&](int bits, std::size_t group_size, std::size_t stride, const std::string& message) {
    CHECK(zoqat_matrix_create(w.data(), rows, cols, stride, bits, group_size, nullptr, 1, &m) == ZOQAT_INVALID);
    CHECK_MESSAGE(std::string(zoqat_matrix_message(m)).find(message) != std::string::npos, zoqat_matrix_message(m));
    CHECK(zoqat_matrix_values(m, nullptr, cols) == ZOQAT_INVALID);
    zoqat_matrix_destroy(m);
  };
  refused(5, 32, cols, "weights of 5 bits; it takes 2, 3, 4 or 8");
  refused(4, 48, cols, "a group size of 48");
  refused(4, 32, cols - 1, "overlap");
  const made_matrix here(w, 4, 0, nullptr);
  CHECK(zoqat_matrix_values(here.m, nullptr, cols) == ZOQAT_INVALID);
  CHECK(zoqat_matrix_codes(here.m, nullptr, nullptr, nullptr) == ZOQAT_INVALID);
  CHECK(zoqat_tuner_add_matrix(nullptr, "w", here.m) == ZOQAT_INVALID);
  zoqat_moments* moments = nullptr;
  REQUIRE(zoqat_moments_create(cols, &moments) == ZOQAT_OK);
  const std::vector<float> bad(cols, INFINITY);
  CHECK(zoqat_moments_add(moments, bad.data(), 1) == ZOQAT_INVALID);
  CHECK(std::string(zoqat_moments_message(moments)).find("inf") != std::string::npos);
  CHECK(zoqat_matrix_create(w.data(), rows, cols, cols, 4, 32, moments, 1, &m) == ZOQAT_INVALID);
  CHECK(std::string(zoqat_matrix_message(m)).find("no inputs") != std::string::npos);
  zoqat_matrix_destroy(m);
  zoqat_moments_destroy(moments);
  zoqat_matrix_destroy(nullptr);
  zoqat_moments_destroy(nullptr);
}
