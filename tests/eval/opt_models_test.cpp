// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/random_model.hpp>
#include <support/reference_opt.hpp>
#include <zoqat/io/load.hpp>
#include <zoqat/io/model_source.hpp>
#include <zoqat/nn/opt.hpp>

#include <array>
#include <cstddef>
#include <filesystem>

// Real OPT models in Hugging Face's layout, against a forward pass in double that is fed from the same files.

using namespace zoqat;
using namespace zoqat::testing;

namespace {

constexpr std::array<std::size_t, 3> lengths{40, 1, 13};

template <class Model>
void check_against_reference(const std::filesystem::path& folder) {
  const auto source = io::open_model(folder);
  auto model = io::load<Model>(source);
  const reference_opt reference(model.shape(), io::safetensors_file(folder / "model.safetensors"));
  const auto batch = random_batch(lengths, model.shape().vocabulary, 1);
  const double difference = largest_difference(model, reference, batch);
  MESSAGE("largest difference of a logit: ", difference);
  CHECK(difference < 1e-4);
}

}  // namespace

TEST_CASE("tiny-opt has the logits it should") {
  check_against_reference<nn::opt<quant::full_precision>>(project_file("examples/models/tiny-opt"));
}

TEST_CASE("opt-layout-3m, with GELU, has the logits it should") {
  const auto folder = shared_data("models/opt-layout-3m");
  if (folder) check_against_reference<nn::opt<quant::full_precision, nn::gelu_tanh>>(*folder);
}
