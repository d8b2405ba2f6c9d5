// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/opt_config.hpp>

#include <doctest/doctest.h>
#include <support/corruption.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/tiny_opt.hpp>

#include <span>
#include <string>
#include <string_view>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

model_shape parse(const io::json& config) { return io::parse_opt_config(config, "the/file"); }

// The tiny configuration with one member changed.
io::json with(const std::string& key, const io::json& value) {
  auto config = tiny_opt_config(tiny_opt_shape());
  config[key] = value;
  return config;
}
io::json without(const std::string& key) {
  auto config = tiny_opt_config(tiny_opt_shape());
  config.erase(key);
  return config;
}

std::string failure(const io::json& config) {
  return message_of<io_error>([&] { static_cast<void>(parse(config)); });
}

}  // namespace

TEST_CASE("the shape is what the configuration says") {
  for (const bool tied : {true, false})
    for (const bool biases : {true, false})
      CHECK(parse(tiny_opt_config(tiny_opt_shape(tied, biases))) == tiny_opt_shape(tied, biases));
}

TEST_CASE("absent and null members get the defaults of OPT") {
  auto config = tiny_opt_config(tiny_opt_shape());
  for (const auto* key : {"architectures", "word_embed_proj_dim", "activation_function", "do_layer_norm_before",
                          "enable_bias", "layer_norm_elementwise_affine", "tie_word_embeddings"}) {
    config.erase(key);
    CHECK(parse(config) == tiny_opt_shape());
    config[key] = nullptr;
    CHECK(parse(config) == tiny_opt_shape());
  }
}

TEST_CASE("the activation is part of the kind") {
  const auto activation = [](const char* name) { return parse(with("activation_function", name)).kind.activation; };
  CHECK(activation("relu") == activation_function::relu);
  CHECK(activation("gelu") == activation_function::gelu_erf);
  CHECK(activation("gelu_new") == activation_function::gelu_tanh);
  CHECK(activation("gelu_pytorch_tanh") == activation_function::gelu_tanh);
  check_mentions(failure(with("activation_function", "quick_gelu")), "the/file",
                 "\"activation_function\" is \"quick_gelu\"", "\"relu\"", "\"gelu_new\"");
  check_mentions(failure(with("activation_function", 1)), "the/file", "\"activation_function\"", "1");
}

TEST_CASE("a shape is written as Hugging Face writes it, and read back") {
  CHECK(io::to_opt_config(tiny_opt_shape()) == tiny_opt_config(tiny_opt_shape()));
  for (const auto activation :
       {activation_function::relu, activation_function::gelu_erf, activation_function::gelu_tanh}) {
    auto shape = tiny_opt_shape(false, false);
    shape.kind.activation = activation;
    CHECK(parse(io::to_opt_config(shape)) == shape);
  }
}

TEST_CASE("what OPT-350M has is refused by name, with the value") {
  check_mentions(failure(with("do_layer_norm_before", false)), "the/file", "\"do_layer_norm_before\" is false");
  check_mentions(failure(with("word_embed_proj_dim", 512)), "the/file", "\"word_embed_proj_dim\" is 512",
                 "\"hidden_size\" 6");
}

TEST_CASE("other settings that are not supported are named and refused") {
  check_mentions(failure(with("layer_norm_elementwise_affine", false)), "\"layer_norm_elementwise_affine\" is false");
  check_mentions(failure(with("_remove_final_layer_norm", true)), "\"_remove_final_layer_norm\" is true");
  check_mentions(failure(with("quantization_config", {{"bits", 4}})), "\"quantization_config\"", "bits");
}

TEST_CASE("other architectures are named and refused") {
  check_mentions(failure(with("model_type", "llama")), "the/file", "\"model_type\" is \"llama\"", "\"opt\"");
  check_mentions(failure(without("model_type")), "the/file", "\"model_type\" is missing");
  check_mentions(failure(with("architectures", {"OPTForSequenceClassification"})), "the/file",
                 "OPTForSequenceClassification", "OPTForCausalLM");
}

TEST_CASE("sizes must be there and be plausible") {
  for (const auto* key : {"hidden_size", "ffn_dim", "num_hidden_layers", "num_attention_heads", "vocab_size",
                          "max_position_embeddings"}) {
    CAPTURE(key);
    check_mentions(failure(without(key)), "the/file", key, "is missing");
    check_mentions(failure(with(key, -8)), "the/file", key, "-8");
    check_mentions(failure(with(key, "8")), "the/file", key, "\"8\"");
    check_mentions(failure(with(key, 0)), "the/file", "0");
    check_mentions(failure(with(key, 4'294'967'296)), "the/file", "4294967296");
  }
  check_mentions(failure(with("num_attention_heads", 4)), "the/file", "\"hidden_size\" 6",
                 "\"num_attention_heads\" 4");
  check_mentions(failure(with("enable_bias", 1)), "\"enable_bias\"", "1");
}

TEST_CASE("every corruption of a configuration is rejected or loads harmlessly") {
  const auto text = tiny_opt_config(tiny_opt_shape()).dump();
  const corruptions file{text, [](std::span<const std::byte> bytes) {
                           const std::string_view t(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                           static_cast<void>(parse(io::parse_json(t, "the/file")));
                         }};
  CHECK(file.truncate().loaded == 0);
  CHECK(file.flip_bits(text.size()).rejected > 1'500);
}

TEST_CASE("files are read and named") {
  const temporary_folder folder;
  write_file(folder / "config.json", tiny_opt_config(tiny_opt_shape()).dump());
  CHECK(io::read_opt_config(folder / "config.json") == tiny_opt_shape());
  write_file(folder / "config.json", "{}");
  check_mentions(message_of<io_error>([&] { static_cast<void>(io::read_opt_config(folder / "config.json")); }),
                 (folder / "config.json").string(), "model_type");
}
