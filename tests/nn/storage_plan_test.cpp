// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/storage_plan.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/opt.hpp>
#include <zoqat/quant/scheme.hpp>
#include <zoqat/zo/log/run_log.hpp>
#include <zoqat/zo/update.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using codes = quant::scheme<quant::weight<4, quant::per_channel, quant::asymmetric, quant::clip::codes>,
                            quant::activation<4, quant::per_token>>;
using groups =
    quant::scheme<quant::weight<3, quant::group<8>, quant::asymmetric, quant::clip::none, quant::fp16_scale>>;

model_shape shape(bool tied = true) {
  model_shape s = odd_shape(rope_pairing::half_split, tied);
  s.biases = true;
  return s;
}
const nn::token_batch& batch() {
  static const nn::token_batch some = random_batch(std::array<std::size_t, 2>{9, 23}, 37, 3);
  return some;
}

/// Loaded as a whole, quantized by rounding to nearest.
template <class Model>
Model started(const model_shape& s) {
  auto model = random_model<Model>(s);
  model.for_each_shared_input([](auto&& input) {
    for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
  });
  return model;
}
std::vector<float> bits(matrix<float> m) { return {m.flat().begin(), m.flat().end()}; }

template <class Model>
std::set<std::string> weights_of(Model& model) {
  std::set<std::string> names;
  model.for_each_parameter([&](const parameter& p) {
    if (p.group == parameter_group::weight) names.emplace(p.name);
  });
  return names;
}

}  // namespace

TEST_CASE("a plan trains the layers that one of its patterns names") {
  const nn::storage_plan queries_and_values;
  CHECK(queries_and_values.trains("model.layers.11.self_attn.q_proj"));
  CHECK(queries_and_values.trains("model.layers.0.self_attn.v_proj"));
  CHECK_FALSE(queries_and_values.trains("model.layers.0.self_attn.k_proj"));
  CHECK_FALSE(queries_and_values.trains("model.layers.0.self_attn.q_proj.weight"));
  const nn::storage_plan some{.trained = {"model.layers.1?.mlp.*", "*.o_proj"}};
  CHECK(some.trains("model.layers.12.mlp.fc1"));
  CHECK_FALSE(some.trains("model.layers.2.mlp.fc1"));
  CHECK(some.trains("model.layers.2.self_attn.o_proj"));
  CHECK_FALSE(nn::storage_plan{.trained = {}}.trains("anything"));
}

TEST_CASE_TEMPLATE("storing a model as planned changes no bit of what it computes", Scheme, codes, groups) {
  auto model = started<nn::opt<Scheme>>(shape());
  const auto before = bits(logits_of(model, batch()));
  model.store({});
  CHECK(bits(logits_of(model, batch())) == before);
  CHECK(weights_of(model) ==
        std::set<std::string>{"model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.v_proj.weight",
                              "model.layers.1.self_attn.q_proj.weight", "model.layers.1.self_attn.v_proj.weight"});
  model.for_each_parameter([](const parameter& p) { CHECK(p.group == parameter_group::weight); });
  model.deploy();
  model.for_each_parameter([](const parameter& p) { FAIL(p.name); });
  CHECK(bits(logits_of(model, batch())) == before);
}

TEST_CASE("what a plan leaves out does not train, and no lane moves it") {
  const auto names = [](const nn::storage_plan& plan) {
    auto model = started<nn::opt<codes>>(shape());
    model.store(plan);
    std::set<std::string> all;
    model.for_each_parameter([&](const parameter& p) { all.emplace(p.name); });
    return all;
  };
  const std::string block = "model.layers.0.";
  CHECK(names({.trained = {block + "mlp.fc1"}}) == std::set{block + "mlp.fc1.weight"});
  const auto with_norms = names({.trained = {block + "mlp.fc1"}, .norms = true});
  CHECK(with_norms.contains(block + "mlp.fc1.bias"));
  CHECK(with_norms.contains("model.norm.weight"));
  CHECK_FALSE(with_norms.contains(block + "mlp.fc2.bias"));
  const auto clipped = names({.trained = {block + "mlp.fc1"}, .fixed_quantization = false});
  CHECK(clipped.contains(block + "mlp.fc1.clipping"));

  auto model = started<nn::opt<codes>>(shape());
  model.store({});
  const auto before = bits(logits_of(model, batch()));
  auto everything_else = per_group<float>::all(0.5f);
  everything_else.weight = 0;
  const zo::perturbation point{{1, 2, 3}, everything_else};
  const zo::lanes<zo::gaussian> lane({std::span(&point, 1), {}});
  sequential here;
  nn::workspace work;
  const auto tokens = batch();
  model.forward(
      nn::forward_pass<simd::default_kernels, zo::lanes<zo::gaussian>, sequential>{lane, here, tokens, work});
  const auto moved = work.normed;
  constexpr inference_lane rest;
  model.forward(nn::forward_pass<simd::default_kernels, inference_lane, sequential>{rest, here, tokens, work});
  CHECK(std::ranges::equal(moved.flat(), work.normed.flat()));
  CHECK(bits(logits_of(model, batch())) == before);
}

