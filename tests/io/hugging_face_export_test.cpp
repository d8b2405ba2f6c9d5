// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/hugging_face_export.hpp>

#include <zoqat/io/hugging_face.hpp>
#include <zoqat/quant/scheme_registry.hpp>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <support/deployed_model.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

model_shape shape(rope_pairing rope, bool tied) {
  return {.hidden = 32,
          .intermediate = 40,
          .layers = 2,
          .heads = 4,
          .kv_heads = 2,
          .head_size = 6,
          .vocabulary = 7,
          .positions = 9,
          .rope = rope,
          .tied_head = tied};
}

// The upper half of a float, rounded to nearest and to even, by arithmetic of its own.
float to_bf16(float x) {
  if (x == 0) return x;
  const int exponent = std::ilogb(x);
  return static_cast<float>(
      std::ldexp(std::nearbyint(std::ldexp(static_cast<double>(x), 7 - exponent)), exponent - 7));
}

std::vector<float> values_of(const io::hugging_face_folder& folder, const std::string& name) {
  const io::tensor_view* const t = folder.find(name);
  REQUIRE(t != nullptr);
  std::vector<float> values(*io::checked_product(t->shape));
  io::copy_to_f32(*t, values);
  return values;
}

}  // namespace

TEST_CASE("a model is written as bf16 under the names of Hugging Face, and read again as the same model") {
  for (const bool tied : {false, true}) {
    const temporary_folder folder;
    const random_source model(shape(rope_pairing::half_split, tied));
    io::hugging_face_export exported = io::export_folder(model.source);
    exported.write(folder / "out");
    const io::hugging_face_folder read(folder / "out");  // refuses what the model does not use
    CHECK(read.shape() == model.source.shape_);
    CHECK(read.tensors().find("lm_head.weight") == (tied ? nullptr : read.find("lm_head.weight")));
    CHECK(read.tensors().files().front().metadata().at("format") == "pt");
    std::size_t count = 0, changed = 0;
    double errors = 0, squares = 0;
    for (const auto& [name, values] : model.values) {
      CHECK(read.find(name)->type == io::dtype::bf16);
      const auto found = values_of(read, name);
      for (std::size_t i = 0; i != values.size(); ++i) {
        REQUIRE(found[i] == to_bf16(values[i]));
        const double error = static_cast<double>(found[i]) - static_cast<double>(values[i]);
        ++count, changed += error != 0, errors += error * error;
        squares += static_cast<double>(values[i]) * static_cast<double>(values[i]);
      }
    }
    CHECK(exported.cost().values == count);
    CHECK(exported.cost().changed == changed);
    CHECK(exported.cost().relative() == doctest::Approx(std::sqrt(errors / squares)).epsilon(1e-9));
    CHECK(exported.cost().relative() > 1e-3);  // eight bits of significand
    CHECK(exported.cost().relative() < 2e-3);
  }
}

TEST_CASE("rows of queries and keys that pair neighbors are written as halves, and no others") {
  const temporary_folder folder;
  const random_source model(shape(rope_pairing::interleaved, true));
  io::hugging_face_export exported = io::export_folder(model.source, io::dtype::f32);
  exported.write(folder / "out");
  CHECK(exported.cost().changed == 0);
  const io::hugging_face_folder read(folder / "out");
  for (const std::string own : {"q_proj", "k_proj"}) {
    const std::string name = "model.layers.1.self_attn." + own + ".weight";
    const auto found = values_of(read, name);
    for (std::size_t row = 0; row != found.size() / 32; ++row) {
      const std::size_t head = row / 6, half = row % 6 / 3, pair = row % 3;
      for (std::size_t c = 0; c != 32; ++c)
        REQUIRE(found[row * 32 + c] == model.values.at(name)[(head * 6 + pair * 2 + half) * 32 + c]);
    }
  }
  for (const std::string own : {"self_attn.v_proj", "self_attn.o_proj", "mlp.down_proj", "input_layernorm"})
    CHECK(values_of(read, "model.layers.0." + own + ".weight") ==
          model.values.at("model.layers.0." + own + ".weight"));
}

