// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/prepare.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/llama.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using teacher = nn::llama<quant::full_precision>;
using student = nn::llama<
    quant::scheme<quant::weight<4, quant::per_channel, quant::asymmetric, quant::clip::codes>, quant::activation<4>>>;
using without_grids = nn::llama<quant::scheme<quant::weight<4>>>;

struct setup {
  teacher ideal = random_model<teacher>(odd_shape(), 1);
  std::vector<nn::token_batch> calibration{random_batch(std::array<std::size_t, 2>{30, 25}, 37, 3)};
  sequential here;

  template <class Model = student>
  [[nodiscard]] Model start() {
    Model model(ideal.shape());
    nn::copy_base_tensors(ideal, model);
    return model;
  }
  [[nodiscard]] student prepared(const ptq::prepare_options& options) {
    student model = start();
    ptq::prepare(model, ideal, calibration, here, options);
    return model;
  }
};

/// The units of all rows of weights, one layer after the other.
template <class Model>
std::vector<float> units_of(Model& model) {
  std::vector<float> units;
  model.for_each_parameter([&](const parameter& p) { units.insert(units.end(), p.unit.begin(), p.unit.end()); });
  return units;
}

}  // namespace

TEST_CASE("each depth is what its stages make one after the other, with weights measured in step sizes") {
  setup s;
  student by_hand = s.start();
  const auto same_as = [&](ptq::stage depth) {
    student expected = by_hand;
    ptq::set_weight_units(expected);
    student found = s.prepared({.depth = depth, .smoothing_alpha = 0.3f});
    CHECK(bits_of(found) == bits_of(expected));
    CHECK(units_of(found) == units_of(expected));
    CHECK_FALSE(units_of(found).empty());
    return found;
  };
  const std::vector<std::uint32_t> untouched = bits_of(by_hand);
  ptq::round_to_nearest(by_hand);
  const std::vector<std::uint32_t> rounded = bits_of(by_hand);
  CHECK(rounded != untouched);
  auto alone = s.start();
  ptq::prepare(alone);
  auto found = same_as(ptq::stage::rtn);
  CHECK(bits_of(alone) == bits_of(found));
  CHECK(units_of(alone) == units_of(found));

  ptq::smoothquant(by_hand, s.ideal, s.calibration, 0.3f, s.here);
  const std::vector<std::uint32_t> smoothed = bits_of(by_hand);
  CHECK(smoothed != rounded);
  same_as(ptq::stage::smoothquant);

  student ranges = by_hand;
  ptq::reconstructor(by_hand, s.ideal, s.here, {.depth = ptq::reconstruction::codes})(s.calibration,
                                                                                      [](auto, auto) {});
  CHECK(bits_of(by_hand) != smoothed);
  same_as(ptq::stage::codes);
  std::swap(by_hand, ranges);
  ptq::reconstructor(by_hand, s.ideal, s.here, {.depth = ptq::reconstruction::ranges})(s.calibration,
                                                                                       [](auto, auto) {});
  CHECK(bits_of(by_hand) != bits_of(ranges));
  same_as(ptq::stage::ranges);
}

TEST_CASE("weights keep their own units where they are wanted") {
  setup s;
  auto model = s.prepared({.depth = ptq::stage::rtn, .weight_units = false});
  CHECK(units_of(model).empty());
}

TEST_CASE("every stage and every block is reported once, in order") {
  setup s;
  using blocks = std::vector<std::pair<std::size_t, std::size_t>>;
  const auto reported = [&](ptq::stage depth) {
    std::pair<std::vector<ptq::stage>, blocks> seen;
    (void)s.prepared({.depth = depth,
                      .progress = [&](std::size_t block, std::size_t of) { seen.second.emplace_back(block, of); },
                      .after_stage = [&](ptq::stage done) { seen.first.push_back(done); }});
    return seen;
  };
  using enum ptq::stage;
  const blocks none, both{{0, 2}, {1, 2}};
  CHECK(reported(rtn) == std::pair(std::vector{rtn}, none));
  CHECK(reported(smoothquant) == std::pair(std::vector{rtn, smoothquant}, none));
  CHECK(reported(ranges) == std::pair(std::vector{rtn, smoothquant, ranges}, both));
  CHECK(reported(codes) == std::pair(std::vector{rtn, smoothquant, codes}, both));
}