TEST_CASE("in full precision too only the layers that a plan names train") {
  auto model = random_model<nn::opt<quant::full_precision>>(shape());
  model.store({.trained = {"*.q_proj"}, .masters = master_format::bf16});
  CHECK(weights_of(model) ==
        std::set<std::string>{"model.layers.0.self_attn.q_proj.weight", "model.layers.1.self_attn.q_proj.weight"});
  check_mentions(message_of<value_error>([&] { model.store({.trained = {}, .steps = true}); }), "step sizes");
}

TEST_CASE("a pattern that names no layer is an error, with the names that there are") {
  auto model = started<nn::opt<codes>>(shape());
  const nn::storage_plan plan{.trained = {"*.q_proj", "*.out_proj"}};
  check_mentions(message_of<value_error>([&] { model.store(plan); }), "'*.out_proj'", "self_attn.o_proj", "mlp.fc2");
  check_mentions(message_of<value_error>([&] {
                   (void)nn::opt<codes>::build(
                       shape(), [](nn::trainable&) {}, plan);
                 }),
                 "'*.out_proj'");
  CHECK(weights_of(model).size() == 12);
}

TEST_CASE("weights are copied out of a model in fewer bits as they are, and never into one") {
  for (const master_format format : {master_format::bf16, master_format::int8}) {
    auto from = random_model<nn::opt<quant::full_precision>>(shape());
    from.store({.trained = {"*"}, .masters = format, .embeddings = format});
    nn::opt<quant::full_precision> to(from.shape());
    nn::copy_base_tensors(from, to);
    CHECK(bits(logits_of(to, batch())) == bits(logits_of(from, batch())));
    check_mentions(message_of<value_error>([&] { nn::copy_base_tensors(to, from); }), "model.embed_tokens.weight",
                   "fewer bits");
  }
}

TEST_CASE("models that differ in what is frozen have different fingerprints") {
  const auto of = [](float factor, bool packed_too) {
    auto model = started<nn::opt<codes>>(shape());
    nn::for_each_base_tensor(model, [&](nn::trainable& t) {
      if (t.name().ends_with(packed_too ? "fc1.weight" : "embed_tokens.weight"))
        for (float& x : t.values().flat()) x *= factor;
    });
    model.store({});
    return zo::fingerprint(model);
  };
  CHECK(of(1, true) == of(1, false));
  CHECK(of(2, true) != of(1, true));
  CHECK(of(2, false) != of(1, false));
  CHECK(of(2, false) != of(2, true));
}

TEST_CASE_TEMPLATE("a model built tensor by tensor is the one that was loaded as a whole and stored", Scheme, codes,
                   groups, quant::full_precision) {
  for (const bool tied : {true, false})
    for (const master_format format : {master_format::fp32, master_format::bf16, master_format::int8}) {
      const nn::storage_plan plan{.trained = {"*.fc?", "*.k_proj"}, .masters = format, .embeddings = format};
      auto whole = started<nn::opt<Scheme>>(shape(tied));
      auto source = random_model<nn::opt<quant::full_precision>>(shape(tied));
      std::vector<const nn::trainable*> tensors;
      nn::for_each_base_tensor(source, [&](nn::trainable& t) { tensors.push_back(&t); });
      std::size_t filled = 0;
      auto built = nn::opt<Scheme>::build(
          shape(tied),
          [&](nn::trainable& t) {
            const auto same = [&](const nn::trainable* s) { return s->name() == t.name(); };
            const auto found = std::ranges::find_if(tensors, same);
            REQUIRE(found != tensors.end());
            REQUIRE(t.values().size() == (*found)->values().size());
            std::ranges::copy((*found)->values().flat(), t.values().flat().begin());
            ++filled;
          },
          plan);
      CHECK(filled == tensors.size());
      whole.store(plan);
      CHECK(zo::fingerprint(built) == zo::fingerprint(whole));
      CHECK(bits(logits_of(built, batch())) == bits(logits_of(whole, batch())));
      CHECK(built.weight_bytes() == whole.weight_bytes());
    }
}

TEST_CASE("a model with quantized queries, keys and values has their scales when it was built tensor by tensor") {
  using scores = quant::scheme<quant::weight<4>, quant::activation<8>, quant::attention<8>>;
  const auto scales_in = [](auto model) {
    std::size_t n = 0;
    nn::for_each_trainable(model, [&](nn::trainable& t) {
      if (t.view().group != parameter_group::score_scale) return;
      n += t.values().size();
      CHECK(t.frozen());
    });
    return n;
  };
  nn::opt<scores> whole(shape());
  whole.store({});
  CHECK(scales_in(nn::opt<scores>::build(shape(), [](nn::trainable&) {}, {})) > 0);
  CHECK(scales_in(nn::opt<scores>::build(shape(), [](nn::trainable&) {}, {})) == scales_in(std::move(whole)));
}

