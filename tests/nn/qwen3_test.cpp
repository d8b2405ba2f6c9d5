// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/qwen3.hpp>

#include <doctest/doctest.h>
#include <nn/deployment.hpp>
#include <support/random_model.hpp>
#include <support/reference_llama.hpp>
#include <zoqat/nn/llama.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <string>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using teacher = nn::qwen3<quant::full_precision>;
using student = nn::qwen3<quant::scheme<quant::weight<4, quant::per_channel, quant::asymmetric, quant::clip::codes>,
                                        quant::activation<8>, quant::attention<8>>>;

constexpr std::array<std::size_t, 4> lengths{7, 1, 70, 2};
nn::token_batch sequences() { return random_batch(lengths, 37, 10); }

}  // namespace

TEST_CASE("a decoder of Qwen3's blocks norms the heads of queries and keys") {
  for (const bool biases : {false, true}) {
    model_shape shape = odd_shape();
    shape.biases.query_key_value = shape.biases.attention_output = biases;
    auto model = random_model<teacher>(shape, 1);
    CHECK(model.shape().kind.family == model_family::qwen3);
    const reference_llama reference(model);
    CHECK(largest_difference(model, reference, sequences()) < 1e-4);
    nn::for_each_base_tensor(model, [](nn::trainable& t) {
      if (t.name() == "model.layers.1.self_attn.k_norm.weight") t.values()(0, 2) += 0.05f;
    });
    CHECK(largest_difference(model, reference, sequences()) > 1e-4);
  }
}

TEST_CASE("head norms train: their common factor is folded into the gains of a deployed model") {
  auto model = random_model<student>(odd_shape(), 2);
  model.for_each_shared_input([](auto&& input) {
    for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
  });
  std::size_t norms = 0;
  model.for_each_parameter([&](const parameter& p) {
    if (p.name.find("_norm.log_scale") == std::string::npos) return;
    ++norms;
    p.values[0] = 0.2f;
  });
  CHECK(norms == 4);  // of queries and keys, in two blocks
  sequential here;
  const double trained = losses_of(model, sequences(), here)[0].mean();
  model.deploy();
  CHECK(losses_of(model, sequences(), here)[0].mean() == trained);
}

TEST_CASE("LLaMA's relatives differ in biases and in rotary frequencies, which the shape says") {
  using llama = nn::llama<quant::full_precision>;
  for (const auto& [how, factor] : {std::pair{rope_scaling::kind::none, 1.0f},
                                    {rope_scaling::kind::linear, 3.0f},
                                    {rope_scaling::kind::llama3, 8.0f}})
    for (const unsigned biases : {0u, 1u, 3u, 4u, 7u}) {
      CAPTURE(static_cast<int>(how));
      CAPTURE(biases);
      model_shape shape = odd_shape(rope_pairing::half_split, biases == 0);
      shape.biases.query_key_value = (biases & 1) != 0;
      shape.biases.attention_output = (biases & 2) != 0;
      shape.biases.mlp = (biases & 4) != 0;
      // Heads of 12 channels: of their wavelengths some lie on either side of the two bounds, and one between.
      shape.head_size = 12;
      shape.rope_scaling = {.how = how,
                            .factor = factor,
                            .low_frequency_factor = 1,
                            .high_frequency_factor = 4,
                            .original_positions = 64};
      auto model = random_model<llama>(shape, 3);
      reference_llama reference(model);
      CHECK(largest_difference(model, reference, sequences()) < 2e-4);
      if (how != rope_scaling::kind::none) {
        shape.rope_scaling = {};
        auto plain = random_model<llama>(shape, 3);
        CHECK(largest_difference(plain, reference, sequences()) > 1e-2);
      }
    }
}
