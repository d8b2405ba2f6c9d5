// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/reconstruct.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/nn/loss.hpp>
#include <zoqat/ptq/round_to_nearest.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

using teacher = nn::llama<full_precision>;
using w2a16g8 = nn::llama<scheme<weight<2, group<8>, asymmetric, clip::codes, fp16_scale>>>;
using w4a4 = nn::llama<scheme<weight<4, per_channel, asymmetric, clip::codes>, activation<4>>>;

constexpr std::array<std::size_t, 3> lengths{40, 1, 33};

struct setup {
  teacher ideal = random_model<teacher>(odd_shape(), 3);
  std::vector<nn::token_batch> calibration;
  nn::token_batch held_out = random_batch(std::array<std::size_t, 2>{50, 50}, 37, 900);
  setup() {
    for (std::uint32_t i = 0; i != (is_slow_build ? 2 : 6); ++i)
      calibration.push_back(random_batch(lengths, 37, 10 * i));
  }
  template <class Model>
  Model rounded() {
    Model model(ideal.shape());
    nn::copy_base_tensors(ideal, model);
    ptq::round_to_nearest(model);
    return model;
  }
  template <class Model>
  double divergence(Model& model) {
    sequential threads;
    nn::workspace work;
    const nn::forward_pass<simd::default_kernels, inference_lane, sequential> pass{at_masters, threads, held_out,
                                                                                   work};
    nn::token_loss loss;
    nn::distillation(model, pass, nn::teacher_probabilities(ideal, pass), std::span(&loss, 1));
    return loss.mean();
  }
  template <class Model>
  void reconstruct(Model& model, std::size_t threads, ptq::reconstruction_options options = {}) {
    thread_pool pool(threads);
    std::vector<std::pair<std::size_t, std::size_t>> seen;
    ptq::reconstructor<Model, teacher, thread_pool>(model, ideal, pool, options)(
        calibration, [&](std::size_t block, std::size_t blocks) { seen.emplace_back(block, blocks); });
    CHECK(seen == std::vector<std::pair<std::size_t, std::size_t>>{{0, 2}, {1, 2}});
  }
};

}  // namespace

TEST_CASE_TEMPLATE("reconstruction comes nearer to the teacher than rounding to nearest", Model, w2a16g8, w4a4) {
  setup s;
  auto rounded = s.rounded<Model>(), found = rounded, again = rounded, ranges = rounded;
  s.reconstruct(found, 1);
  s.reconstruct(again, 3);
  CHECK(bits_of(found) == bits_of(again));

  const double before = s.divergence(rounded), after = s.divergence(found);
  CAPTURE(before);
  CHECK(before > 0.01);
  CHECK(after < 0.9 * before);

  // Ranges alone leave the masters, and help too.
  s.reconstruct(ranges, 2, {.depth = ptq::reconstruction::ranges});
  std::vector<float> masters, wanted;
  const auto collect = [](std::vector<float>& to) {
    return [&](nn::trainable& t) { to.insert(to.end(), t.values().flat().begin(), t.values().flat().end()); };
  };
  nn::for_each_base_tensor(ranges, collect(masters));
  nn::for_each_base_tensor(s.ideal, collect(wanted));
  CHECK(masters == wanted);
  CHECK(s.divergence(ranges) < before);

  // The masters that were found are the centers of their cells: small moves change no code.
  const double held = s.divergence(found);
  found.for_each_parameter([](const parameter& p) {
    if (p.group != parameter_group::weight) return;
    for (float& x : p.values) x *= 1 + 1e-4f;
  });
  CHECK(s.divergence(found) == held);
}

TEST_CASE_TEMPLATE("how rows are rounded together is a matter of options, and always better than to nearest", Model,
                   w2a16g8, w4a4) {
  setup s;
  auto rounded = s.rounded<Model>(), alone = rounded, together = rounded, recursive = rounded;
  s.reconstruct(alone, 2, {.outputs = {.used = false}});
  s.reconstruct(together, 2);
  s.reconstruct(recursive, 2, {.outputs = {.stream = ptq::stream_metric::recursive}});
  const double before = s.divergence(rounded);
  for (Model* model : {&alone, &together, &recursive}) CHECK(s.divergence(*model) < 0.9 * before);
  CHECK(bits_of(alone) != bits_of(together));
  CHECK(bits_of(recursive) != bits_of(together));
}