TEST_CASE("a scheme whose grids cannot be chosen is refused before anything changes, unless no stage chooses any") {
  setup s;
  auto model = s.start<without_grids>();
  const auto untouched = bits_of(model);
  check_mentions(message_of<value_error>([&] { ptq::prepare(model, s.ideal, s.calibration, s.here); }), "codes",
                 "clip::codes", "smoothquant");
  CHECK(bits_of(model) == untouched);
  CHECK(units_of(model).empty());
  ptq::prepare(model, s.ideal, s.calibration, s.here, {.depth = ptq::stage::smoothquant});
  CHECK_FALSE(units_of(model).empty());
}

TEST_CASE("options that a stage would not look at are refused before anything changes") {
  setup s;
  auto model = s.start();
  const auto untouched = bits_of(model);
  const auto refusal = [&](const ptq::prepare_options& options) {
    return message_of<value_error>([&] { ptq::prepare(model, s.ideal, s.calibration, s.here, options); });
  };
  const std::vector<std::vector<nn::output_metric>> metrics(2);
  check_mentions(refusal({.depth = ptq::stage::gptq, .damping = 0.05}), "0.05", "'gptq'", "feedback.damping");
  check_mentions(refusal({.depth = ptq::stage::ranges, .outputs = {.given = metrics}}), "'ranges'", "stage 'codes'");
  CHECK(bits_of(model) == untouched);
}

TEST_CASE("a model in full precision has nothing to prepare") {
  setup s;
  const auto before = bits_of(s.ideal);
  ptq::prepare(s.ideal);
  CHECK(bits_of(s.ideal) == before);
  CHECK(units_of(s.ideal).empty());
}

TEST_CASE(
    "what reconstruction is measured against starts from rounding to nearest, and is what its own function makes") {
  setup s;
  const auto same_as = [&](ptq::stage depth, auto&& by_hand) {
    student expected = s.start();
    ptq::round_to_nearest(expected);
    const auto rounded = bits_of(expected);
    by_hand(expected);
    CHECK(bits_of(expected) != rounded);
    ptq::set_weight_units(expected);
    std::vector<ptq::stage> seen;
    student found = s.prepared({.depth = depth, .after_stage = [&](ptq::stage done) { seen.push_back(done); }});
    CHECK(bits_of(found) == bits_of(expected));
    CHECK(units_of(found) == units_of(expected));
    CHECK(seen == std::vector{ptq::stage::rtn, depth});
  };
  const auto silent = [](auto, auto) {};
  same_as(ptq::stage::clip,
          [&](student& model) { ptq::clip_search(model, s.calibration, ptq::clip_metric::inputs, s.here, silent); });
  same_as(ptq::stage::gptq,
          [&](student& model) { CHECK(ptq::gptq(model, s.calibration, s.here, {}, silent) == 0.01); });
  same_as(ptq::stage::outlier_suppression,
          [&](student& model) { ptq::outlier_suppression(model, s.ideal, s.calibration, s.here, {}, silent); });
  // Clipping by the weights alone needs no text.
  student by_weights = s.start();
  ptq::clip_search(by_weights, {}, ptq::clip_metric::weights, s.here, silent);
  student found = s.prepared({.depth = ptq::stage::clip, .clipping = ptq::clip_metric::weights});
  CHECK(bits_of(by_weights) == bits_of(found));
}

TEST_CASE("a stage that does not fit the scheme is refused, with one that does") {
  using weights_only = quant::scheme<quant::weight<4, quant::per_channel, quant::asymmetric, quant::clip::codes>>;
  check_mentions(
      message_of<value_error>([] { ptq::require_stage_fits<weights_only>(ptq::stage::outlier_suppression); }),
      "'os+'", "'gptq'");
  check_mentions(message_of<value_error>([] { ptq::require_stage_fits<student::scheme>(ptq::stage::rptq); }),
                 "'rptq'", "'smoothquant'");
  check_mentions(message_of<value_error>([] { ptq::require_stage_fits<without_grids::scheme>(ptq::stage::gptq); }),
                 "'gptq'", "clip::codes");
  ptq::require_stage_fits<weights_only>(ptq::stage::gptq);
}
