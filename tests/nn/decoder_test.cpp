// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <nn/deployment.hpp>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <support/reference_llama.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <set>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using teacher = nn::llama<quant::full_precision>;
using four_bits = quant::weight<4, quant::per_channel, quant::asymmetric, quant::clip::codes>;
using student = nn::llama<quant::scheme<quant::weight<3, quant::group<8>, quant::asymmetric, quant::clip::codes>>>;

constexpr std::array<std::size_t, 5> lengths{7, 1, 70, 0, 2};  // 70: more than a block of queries
nn::token_batch sequences() { return random_batch(lengths, 37, 10); }

template <class Model>
std::string refusal(model_shape shape) {
  return message_of<value_error>([&] { Model model(shape); });
}

}  // namespace

TEST_CASE("a decoder computes LLaMA's forward pass") {
  for (const rope_pairing rope : {rope_pairing::half_split, rope_pairing::interleaved})
    for (const bool tied : {true, false}) {
      CAPTURE(tied);
      auto model = random_model<teacher>(odd_shape(rope, tied), 1);
      reference_llama reference(model);
      CHECK(largest_difference(model, reference, sequences()) < 1e-4);

      // The check can fail: one weight of the second layer, a little off.
      nn::for_each_base_tensor(model, [](nn::trainable& t) {
        if (t.name() == "model.layers.1.self_attn.v_proj.weight") t.values()(3, 5) += 0.05f;
      });
      CHECK(largest_difference(model, reference, sequences()) > 1e-4);
    }
}

TEST_CASE("a decoder without blocks, and one of a single head and position") {
  model_shape shape = odd_shape();
  shape.layers = 0;
  auto model = random_model<teacher>(shape, 2);
  CHECK(largest_difference(model, reference_llama(model), sequences()) < 1e-4);

  model = random_model<teacher>({.hidden = 1,
                                 .intermediate = 1,
                                 .layers = 1,
                                 .heads = 1,
                                 .kv_heads = 1,
                                 .head_size = 2,
                                 .vocabulary = 2,
                                 .positions = 1},
                                3);
  nn::token_batch batch;
  batch.add(std::array<nn::token, 1>{1});
  const auto logits = logits_of(model, batch);
  const auto wanted = reference_llama(model).logits(std::array<nn::token, 1>{1});
  for (std::size_t v = 0; v != 2; ++v)
    CHECK(static_cast<double>(logits(0, v)) == doctest::Approx(wanted[0][v]).epsilon(1e-5));
}

TEST_CASE("a decoder with quantized weights computes with the weights its codes stand for") {
  auto model = random_model<student>(odd_shape(), 4);
  reference_llama reference(model);
  model.for_each_shared_input([](auto&& input) {
    for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
  });
  CHECK(largest_difference(model, reference, sequences()) > 1e-2);

  using weight = student::scheme::weight_type;
  model.for_each_shared_input([&](auto&& input) {
    for (auto* layer : input.layers) {
      matrix<float> values(layer->out_features(), layer->in_features());
      layer->quantizer().quantize(
          *input.smoothing, [&](std::size_t row, const std::uint8_t* codes, const simd::grid* grids) {
            quant::dequantize_row<weight>({codes, values.cols()}, grids, values.row(row).data());
          });
      reference.set(layer->name() + ".weight", values.flat());
    }
  });
  CHECK(largest_difference(model, reference, sequences()) < 1e-4);

  check_deployment(model, sequences());

  // What is stored is all there is: another model of that shape, given it, computes the same.
  student copy = student::with_storage(model.shape());
  std::vector<std::vector<std::byte>> contents;
  nn::for_each_stored(model, [&]<class T>(const std::string&, const std::vector<std::size_t>&, std::span<T> values) {
    const auto from = std::as_bytes(values);
    contents.emplace_back(from.begin(), from.end());
  });
  std::size_t next = 0;
  nn::for_each_stored(copy, [&]<class T>(const std::string&, const std::vector<std::size_t>&, std::span<T> values) {
    const auto to = std::as_writable_bytes(values);
    REQUIRE(to.size() == contents[next].size());
    std::ranges::copy(contents[next++], to.begin());
  });
  CHECK(next == contents.size());
  copy.finish_storage();
  CHECK(std::ranges::equal(logits_of(copy, sequences()).flat(), logits_of(model, sequences()).flat()));
}

