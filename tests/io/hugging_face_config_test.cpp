// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/hugging_face_config.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <string>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

model_shape shape() {
  return {.hidden = 12,
          .intermediate = 20,
          .layers = 2,
          .heads = 4,
          .kv_heads = 2,
          .head_size = 6,
          .vocabulary = 7,
          .positions = 9,
          .norm_epsilon = 1e-6f,
          .rope_theta = 5e5f,
          .rope = rope_pairing::interleaved,
          .tied_head = false};
}

}  // namespace

TEST_CASE("a configuration that is made says what the shape says, in the words of Transformers") {
  const io::json config = io::make_hugging_face_config(shape(), "the/file");
  CHECK(config["architectures"][0] == "LlamaForCausalLM");
  CHECK(config["model_type"] == "llama");
  CHECK(config["hidden_size"] == 12);
  CHECK(config["head_dim"] == 6);
  CHECK(config["num_key_value_heads"] == 2);
  CHECK(config["rms_norm_eps"].dump() == "1e-06");
  CHECK(config["tie_word_embeddings"] == false);
  CHECK(!config.contains("rope_scaling"));

  model_shape s = shape();
  s.biases.query_key_value = true;
  CHECK(io::make_hugging_face_config(s, "the/file")["model_type"] == "qwen2");
  s.biases.attention_output = true;
  CHECK(io::make_hugging_face_config(s, "the/file")["attention_bias"] == true);
  s = shape();
  s.kind.family = model_family::qwen3;
  s.rope_scaling = {rope_scaling::kind::llama3, 8, 1, 4, 8192};
  const io::json scaled = io::make_hugging_face_config(s, "the/file");
  CHECK(scaled["model_type"] == "qwen3");
  CHECK(scaled["rope_scaling"]["rope_type"] == "llama3");
  CHECK(scaled["rope_scaling"]["original_max_position_embeddings"] == 8192);
}

TEST_CASE("what no configuration describes is refused, and so is one of another model, by what differs") {
  model_shape s = shape();
  s.kind = {model_family::opt, activation_function::relu};
  check_mentions(message_of<io_error>([&] { static_cast<void>(io::make_hugging_face_config(s, "the/file")); }),
                 "the/file", "opt", "config.json of the base model");
  s = shape();
  s.biases.query_key_value = s.biases.mlp = true;  // which Qwen2 does not have
  s.biases.attention_output = true;
  s.biases.query_key_value = false;
  check_mentions(message_of<io_error>([&] { static_cast<void>(io::make_hugging_face_config(s, "the/file")); }),
                 "no configuration of model type");

  const io::json given = io::make_hugging_face_config(shape(), "");
  CHECK(io::same_hugging_face_config(given, "g.json", shape(), "the/file") == given);
  s = shape();
  s.layers = 3;
  check_mentions(
      message_of<io_error>([&] { static_cast<void>(io::same_hugging_face_config(given, "g.json", s, "the/file")); }),
      "g.json", "the/file", "layers is 2 here and 3 there");
  s = shape();
  s.rope_theta = 1e4f;
  check_mentions(
      message_of<io_error>([&] { static_cast<void>(io::same_hugging_face_config(given, "g.json", s, "the/file")); }),
      "settings beside the sizes");
}

TEST_CASE("the type of values is said in old words, and in new ones where there are some") {
  io::json old = io::json::object(), newer{{"dtype", "float32"}};
  io::set_values_type(old, io::dtype::f16);
  io::set_values_type(newer, io::dtype::bf16);
  CHECK(old == io::json{{"torch_dtype", "float16"}});
  CHECK(newer == io::json{{"torch_dtype", "bfloat16"}, {"dtype", "bfloat16"}});
}
