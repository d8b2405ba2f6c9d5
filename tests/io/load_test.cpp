// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/load.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/memory_source.hpp>
#include <support/tiny_opt.hpp>
#include <zoqat/io/model_source.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/nn/opt.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using model_type = nn::llama<quant::full_precision>;
using opt_type = nn::opt<quant::full_precision>;

/// Checks that a model holds what its source has, all of it.
template <class Model, class Source>
void check_loaded(Model& model, const Source& source) {
  std::set<std::string> names, wanted;
  nn::for_each_base_tensor(model, [&](nn::trainable& t) {
    names.insert(t.name());
    std::vector<float> expected(t.values().size());
    io::copy_to_f32(*source.find(t.name()), expected);
    CHECK_MESSAGE(std::ranges::equal(t.values().flat(), expected), t.name());
  });
  io::for_each_tensor(source.shape(), [&](const std::string& name, auto) { wanted.insert(name); });
  CHECK(names == wanted);
}

}  // namespace

TEST_CASE("a model asks for exactly the tensors that a checkpoint has") {
  for (const bool tied : {false, true}) {
    auto collection = tiny_tensors(tiny_shape(tied));
    const memory_source source{tiny_shape(tied), collection.views()};
    auto model = io::load<model_type>(source);
    CHECK(model.shape() == tiny_shape(tied));
    check_loaded(model, source);
    for (std::size_t i = 0; i != source.tensors.size(); ++i) {
      auto lacking = source;
      const auto name = source.tensors[i].name;
      lacking.tensors.erase(lacking.tensors.begin() + static_cast<std::ptrdiff_t>(i));
      check_mentions(message_of<io_error>([&] { static_cast<void>(io::load<model_type>(lacking)); }), "the/file",
                     name);
      auto reshaped = source;
      std::ranges::reverse(reshaped.tensors[i].shape);
      reshaped.tensors[i].shape.push_back(1);
      check_mentions(message_of<io_error>([&] { static_cast<void>(io::load<model_type>(reshaped)); }), "memory",
                     name);
    }
  }
}

TEST_CASE("a value that is not finite is named with its tensor and its place, wherever it is") {
  auto collection = tiny_tensors(tiny_shape(false));
  const memory_source source{tiny_shape(false), collection.views()};
  for (const io::tensor_view& tensor : source.tensors)
    for (const float value : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      std::vector<float> values(io::element_count(tensor));
      io::copy_to_f32(tensor, values);
      values.back() = value;
      auto spoiled = source;
      const auto found = std::ranges::find(spoiled.tensors, tensor.name, &io::tensor_view::name);
      found->type = io::dtype::f32;
      found->data = std::as_bytes(std::span(values));
      check_mentions(message_of<io_error>([&] { static_cast<void>(io::load<model_type>(spoiled)); }), "memory",
                     "'" + tensor.name + "'", "element " + std::to_string(values.size() - 1),
                     std::isnan(value) ? "is nan" : "is -inf");
    }
}

TEST_CASE("models load from the formats there are") {
  const temporary_folder folder;
  write_file(folder / "tiny.bin", tiny_llama2c(true));
  const auto checkpoint = io::open_model(folder / "tiny.bin");
  auto model = io::load<model_type>(checkpoint);
  check_loaded(model, checkpoint);
  auto tensors = tiny_tensors(tiny_shape(false));
  write_hugging_face(folder / "hf", tiny_shape(false), tensors.views());
  const auto hugging_face = io::open_model(folder / "hf");
  model = io::load<model_type>(hugging_face);
  check_loaded(model, hugging_face);
}

TEST_CASE("an OPT model loads from its names, biases and positions too") {
  const temporary_folder folder;
  auto tensors = tiny_opt_tensors(tiny_opt_shape());
  write_hugging_face(folder / "opt", tiny_opt_config(tiny_opt_shape()), tensors.views());
  const auto source = io::open_model(folder / "opt");
  auto model = io::load<opt_type>(source);
  CHECK(model.shape() == tiny_opt_shape());
  check_loaded(model, source);
}

