// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/reorder.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/input_recorder.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/opt.hpp>
#include <zoqat/nn/qwen3.hpp>
#include <zoqat/ptq/round_to_nearest.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using opt = nn::opt<quant::full_precision>;
using qwen3 = nn::qwen3<quant::full_precision>;
using in_groups = nn::opt<quant::scheme<quant::weight<8, quant::per_channel, quant::asymmetric, quant::clip::codes>,
                                        quant::activation<4, quant::group<8>, quant::symmetric>>>;

/// The norms of heads are as wide as the stream.
template <class Model>
model_shape shape() {
  return {.hidden = 24,
          .intermediate = 35,
          .layers = 2,
          .heads = 2,
          .kv_heads = std::is_same_v<Model, opt> ? std::size_t{2} : std::size_t{1},
          .head_size = std::is_same_v<Model, opt> ? std::size_t{12} : std::size_t{24},
          .vocabulary = 37,
          .positions = 50,
          .biases = std::is_same_v<Model, opt>};
}
constexpr std::array<std::size_t, 3> lengths{30, 1, 12};

ptq::channel_order shuffled(std::size_t n) {
  ptq::channel_order order(n);
  for (std::size_t i = 0; i != n; ++i) order[i] = (11 * i + 3) % n;
  return order;
}
float worst_difference(const matrix<float>& a, const matrix<float>& b) {
  float worst = 0;
  for (std::size_t i = 0; i != a.size(); ++i) worst = std::max(worst, std::abs(a.flat()[i] - b.flat()[i]));
  return worst;
}

}  // namespace

TEST_CASE_TEMPLATE("a model computes the same with its channels in another order", Model, opt, qwen3) {
  const auto batch = random_batch(lengths, 37, 4);
  auto model = random_model<Model>(shape<Model>(), 3);
  const matrix<float> before = logits_of(model, batch);
  const auto bits = bits_of(model);
  ptq::reorder_stream(model, shuffled(24));
  CHECK(bits_of(model) != bits);
  CHECK(worst_difference(logits_of(model, batch), before) < 1e-5f);  // of logits up to 10
  for (auto& block : model.blocks())
    block.for_each_residual([&](auto& r) {
      using layer = typename std::remove_cvref_t<decltype(r)>::layer_type;
      if constexpr (!requires { typename layer::position_type; }) ptq::reorder_hidden(r.layer(), shuffled(35));
    });
  CHECK(worst_difference(logits_of(model, batch), before) < 1e-5f);
  check_mentions(message_of<value_error>([&] { ptq::reorder_stream(model, shuffled(23)); }), "23 channels", "24");
  check_mentions(message_of<value_error>([&] { ptq::reorder_stream(model, ptq::channel_order(24, 5)); }),
                 "channel 5 of 24", "twice");
}

TEST_CASE("inputs behind norms and in MLPs come in the order of their ranges, and groups of 4 bits lose less") {
  auto ideal = random_model<opt>(shape<opt>(), 3);
  nn::for_each_base_tensor(ideal, [](nn::trainable& t) {  // every third channel reaches far
    if (t.name().ends_with("norm.weight"))
      for (std::size_t j = 0; j < t.cols(); j += 3) t.values()(0, j) *= 6;
    if (t.name().ends_with("fc1.weight"))
      for (std::size_t r = 0; r < t.rows(); r += 4)
        for (float& x : t.values().row(r)) x /= 9;
  });
  const std::vector corpus{random_batch(lengths, 37, 4), random_batch(lengths, 37, 14)};
  sequential threads;
  in_groups plain(ideal.shape());
  nn::copy_base_tensors(ideal, plain);
  in_groups ordered = plain;
  ptq::round_to_nearest(plain);
  ptq::reorder_by_ranges(ordered, ideal, corpus, threads);
  ptq::round_to_nearest(ordered);

  const auto held_out = random_batch(lengths, 37, 900);
  const auto error = [&](auto& model) {
    const matrix<float> wanted = logits_of(ideal, held_out), found = logits_of(model, held_out);
    double sum = 0;
    for (std::size_t i = 0; i != wanted.size(); ++i)
      sum += std::pow(double{found.flat()[i]} - double{wanted.flat()[i]}, 2);
    return sum;
  };
  const double before = error(plain);
  CAPTURE(before);
  CHECK(error(ordered) < 0.8 * before);

  // The order of the hidden channels is that of what the teacher's reach, and each is still there.
  const auto seen = inputs_of_layers(ideal, corpus);
  std::vector<float> reach(35, 0.0f);
  for (const std::size_t pass : {std::size_t{3}, std::size_t{11}})
    for (std::size_t r = 0; r != seen[pass].rows(); ++r)
      for (std::size_t j = 0; j != 35; ++j) reach[j] = std::max(reach[j], std::abs(seen[pass](r, j)));
  std::ranges::sort(reach);
  std::vector<float> found(35, 0.0f);
  opt same(ideal.shape());
  nn::copy_base_tensors(ordered, same);
  const auto reordered = inputs_of_layers(same, corpus);
  for (const std::size_t pass : {std::size_t{3}, std::size_t{11}})
    for (std::size_t r = 0; r != reordered[pass].rows(); ++r)
      for (std::size_t j = 0; j != 35; ++j) found[j] = std::max(found[j], std::abs(reordered[pass](r, j)));
  for (std::size_t j = 0; j != 35; ++j) CHECK(found[j] == doctest::Approx(reach[j]).epsilon(1e-4));
}
