// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/llama_config.hpp>

#include <doctest/doctest.h>
#include <support/corruption.hpp>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/tiny_llama.hpp>

#include <string>
#include <utility>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

model_shape parse(const io::json& config) { return io::parse_llama_config(config, "the/file"); }

// The tiny configuration with one member changed.
io::json with(const std::string& key, const io::json& value) {
  auto config = tiny_config(tiny_shape(false));
  config[key] = value;
  return config;
}
io::json without(const std::string& key) {
  auto config = tiny_config(tiny_shape(false));
  config.erase(key);
  return config;
}

std::string failure(const io::json& config) {
  return message_of<io_error>([&] { static_cast<void>(parse(config)); });
}

}  // namespace

TEST_CASE("the shape is what the configuration says") {
  CHECK(parse(tiny_config(tiny_shape(false))) == tiny_shape(false));
  CHECK(parse(tiny_config(tiny_shape(true))) == tiny_shape(true));
}

TEST_CASE("absent and null members get the defaults") {
  auto config = tiny_config(tiny_shape(true));
  for (const auto* key :
       {"architectures", "num_key_value_heads", "rms_norm_eps", "rope_theta", "hidden_act", "tie_word_embeddings"})
    config.erase(key);
  auto expected = tiny_shape(false);
  expected.kv_heads = expected.heads;
  expected.norm_epsilon = 1e-6f;
  CHECK(parse(config) == expected);
  for (const auto* key : {"architectures", "num_key_value_heads", "head_dim", "rms_norm_eps", "rope_theta",
                          "hidden_act", "tie_word_embeddings", "rope_scaling", "attention_bias", "rope_parameters"})
    config[key] = nullptr;
  CHECK(parse(config) == expected);
}

TEST_CASE("a head size of its own frees the hidden size from the heads") {
  auto config = with("head_dim", 10);
  config["hidden_size"] = 9;
  CHECK(parse(config).head_size == 10);
  CHECK(parse(config).hidden == 9);
  config.erase("head_dim");
  check_mentions(failure(config), "the/file", "\"hidden_size\" 9", "\"num_attention_heads\" 4");
}

TEST_CASE("biases are there where the configuration says so, or the type always has them") {
  CHECK(parse(with("attention_bias", true)).biases.query_key_value);
  CHECK(parse(with("attention_bias", true)).biases.attention_output);
  CHECK(!parse(with("attention_bias", true)).biases.mlp);
  CHECK(parse(with("mlp_bias", true)).biases.mlp);
  CHECK(!parse(with("mlp_bias", true)).biases.query_key_value);
}

TEST_CASE("relatives of LLaMA have defaults and settings of their own") {
  auto config = with("model_type", "mistral");
  config["architectures"] = {"MistralForCausalLM"};
  config["sliding_window"] = nullptr;
  CHECK(parse(config) == tiny_shape(false));
  config["sliding_window"] = 5;  // of 7 positions
  CHECK(parse(config).positions == 5);
  config["sliding_window"] = 4096;
  CHECK(parse(config).positions == 7);

  config["model_type"] = "qwen2";
  config["architectures"] = {"Qwen2ForCausalLM"};
  config["sliding_window"] = 5;
  config["use_sliding_window"] = false;
  CHECK(parse(config).positions == 7);
  CHECK(parse(config).biases.query_key_value);
  CHECK(!parse(config).biases.attention_output);
  config["use_sliding_window"] = true;
  CHECK(parse(config).positions == 5);

  config["model_type"] = "qwen3";
  config["architectures"] = {"Qwen3ForCausalLM"};
  CHECK(parse(config).kind.family == model_family::qwen3);
  CHECK(parse(config).head_size == 128);
  CHECK(!parse(config).biases.any());
  config["head_dim"] = 2;
  CHECK(parse(config).head_size == 2);
  config["architectures"] = {"Qwen2ForCausalLM"};
  check_mentions(failure(config), "Qwen2ForCausalLM", "Qwen3ForCausalLM");
}

TEST_CASE("every other size is that of the same configuration of LLaMA") {
  for (const auto& [type, architecture] :
       {std::pair{"mistral", "MistralForCausalLM"}, {"qwen2", "Qwen2ForCausalLM"}, {"qwen3", "Qwen3ForCausalLM"}}) {
    CAPTURE(type);
    auto config = with("model_type", type);
    config["architectures"] = {architecture};
    config["head_dim"] = 2;
    auto shape = parse(config);
    shape.kind.family = model_family::llama;
    shape.biases = {};
    CHECK(shape == tiny_shape(false));
  }
}
TEST_CASE("other architectures are named and refused") {
  check_mentions(failure(with("model_type", "opt")), "the/file", "\"model_type\" is \"opt\"", "\"llama\"");
  check_mentions(failure(without("model_type")), "the/file", "\"model_type\" is missing");
  check_mentions(failure(with("architectures", {"LlamaForSequenceClassification"})), "the/file",
                 "LlamaForSequenceClassification");
  check_mentions(failure(with("architectures", "LlamaForCausalLM")), "\"architectures\"");
  check_mentions(failure(io::json::array()), "the/file");
}

TEST_CASE("settings that are not supported are named and refused") {
  check_mentions(failure(with("hidden_act", "gelu")), "the/file", "\"hidden_act\" is \"gelu\"", "\"silu\"");
  check_mentions(failure(with("partial_rotary_factor", 0.5)), "\"partial_rotary_factor\" is 0.5");
  check_mentions(failure(with("quantization_config", {{"bits", 4}})), "\"quantization_config\"", "bits");
}

TEST_CASE("sizes must be there and be plausible") {
  for (const auto* key : {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                          "vocab_size", "max_position_embeddings"}) {
    CAPTURE(key);
    check_mentions(failure(without(key)), "the/file", key, "is missing");
    check_mentions(failure(with(key, -8)), "the/file", key, "-8");
    check_mentions(failure(with(key, "8")), "the/file", key, "\"8\"");
    check_mentions(failure(with(key, 0)), "the/file", "0");
    check_mentions(failure(with(key, 4'294'967'296)), "the/file", "4294967296");
  }
  check_mentions(failure(with("num_key_value_heads", 3)), "the/file", "3 key/value heads");
  check_mentions(failure(with("rms_norm_eps", 0)), "the/file", "epsilon");
  check_mentions(failure(with("tie_word_embeddings", 1)), "\"tie_word_embeddings\"", "1");
}

TEST_CASE("every corruption of a configuration is rejected or loads harmlessly") {
  const auto text = tiny_config(tiny_shape(true)).dump();
  const corruptions file{text, [](std::span<const std::byte> bytes) {
                           const std::string_view t(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                           static_cast<void>(parse(io::parse_json(t, "the/file")));
                         }};
  CHECK(file.truncate().loaded == 0);
  CHECK(file.flip_bits(text.size()).rejected > 1'500);
}

TEST_CASE("files are read and named") {
  const temporary_folder folder;
  write_file(folder / "config.json", tiny_config(tiny_shape(true)).dump());
  CHECK(io::read_llama_config(folder / "config.json") == tiny_shape(true));
  write_file(folder / "config.json", "{}");
  check_mentions(message_of<io_error>([&] { static_cast<void>(io::read_llama_config(folder / "config.json")); }),
                 (folder / "config.json").string(), "model_type");
}

TEST_CASE("a real configuration of another model is refused") {
  const auto path = shared_data("models/opt-layout-3m/config.json");
  if (!path) return;
  check_mentions(message_of<io_error>([&] { static_cast<void>(io::read_llama_config(*path)); }), "config.json",
                 "\"opt\"");
}