TEST_CASE_TEMPLATE("frozen layers share their codes between lanes, and only the others train", scheme,
                   quant::scheme<four_bits, quant::activation<8>>, quant::scheme<four_bits>) {
  auto model = random_model<nn::llama<scheme>>(odd_shape(), 6);
  model.for_each_shared_input([](auto&& input) {
    auto& log_scale = input.smoothing->log_scale();
    std::ranges::copy(random_floats(log_scale.cols(), 7, 0.5f), log_scale.values().data());
    for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
  });
  const nn::token_batch batch = random_batch(lengths, model.shape().vocabulary, 20);
  const auto logits_on = [&](const std::vector<zo::perturbation>& points) {
    const zo::lanes<zo::rademacher> lanes({points, {}});
    sequential threads;
    nn::workspace work;
    const nn::forward_pass<simd::default_kernels, zo::lanes<zo::rademacher>, sequential> pass{lanes, threads, batch,
                                                                                              work};
    model.forward(pass);
    return work.normed;
  };
  zo::perturbation forward{{3, 4, 0}, {}};
  const auto at_rest = logits_on({forward, forward});
  model.store({.fixed_quantization = false});
  CHECK(std::ranges::equal(logits_on({forward, forward}).flat(), at_rest.flat()));
  for (std::size_t i = 0; i != batch.tokens(); ++i)
    CHECK(std::ranges::equal(at_rest.row(i), at_rest.row(batch.tokens() + i)));

  std::set<std::string> weights;
  model.for_each_parameter([&](const parameter& p) {
    if (p.group == parameter_group::weight) weights.emplace(p.name);
    CHECK(p.group != parameter_group::smoothing);  // every input has a frozen layer
  });
  CHECK(weights ==
        std::set<std::string>{"model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.v_proj.weight",
                              "model.layers.1.self_attn.q_proj.weight", "model.layers.1.self_attn.v_proj.weight"});
  forward.scale.weight = 0.3f;
  const auto moved = logits_on({forward, -forward});
  CHECK_FALSE(std::ranges::equal(moved.view().row_block(0, batch.tokens()).row(0), at_rest.row(0)));
  CHECK_FALSE(std::ranges::equal(moved.row(batch.tokens()), moved.row(0)));
}

TEST_CASE("parameters come in one order, with unique ids, and only once") {
  auto model = random_model<student>(odd_shape(), 5);
  std::set<std::uint32_t> ids;
  std::set<std::string> names;
  std::vector<std::uint32_t> order;
  model.for_each_parameter([&](const parameter& p) {
    CHECK_MESSAGE(ids.insert(p.id).second, std::string(p.name));
    CHECK_MESSAGE(names.insert(std::string(p.name)).second, std::string(p.name));
    order.push_back(p.id);
    CHECK_FALSE(p.values.empty());
  });
  // Per layer: 2 norms of gain and log scale, 7 matrices with clipping and 4 levels of step; and the final norm.
  CHECK(order.size() == 2 * (2 * 2 + 7 * 6) + 2);
  std::vector<std::uint32_t> again;
  student(odd_shape()).for_each_parameter([&](const parameter& p) { again.push_back(p.id); });
  CHECK(order == again);
}

TEST_CASE("weights are copied between schemes of one shape only") {
  auto from = random_model<teacher>(odd_shape(rope_pairing::half_split, false), 6);
  student to(from.shape());
  nn::copy_base_tensors(from, to);
  std::vector<std::vector<float>> wanted, copied;
  const auto collect = [](auto& all) {
    return [&](nn::trainable& t) { all.emplace_back(t.values().flat().begin(), t.values().flat().end()); };
  };
  nn::for_each_base_tensor(from, collect(wanted));
  nn::for_each_base_tensor(to, collect(copied));
  CHECK(wanted == copied);
  CHECK(wanted.size() == 2 * 9 + 3);
  student other(odd_shape());
  check_mentions(message_of<value_error>([&] { nn::copy_base_tensors(from, other); }), "differ in shape");
  const auto failure = [](auto& a, auto& b) { return message_of<value_error>([&] { nn::copy_base_tensors(a, b); }); };
  to.deploy();
  check_mentions(failure(from, to), "deployed", "q_proj.weight");
  check_mentions(failure(to, from), "deployed", "q_proj.weight");
}

TEST_CASE("shapes and tokens that make no sense are refused with the number") {
  for (std::size_t model_shape::*size :
       {&model_shape::hidden, &model_shape::heads, &model_shape::kv_heads, &model_shape::head_size,
        &model_shape::vocabulary, &model_shape::positions}) {
    model_shape shape = odd_shape();
    shape.*size = 0;
    check_mentions(refusal<teacher>(shape), "a size of the model is zero");
  }
  model_shape shape = odd_shape();
  shape.kv_heads = 4;
  check_mentions(refusal<teacher>(shape), "6 query heads", "4 key and value heads");
  shape = odd_shape();
  shape.head_size = 3;
  check_mentions(refusal<teacher>(shape), "head size is 3");

  auto model = random_model<teacher>(odd_shape(), 7);
  nn::token_batch batch;
  batch.add(std::array<nn::token, 2>{36, 37});
  check_mentions(message_of<value_error>([&] { static_cast<void>(logits_of(model, batch)); }), "token 37",
                 "vocabulary of 37");
}

TEST_CASE("an empty batch is a pass over nothing") {
  auto model = random_model<teacher>(odd_shape(), 8);
  nn::token_batch batch;
  CHECK(logits_of(model, batch).empty());
  batch.add(std::span<const nn::token>());
  CHECK(logits_of(model, batch).empty());
}