TEST_CASE(
    "the configuration of the base model is kept, its folder is not written over, nor is one of another model") {
  const temporary_folder folder;
  model_shape s = shape(rope_pairing::half_split, true);
  const random_source model(s);
  io::json config = io::make_hugging_face_config(s, "");
  config["bos_token_id"] = 5;
  config["torch_dtype"] = "float32";
  io::export_folder(model.source).write(folder / "a/b", config, "given.json");
  const io::json written = io::read_json(folder / "a/b/config.json");
  CHECK(written["bos_token_id"] == 5);
  CHECK(written["torch_dtype"] == "bfloat16");
  check_mentions(message_of<io_error>([&] { io::export_folder(model.source).write(folder / "a/b"); }), "a/b",
                 "is not empty");
  std::filesystem::create_directory(folder / "killed");
  write_file(folder / "killed/.zoqat-1-0.tmp", "what a killed export leaves");
  io::export_folder(model.source).write(folder / "killed", config, "given.json");
  CHECK_FALSE(std::filesystem::exists(folder / "killed/.zoqat-1-0.tmp"));
  config["num_hidden_layers"] = 1;
  check_mentions(
      message_of<io_error>([&] { io::export_folder(model.source).write(folder / "c", config, "given.json"); }),
      "given.json", "the/file", "layers is 1");
  CHECK(!std::filesystem::exists(folder / "c"));
}

TEST_CASE("values that a type has no room for are refused by tensor and place, and types that hold no values") {
  random_source model(shape(rope_pairing::half_split, true));
  float& value = model.values.at("model.layers.1.mlp.up_proj.weight")[3 * 32 + 5];
  for (const auto& [type, bad] : {std::pair{io::dtype::f16, 65520.0f},
                                  {io::dtype::bf16, 3.4e38f},
                                  {io::dtype::f32, std::numeric_limits<float>::quiet_NaN()}}) {
    value = bad;
    const temporary_folder folder;
    check_mentions(message_of<io_error>([&] { io::export_folder(model.source, type).write(folder / "out"); }),
                   "the/file", "model.layers.1.mlp.up_proj.weight", "(3, 5)", fmt::format("is {}", bad),
                   io::dtype_name(type));
    CHECK(!std::filesystem::exists(folder / "out/model.safetensors"));
  }
  check_mentions(message_of<value_error>([&] { static_cast<void>(io::export_folder(model.source, io::dtype::i8)); }),
                 "I8");
}

TEST_CASE("a trained model is written as the values that its codes stand for, OPT under its own names") {
  const temporary_folder folder;
  const auto check = [&](const model_shape& s, const std::string& out, const io::json& config) {
    using scheme = quant::standard_schemes::scheme_of<"q4_0">;
    const random_source source(s);
    deployed_model<scheme> model(source);
    io::save_quantized(folder / "trained.safetensors", model, "q4_0");
    const io::safetensors_file trained(folder / "trained.safetensors");
    io::export_trained_folder<scheme>(trained, io::dtype::f32).write(folder / out, config, "given.json");
    const io::hugging_face_folder read(folder / out);
    for (const auto& [layer, packed] : model.packed) {
      const matrix<float> values = quant::dequantize(packed);
      CHECK(values_of(read, layer + ".weight") == std::vector<float>(values.data(), values.data() + values.size()));
    }
    for (named_values& t : model.floats) CHECK(values_of(read, t.name()) == source.values.at(t.name()));
    return std::string(read.tensors().files().front().tensors().front().name);
  };
  CHECK(check(shape(rope_pairing::half_split, false), "llama", nullptr).starts_with("model."));
  model_shape opt{.kind = {model_family::opt, activation_function::relu},
                  .hidden = 32,
                  .intermediate = 40,
                  .layers = 1,
                  .heads = 4,
                  .kv_heads = 4,
                  .head_size = 8,
                  .vocabulary = 7,
                  .positions = 9,
                  .biases = true};
  const io::json config{{"architectures", {"OPTForCausalLM"}},
                        {"model_type", "opt"},
                        {"hidden_size", 32},
                        {"word_embed_proj_dim", 32},
                        {"ffn_dim", 40},
                        {"num_hidden_layers", 1},
                        {"num_attention_heads", 4},
                        {"vocab_size", 7},
                        {"max_position_embeddings", 9}};
  CHECK(check(opt, "opt", config).starts_with("model.decoder."));
}