TEST_CASE("a model of another kind is refused, with the family that it is of") {
  const temporary_folder folder;
  auto llama = tiny_tensors(tiny_shape(false));
  write_hugging_face(folder / "llama", tiny_shape(false), llama.views());
  auto opt = tiny_opt_tensors(tiny_opt_shape());
  auto config = tiny_opt_config(tiny_opt_shape());
  write_hugging_face(folder / "opt", config, opt.views());
  config["activation_function"] = "gelu_new";
  write_hugging_face(folder / "gelu", config, opt.views());
  const auto failure = [&]<class Model>(std::type_identity<Model>, const char* name) {
    const auto source = io::open_model(folder / name);
    return message_of<io_error>([&] { static_cast<void>(io::load<Model>(source)); });
  };
  check_mentions(failure(std::type_identity<model_type>(), "opt"), (folder / "opt").string(),
                 "of the family opt with relu", "as one of llama with silu");
  check_mentions(failure(std::type_identity<opt_type>(), "llama"), (folder / "llama").string(),
                 "of the family llama with silu", "as one of opt with relu");
  check_mentions(failure(std::type_identity<opt_type>(), "gelu"), "of the family opt with gelu_tanh",
                 "as one of opt with relu");
  model_type model(tiny_shape(false));
  check_mentions(message_of<io_error>([&] { io::load_base_tensors(io::open_model(folder / "opt"), model); }),
                 "of the family opt with relu");
}

TEST_CASE("a matrix of one row is stored with its row or without") {
  model_shape shape = tiny_shape(true);
  shape.vocabulary = shape.intermediate = 1;
  auto collection = tiny_tensors(shape);
  memory_source source{shape, collection.views()};
  auto model = io::load<model_type>(source);
  for (auto& tensor : source.tensors)
    if (tensor.name == "model.embed_tokens.weight") tensor.shape = {8};
  model = io::load<model_type>(source);
  nn::for_each_base_tensor(model, [&](nn::trainable& t) {
    std::vector<float> expected(t.values().size());
    io::copy_to_f32(*source.find(t.name()), expected);
    CHECK(std::ranges::equal(t.values().flat(), expected));
  });
}

TEST_CASE("a model loads for fine-tuning tensor by tensor, and is the one that was loaded as a whole") {
  using scheme = quant::scheme<quant::weight<4, quant::per_channel, quant::asymmetric, quant::clip::codes>>;
  const temporary_folder folder;
  auto collection = tiny_opt_tensors(tiny_opt_shape());
  write_hugging_face(folder.path(), tiny_opt_config(tiny_opt_shape()), collection.views());
  const auto source = io::open_model(folder.path());
  const nn::storage_plan plan{.masters = master_format::bf16, .embeddings = master_format::int8};
  auto whole = io::load<nn::opt<scheme>>(source);
  whole.for_each_shared_input([](auto&& input) {
    for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
  });
  whole.store(plan);
  auto built = io::load<nn::opt<scheme>>(source, plan);
  CHECK(built.weight_bytes() == whole.weight_bytes());
  std::vector<std::vector<std::byte>> stored;
  const auto bytes_of = [](nn::trainable& t) {
    const parameter p = t.view();
    std::vector<std::byte> bytes;
    for (const auto part : {std::as_bytes(p.values), std::as_bytes(p.compact.halves), std::as_bytes(p.compact.codes)})
      bytes.insert(bytes.end(), part.begin(), part.end());
    return bytes;
  };
  nn::for_each_base_tensor(whole, [&](nn::trainable& t) { stored.push_back(bytes_of(t)); });
  std::size_t i = 0;
  nn::for_each_base_tensor(built, [&](nn::trainable& t) { CHECK_MESSAGE(bytes_of(t) == stored[i++], t.name()); });
  CHECK(i == stored.size());

  CHECK_THROWS_AS(static_cast<void>(io::load<nn::llama<scheme>>(source, plan)), io_error);
}
