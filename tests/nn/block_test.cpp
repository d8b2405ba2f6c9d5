// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/block.hpp>

#include <doctest/doctest.h>
#include <support/random_model.hpp>
#include <zoqat/quant/scheme.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

// Layers that only mark their passing: a block needs no more of a layer than this.
struct no_linear {
  using scheme = quant::full_precision;
};
struct no_position {
  explicit no_position(const model_shape&) {}
};
template <int Factor>
struct marker {
  using linear_type = no_linear;
  using position_type = no_position;
  static constexpr const char* norm_name = Factor == 2 ? "first" : "second";
  std::string prefix;

  marker(nn::parameter_ids& ids, const std::string& name, const model_shape&,
         const std::shared_ptr<const no_position>&)
      : prefix(name) {
    static_cast<void>(ids.next());
  }
  template <class Pass>
  void forward(const Pass&, std::size_t index, matrix_view<const float> x, matrix_view<float> stream) {
    for (std::size_t row = 0; row != x.rows(); ++row)
      for (std::size_t k = 0; k != x.cols(); ++k)
        stream(row, k) += static_cast<float>(Factor) * x(row, k) + static_cast<float>(index);
  }
};
/// Adds one: stands in for a norm.
struct plus_one {
  std::string name;
  plus_one(nn::parameter_ids& ids, const std::string& n, const model_shape&) : name(n) {
    static_cast<void>(ids.next());
  }
  template <class Pass>
  void forward(const Pass&, matrix_view<const float> x, matrix_view<float> out) const {
    for (std::size_t row = 0; row != x.rows(); ++row)
      for (std::size_t k = 0; k != x.cols(); ++k) out(row, k) = x(row, k) + 1;
  }
};
using two = nn::block<nn::residual<plus_one, marker<2>>, nn::residual<plus_one, marker<3>>>;
static_assert(std::is_same_v<two::scheme, quant::full_precision>);
static_assert(std::is_same_v<two::norm_type, plus_one> && std::is_same_v<two::position_type, no_position>);
static_assert(std::is_copy_constructible_v<two> && std::is_nothrow_move_constructible_v<two>);

}  // namespace

TEST_CASE("a block adds each layer of each norm to the stream, in order") {
  nn::parameter_ids ids;
  two block(ids, "layers.7.", {}, std::make_shared<const no_position>(model_shape{}));
  nn::token_batch batch;
  batch.add(std::vector<nn::token>(2));
  nn::workspace work;
  sequential threads;
  matrix<float> stream(2, 3, 1.0f);
  block.forward(nn::forward_pass<simd::default_kernels, inference_lane, sequential>{at_masters, threads, batch, work},
                5, stream);
  // 1 + 2 (1 + 1) + 5 = 10, and 10 + 3 (10 + 1) + 5 = 48.
  for (const float x : stream.flat()) CHECK(x == 48);

  std::vector<std::string> seen;
  block.for_each_residual([&](auto& r) { seen.insert(seen.end(), {r.norm().name, r.layer().prefix}); });
  CHECK(seen == std::vector<std::string>{"layers.7.first", "layers.7.", "layers.7.second", "layers.7."});
  CHECK(ids.next() == 4);
}
