// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/merge_adapters.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/nn/opt.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using w3g8 = nn::llama<quant::scheme<quant::weight<3, quant::group<8>>>>;
using smoothed = nn::llama<quant::scheme<quant::weight<4>, quant::activation<8>>>;
using shifted = nn::opt<quant::scheme<quant::weight<4>, quant::activation<8>, quant::shift>>;

std::vector<nn::token_batch> corpus() {
  std::vector<nn::token_batch> batches;
  for (std::uint32_t i = 0; i != 6; ++i)
    batches.push_back(random_batch(std::array<std::size_t, 3>{31, 40, 27}, 37, 10 * i));
  return batches;
}
constexpr auto silent = [](std::size_t, std::size_t) {};

/// Packed, its inputs smoothed (and shifted), with adapters whose B is up to `scale`.
template <class Model>
Model adapted(float scale) {
  model_shape shape = odd_shape();
  shape.biases = true;
  auto model = random_model<Model>(shape);
  std::uint32_t name = 90;
  model.for_each_shared_input([&](auto&& input) {
    for (auto* t : {&input.smoothing->log_scale(), &input.smoothing->shift()})
      if (!t->empty()) std::ranges::copy(random_floats(t->values().size(), ++name, 0.3f), t->values().data());
    for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
  });
  model.store({.trained = {}, .adapters = {.layers = {"*"}, .rank = 2, .alpha = 2}});
  model.for_each_parameter([&](const parameter& p) {
    if (p.name.ends_with(".lora_B.weight"))
      std::ranges::copy(random_floats(p.size(), ++name, scale), p.values.begin());
  });
  model.deploy();
  return model;
}
template <class Model>
double squared_difference(Model& a, Model& b) {
  const auto batch = random_batch(std::array<std::size_t, 2>{50, 60}, 37, 500);
  const matrix<float> x = logits_of(a, batch), y = logits_of(b, batch);
  double sum = 0;
  for (std::size_t i = 0; i != x.size(); ++i) {
    const double d = double{x.flat()[i]} - double{y.flat()[i]};
    sum += d * d;
  }
  return sum / static_cast<double>(x.size());
}
template <class Model>
auto stored(Model& model, std::string_view ending) {
  std::vector<std::vector<std::byte>> all;
  nn::for_each_stored(model, [&](const std::string& name, const auto&, auto values) {
    const auto bytes = std::as_bytes(values);
    if (name.ends_with(ending)) all.emplace_back(bytes.begin(), bytes.end());
  });
  return all;
}
/// Merges by rounding to nearest: with moments that say that inputs do not depend on each other.
template <class Model>
void merge_to_nearest(Model& model) {
  sequential here;
  model.for_each_shared_input([&](auto&& input) {
    const std::size_t in = input.layers[0]->in_features();
    matrix<double> identity(in, in, 0.0);
    for (std::size_t i = 0; i != in; ++i) identity(i, i) = 1;
    const ptq::gptq_metric metric(identity, {});
    for (auto* layer : input.layers) ptq::detail::merge_adapter(*layer, *input.smoothing, metric, here);
  });
}

}  // namespace

TEST_CASE_TEMPLATE("merged codes stand for the layers with their adapters, better than rounding each to nearest",
                   Model, w3g8, smoothed, shifted) {
  auto wanted = adapted<Model>(0.5f), merged = wanted, nearest = wanted, dropped = wanted;
  thread_pool threads(2);
  ptq::merge_adapters(merged, corpus(), threads, {}, silent);
  merge_to_nearest(nearest);
  dropped.for_each_shared_input([](auto&& input) {
    for (auto* layer : input.layers) layer->drop_adapter();
  });
  CHECK(stored(merged, ".scales") == stored(wanted, ".scales"));
  CHECK(stored(merged, ".codes") != stored(wanted, ".codes"));
  CHECK(stored(merged, ".lora_A.weight").empty());
  CHECK(stored(wanted, ".lora_A.weight").size() > 0);
  CHECK_FALSE(merged.adapter_alpha());
  CHECK(merged.weight_bytes() == dropped.weight_bytes());
  const double left = squared_difference(merged, wanted);
  CHECK(left < 0.8 * squared_difference(nearest, wanted));
  CHECK(left < 0.3 * squared_difference(dropped, wanted));
}

TEST_CASE_TEMPLATE("an adapter that is zero changes no code", Model, w3g8, smoothed) {
  auto before = adapted<Model>(0), merged = before;
  sequential here;
  ptq::merge_adapters(merged, corpus(), here, {}, silent);
  CHECK(stored(merged, ".codes") == stored(before, ".codes"));
  CHECK(squared_difference(merged, before) == 0);
}

TEST_CASE("layers that still train are not merged into") {
  auto model = random_model<w3g8>(odd_shape());
  model.store({.trained = {"*.v_proj"}, .adapters = {.layers = {"*.v_proj"}, .rank = 2}});
  sequential here;
  check_mentions(message_of<value_error>([&] { ptq::merge_adapters(model, corpus(), here, {}, silent); }),
                 "model.layers.0.self_attn.v_proj", "deploy");
  auto scaled = random_model<w3g8>(odd_shape());
  scaled.store({.trained = {}, .steps = true, .adapters = {.layers = {"*.k_proj"}, .rank = 2}});
  check_mentions(message_of<value_error>([&] { ptq::merge_adapters(scaled, corpus(), here, {}, silent); }),
                 "model.layers.0.self_attn.k_proj");
}
