// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/can_initialize.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/nn/storage_plan.hpp>
#include <zoqat/ptq/reconstruct.hpp>
#include <zoqat/ptq/round_to_nearest.hpp>
#include <zoqat/ptq/smoothquant.hpp>

#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using teacher = nn::llama<quant::full_precision>;
using student = nn::llama<
    quant::scheme<quant::weight<4, quant::per_channel, quant::asymmetric, quant::clip::codes>, quant::activation<4>>>;

// What starting a model's quantization says, one way after the other, once `prepare` was done to it.
template <class Prepare>
std::vector<std::string> complaints(const Prepare& prepare) {
  auto ideal = random_model<teacher>(odd_shape(), 1);
  student model(ideal.shape());
  nn::copy_base_tensors(ideal, model);
  prepare(model);
  sequential here;
  return {message_of<value_error>([&] { ptq::round_to_nearest(model); }),
          message_of<value_error>([&] { ptq::smoothquant(model, ideal, {}, 0.5f, here); }),
          message_of<value_error>([&] { ptq::reconstructor(model, ideal, here); })};
}

void check_complaints(const std::vector<std::string>& found, const std::string& tensor) {
  check_mentions(found[0], "round_to_nearest", tensor);
  check_mentions(found[1], "smoothquant", tensor);
  check_mentions(found[2], "reconstructor", tensor);
}

}  // namespace

TEST_CASE("a model as it was loaded can be started") {
  student model(odd_shape());
  CHECK_NOTHROW(ptq::require_can_initialize(model, "this"));
}

TEST_CASE("packed layers, fixed grids and masters of fewer bits cannot be started, and are named") {
  const std::string first = "model.layers.0.self_attn.q_proj.weight",
                    second = "model.layers.0.self_attn.k_proj.weight";
  check_complaints(complaints([](student& m) { m.deploy(); }), first);
  check_complaints(complaints([](student& m) { m.store({.trained = {"*"}}); }), first);
  check_complaints(complaints([](student& m) {
                     m.store({.trained = {"*"}, .masters = master_format::bf16, .fixed_quantization = false});
                   }),
                   first);
  check_complaints(complaints([](student& m) { m.store({.trained = {"*.q_proj"}, .fixed_quantization = false}); }),
                   second);
}
