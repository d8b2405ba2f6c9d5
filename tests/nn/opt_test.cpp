// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/opt.hpp>

#include <doctest/doctest.h>
#include <nn/deployment.hpp>
#include <support/random_model.hpp>
#include <support/reference_opt.hpp>
#include <zoqat/nn/generate.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using teacher = nn::opt<quant::full_precision>;
using gelu_teacher = nn::opt<quant::full_precision, nn::gelu_tanh>;
using student = nn::opt<quant::scheme<quant::weight<4, quant::per_channel, quant::asymmetric, quant::clip::codes>,
                                      quant::activation<8>, quant::attention<8>>>;

/// OPT's shape: as many key and value heads as heads, which are together as wide as the stream.
model_shape small_shape(bool biases = true) {
  return {.hidden = 18,
          .intermediate = 35,
          .layers = 2,
          .heads = 3,
          .kv_heads = 3,
          .head_size = 6,
          .vocabulary = 37,
          .positions = 80,
          .norm_epsilon = 1e-5f,
          .biases = biases};
}

constexpr std::array<std::size_t, 4> lengths{7, 1, 70, 2};
nn::token_batch sequences() { return random_batch(lengths, 37, 10); }

template <class Model>
Model fresh(std::uint32_t name) {
  auto model = random_model<Model>(small_shape(), name);
  model.for_each_shared_input([](auto&& input) {
    for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
  });
  return model;
}

}  // namespace

TEST_CASE("a decoder of OPT's blocks computes OPT's forward pass") {
  for (const bool biases : {true, false}) {
    CAPTURE(biases);
    auto model = random_model<teacher>(small_shape(biases), 1);
    const reference_opt reference(model);
    CHECK(largest_difference(model, reference, sequences()) < 1e-4);

    // The check can fail: a bias, and a position, a little off.
    for (const char* const name : {"model.layers.1.mlp.fc1.bias", "model.embed_positions.weight"}) {
      auto other = model;
      bool found = false;
      nn::for_each_base_tensor(other, [&](nn::trainable& t) {
        if (t.name() != name) return;
        found = true;
        for (float& x : t.values().flat()) x += 0.05f * static_cast<float>(&x - t.values().data());
      });
      CHECK(found == (biases || name[6] == 'e'));
      CHECK((largest_difference(other, reference, sequences()) > 1e-4) == found);
    }
  }
}

TEST_CASE("the activation is part of the type, and of the shape") {
  CHECK(teacher::kind == model_kind{model_family::opt, activation_function::relu});
  CHECK(teacher({.hidden = 18, .heads = 3, .kv_heads = 3, .head_size = 6, .vocabulary = 3, .positions = 2})
            .shape()
            .kind == teacher::kind);
  auto model = random_model<gelu_teacher>(small_shape(), 1);
  CHECK(model.shape().kind == model_kind{model_family::opt, activation_function::gelu_tanh});
  CHECK(largest_difference(model, reference_opt(model), sequences()) < 1e-4);
  auto with_relu = random_model<teacher>(small_shape(), 1);
  CHECK(largest_difference(with_relu, reference_opt(model), sequences()) > 1e-2);
}

TEST_CASE("its tensors: two of positions more than there are, and a bias for every layer") {
  teacher model(small_shape());
  std::map<std::string, std::array<std::size_t, 2>> sizes;
  nn::for_each_base_tensor(model, [&](nn::trainable& t) { sizes[t.name()] = {t.rows(), t.cols()}; });
  CHECK(sizes.size() == 2 + 2 * (2 * 2 + 6 * 2) + 2);
  CHECK(sizes.at("model.embed_positions.weight") == std::array<std::size_t, 2>{82, 18});
  for (const char* const name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                                 "mlp.fc1", "mlp.fc2", "input_layernorm", "post_attention_layernorm"})
    for (const char* const part : {".weight", ".bias"})
      CHECK_MESSAGE(sizes.count(std::string("model.layers.1.") + name + part) == 1, name);
  std::size_t floats = 0;
  for (const auto& [name, size] : sizes) floats += size[0] * size[1];
  CHECK(model.weight_bytes() == floats * sizeof(float));
  CHECK(teacher(small_shape(false)).weight_bytes() == (floats - 2 * (5 * 18 + 35)) * sizeof(float));
  // Positions are not trained, as embeddings are not.
  model.for_each_parameter([](const parameter& p) { CHECK(p.name.find("embed") == std::string_view::npos); });
}

TEST_CASE_TEMPLATE("generation with a cache goes on where the positions are", Model, teacher, student) {
  auto model = fresh<Model>(2);
  const auto tokens = random_tokens(70, 37, 3);
  nn::token_batch batch;
  batch.add(tokens);
  const auto whole = logits_of(model, batch);
  sequential threads;
  nn::generator<Model, sequential> generator(model, threads);
  std::size_t fed = 0;
  for (const std::size_t piece : std::array<std::size_t, 4>{3, 1, 65, 1}) {
    const auto logits = generator.feed(std::span(tokens).subspan(fed, piece));
    fed += piece;
    double worst = 0;
    for (std::size_t v = 0; v != 37; ++v)
      worst = std::max(worst, std::abs(double{logits[v]} - double{whole(fed - 1, v)}));
    CHECK(worst < 1e-4);
  }
}

TEST_CASE("a deployed model computes the same bits from what it stores") {
  auto model = fresh<student>(4);
  CHECK(check_deployment(model, sequences()).count("model.embed_positions.weight") == 1);
}

TEST_CASE("every channel of keys and queries has a scale of its own") {
  student model(small_shape());
  std::size_t scales = 0;
  model.for_each_parameter([&](const parameter& p) {
    if (!p.name.ends_with("scores.log_scale")) return;
    ++scales;
    CHECK(p.values.size() == 3 * 6);
  });
  CHECK(scales == 2);
}