TEST_CASE("masters in bf16 compute what rounded masters compute, on the grids of the others") {
  auto stored = started<nn::opt<codes>>(shape()), rounded = started<nn::opt<codes>>(shape());
  const nn::storage_plan plan{.trained = {"*"}, .masters = master_format::bf16};
  stored.store(plan);
  rounded.for_each_parameter([](const parameter& p) {
    if (p.group == parameter_group::weight)
      for (float& x : p.values) x = static_cast<float>(bf16(x));
  });
  CHECK(bits(logits_of(stored, batch())) == bits(logits_of(rounded, batch())));
}

TEST_CASE("embeddings in fewer bits give logits nearby") {
  for (const bool tied : {true, false}) {
    auto model = random_model<nn::opt<quant::full_precision>>(shape(tied));
    const auto exact = bits(logits_of(model, batch()));
    for (const auto& [format, bound] : {std::pair{master_format::bf16, 0.02}, std::pair{master_format::int8, 0.1}}) {
      auto stored = model;
      stored.store({.trained = {"*"}, .embeddings = format});
      const auto found = bits(logits_of(stored, batch()));
      double worst = 0;
      for (std::size_t i = 0; i != exact.size(); ++i)
        worst = std::max(worst, std::abs(double{found[i]} - double{exact[i]}));
      CHECK(worst > 0);
      CHECK(worst < bound);
    }
  }
}

TEST_CASE("fixed grids stay while the weights move") {
  auto model = started<nn::opt<groups>>(shape());
  model.store({.trained = {"*.q_proj"}});
  std::vector<simd::grid> before, after;
  const auto grids_of = [&](std::vector<simd::grid>& to) {
    model.for_each_shared_input([&](auto&& input) {
      for (auto* layer : input.layers)
        if (!layer->deployed())
          layer->quantizer().quantize(*input.smoothing, [&](std::size_t, const std::uint8_t*, const simd::grid* g) {
            to.insert(to.end(), g, g + layer->groups());
          });
    });
  };
  grids_of(before);
  const auto logits = bits(logits_of(model, batch()));
  zo::apply(
      zo::update{zo::planned_update{.seed = 1, .gain = {.weight = 0.2f}, .half_difference = {1.0f}}, zo::gaussian()},
      model);
  grids_of(after);
  CHECK(!before.empty());
  CHECK(after == before);
  CHECK(bits(logits_of(model, batch())) != logits);
}

TEST_CASE("a model in fewer bits widens again where it is deployed, and computes the same") {
  for (const master_format format : {master_format::bf16, master_format::int8}) {
    auto model = started<nn::opt<codes>>(shape(false));
    model.store({.trained = {"*"}, .masters = format, .embeddings = format});
    const auto before = bits(logits_of(model, batch()));
    model.deploy();
    CHECK(bits(logits_of(model, batch())) == before);
    nn::for_each_stored(
        model, [](const std::string& name, const auto&, auto values) { CHECK_MESSAGE(!values.empty(), name); });
  }
}

TEST_CASE("the bytes that a model holds are its masters, and codes where layers are frozen") {
  using model_type = nn::opt<groups>;
  const auto held = [](master_format masters) {
    auto model = started<model_type>(shape());
    model.store({.masters = masters});
    return model.held_bytes();
  };
  auto model = started<model_type>(shape());
  std::size_t values = 0;
  nn::for_each_base_tensor(model, [&](nn::trainable& t) { values += t.rows() * t.cols(); });
  CHECK(model.held_bytes() == values * sizeof(float));

  model.store({});
  std::size_t trained = 0, saved = 0;
  model.for_each_shared_input([&](auto&& input) {
    for (auto* layer : input.layers) {
      const std::size_t weights = layer->out_features() * layer->in_features();
      if (!layer->deployed()) trained += weights;
      saved += layer->deployed()
                   ? weights * sizeof(float) + layer->out_features() * sizeof(float) - layer->weight_bytes()
                   : 0 - layer->quantizer_bytes();
    }
  });
  CHECK(model.held_bytes() == values * sizeof(float) - saved);
  CHECK(held(master_format::fp32) == model.held_bytes());
  CHECK(held(master_format::bf16) == model.held_bytes() - trained * 2);
  CHECK(held(master_format::int8) < held(master_format::bf16) - trained * 3 / 4);

  model.deploy();
  CHECK(model.held_bytes() == model.weight_bytes());
}
