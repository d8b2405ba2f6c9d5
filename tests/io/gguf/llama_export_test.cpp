// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/llama_export.hpp>

#include <zoqat/io/gguf/decode.hpp>
#include <zoqat/io/gguf/file.hpp>
#include <zoqat/quant/scheme_registry.hpp>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <support/deployed_model.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/gguf_blocks.hpp>

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
namespace gguf = zoqat::io::gguf;
using gguf::tensor_type;

namespace {

model_shape shape(std::size_t hidden, std::size_t intermediate, rope_pairing rope, bool tied) {
  return {.hidden = hidden,
          .intermediate = intermediate,
          .layers = 2,
          .heads = 4,
          .kv_heads = 2,
          .head_size = 6,
          .vocabulary = 7,
          .positions = 9,
          .norm_epsilon = 2e-6f,
          .rope_theta = 5e3f,
          .rope = rope,
          .tied_head = tied};
}

// The values of a tensor of a file, by the decoders of the tests.
std::vector<float> values_of(const gguf::tensor& t) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(t.data.data());
  const auto& info = gguf::info_of(t.type);
  std::vector<float> values;
  if (t.type == tensor_type::f32) {
    values.resize(t.data.size() / 4);
    std::memcpy(values.data(), bytes, t.data.size());
    return values;
  }
  for (std::size_t at = 0; at != t.data.size(); at += info.bytes) append_values(t.type, bytes + at, values);
  return values;
}

gguf::file written(const temporary_folder& folder, const gguf::llama_export& model) {
  model.write(folder / "model.gguf", {{"more", true}});
  return gguf::file(folder / "model.gguf");
}

}  // namespace

TEST_CASE("a model's tensors are written in their order, with its sizes and what more there is") {
  const temporary_folder folder;
  for (const bool tied : {false, true}) {
    const random_source model(shape(10, 8, rope_pairing::interleaved, tied));
    const gguf::llama_export exported = gguf::export_base(model.source, {});
    CHECK(exported.notes().empty());
    const gguf::file file = written(folder, exported);
    CHECK(file.get<std::string>("general.architecture") == "llama");
    CHECK(file.get<std::size_t>("llama.context_length") == 9);
    CHECK(file.get<std::size_t>("llama.embedding_length") == 10);
    CHECK(file.get<std::size_t>("llama.block_count") == 2);
    CHECK(file.get<std::size_t>("llama.feed_forward_length") == 8);
    CHECK(file.get<std::size_t>("llama.attention.head_count") == 4);
    CHECK(file.get<std::size_t>("llama.attention.head_count_kv") == 2);
    CHECK(file.get<std::size_t>("llama.attention.key_length") == 6);  // 4 heads of 6 are not 10
    CHECK(file.get<std::size_t>("llama.rope.dimension_count") == 6);
    CHECK(file.get<float>("llama.attention.layer_norm_rms_epsilon") == 2e-6f);
    CHECK(file.get<float>("llama.rope.freq_base") == 5e3f);
    CHECK(file.get<bool>("more"));
    CHECK(file.tensors().size() == (tied ? 20 : 21));
    CHECK(file.tensors().front().name == "token_embd.weight");
    CHECK((file.find("output.weight") == nullptr) == tied);
    CHECK(file.find("blk.1.ffn_down.weight")->shape == std::vector<std::size_t>{10, 8});
    CHECK(file.find("output_norm.weight")->shape == std::vector<std::size_t>{10});
    for (const auto& [own, name] : std::map<std::string, std::string>{
             {"model.embed_tokens.weight", "token_embd.weight"},
             {"model.layers.1.input_layernorm.weight", "blk.1.attn_norm.weight"},
             {"model.layers.0.self_attn.q_proj.weight", "blk.0.attn_q.weight"},
             {"model.layers.1.self_attn.k_proj.weight", "blk.1.attn_k.weight"},
             {"model.layers.1.self_attn.v_proj.weight", "blk.1.attn_v.weight"},
             {"model.layers.0.self_attn.o_proj.weight", "blk.0.attn_output.weight"},
             {"model.layers.1.post_attention_layernorm.weight", "blk.1.ffn_norm.weight"},
             {"model.layers.1.mlp.gate_proj.weight", "blk.1.ffn_gate.weight"},
             {"model.layers.0.mlp.up_proj.weight", "blk.0.ffn_up.weight"},
             {"model.layers.1.mlp.down_proj.weight", "blk.1.ffn_down.weight"},
             {"model.norm.weight", "output_norm.weight"}}) {
      REQUIRE(file.find(name) != nullptr);
      CHECK(values_of(*file.find(name)) == model.values.at(own));
    }
    if (!tied) CHECK(values_of(*file.find("output.weight")) == model.values.at("lm_head.weight"));
  }
}

TEST_CASE("rows of queries and keys that pair halves are written as pairs of neighbors, and no others") {
  const temporary_folder folder;
  const random_source model(shape(10, 8, rope_pairing::half_split, true));
  const gguf::file file = written(folder, gguf::export_base(model.source, {}));
  for (const auto& [name, own] :
       std::map<std::string, std::string>{{"blk.1.attn_q.weight", "q_proj"}, {"blk.1.attn_k.weight", "k_proj"}}) {
    const auto found = values_of(*file.find(name));
    const auto& values = model.values.at("model.layers.1.self_attn." + own + ".weight");
    for (std::size_t row = 0; row != found.size() / 10; ++row) {
      const std::size_t head = row / 6, pair = row % 6 / 2, half = row % 2;
      for (std::size_t c = 0; c != 10; ++c)
        REQUIRE(found[row * 10 + c] == values[(head * 6 + half * 3 + pair) * 10 + c]);
    }
  }
  CHECK(values_of(*file.find("blk.1.attn_v.weight")) == model.values.at("model.layers.1.self_attn.v_proj.weight"));
}

TEST_CASE("an MLP is filled up with zeros to whole blocks, other rows fall back, and both are said") {
  const temporary_folder folder;
  const random_source model(shape(64, 40, rope_pairing::interleaved, false));
  const gguf::llama_export exported =
      gguf::export_base(model.source, {.weights = tensor_type::q8_0, .embeddings = tensor_type::q6_k});
  REQUIRE(exported.notes().size() == 4);
  check_mentions(exported.notes()[0], "from 40 to 64 channels", "blocks of 32", "Q8_0");
  check_mentions(exported.notes()[1], "token_embd.weight is stored as Q8_0", "rows of 64", "blocks of 256 (Q6_K)");
  check_mentions(exported.notes()[2], "blk.N.attn_output.weight is stored as F16", "rows of 24");
  check_mentions(exported.notes()[3], "output.weight is stored as Q8_0");
  const gguf::file file = written(folder, exported);
  CHECK(file.get<std::size_t>("llama.feed_forward_length") == 64);
  CHECK(file.find("blk.0.attn_output.weight")->type == tensor_type::f16);
  CHECK(file.find("blk.0.attn_q.weight")->type == tensor_type::q8_0);
  CHECK(file.find("blk.0.attn_norm.weight")->type == tensor_type::f32);

  const auto check = [&](const std::string& name, const std::string& own, std::size_t rows, std::size_t cols) {
    const gguf::tensor& t = *file.find(name);
    const auto found = values_of(t);
    for (std::size_t r = 0; r != t.shape[0]; ++r)
      for (std::size_t c = 0; c != t.shape[1]; ++c) {
        const float wanted = r < rows && c < cols ? model.values.at(own)[r * cols + c] : 0.0f;
        REQUIRE(std::abs(found[r * t.shape[1] + c] - wanted) <= (wanted == 0 ? 0.0f : 0.02f));
      }
  };
  CHECK(file.find("blk.1.ffn_gate.weight")->shape == std::vector<std::size_t>{64, 64});
  check("blk.1.ffn_gate.weight", "model.layers.1.mlp.gate_proj.weight", 40, 64);
  check("blk.1.ffn_up.weight", "model.layers.1.mlp.up_proj.weight", 40, 64);
  check("blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight", 64, 40);
}

TEST_CASE(
    "a stream that is filled up gives the same: four times the width, a quarter of epsilon, half the gains, more "
    "heads") {
  const temporary_folder folder;
  const random_source model(shape(64, 40, rope_pairing::interleaved, true));
  const gguf::llama_export exported =
      gguf::export_base(model.source, {.weights = tensor_type::q6_k, .fill_stream = true});
  check_mentions(exported.notes()[0], "residual stream", "from 64 to 256 channels", "Q6_K");
  check_mentions(exported.notes()[1], "attention", "from 4 to 128 heads", "Q6_K");
  REQUIRE(exported.notes().size() == 3);  // and the MLPs; no tensor falls back
  const gguf::file file = written(folder, exported);
  CHECK(file.get<std::size_t>("llama.embedding_length") == 256);
  CHECK(file.get<float>("llama.attention.layer_norm_rms_epsilon") == 2e-6f / 4);
  CHECK(file.get<std::size_t>("llama.attention.key_length") == 6);
  CHECK(file.find("blk.0.attn_q.weight")->type == tensor_type::q6_k);
  CHECK(file.find("blk.0.attn_q.weight")->shape == std::vector<std::size_t>{768, 256});
  CHECK(file.get<std::size_t>("llama.attention.head_count") == 128);
  CHECK(file.get<std::size_t>("llama.attention.head_count_kv") == 64);
  const auto output = values_of(*file.find("blk.1.attn_output.weight"));
  REQUIRE(output.size() == 256 * 768);
  const auto& own_output = model.values.at("model.layers.1.self_attn.o_proj.weight");
  for (std::size_t i = 0; i != output.size(); ++i) {
    const bool own = i / 768 < 64 && i % 768 < 24;
    REQUIRE(std::abs(output[i] - (own ? own_output[i / 768 * 24 + i % 768] : 0.0f)) <= (own ? 0.1f : 0.0f));
  }
  const auto of_values = values_of(*file.find("blk.1.attn_v.weight"));
  for (std::size_t i = 12 * 256; i != of_values.size(); ++i) REQUIRE(of_values[i] == 0);
  CHECK(file.find("blk.1.ffn_down.weight")->shape == std::vector<std::size_t>{256, 256});
  const auto gains = values_of(*file.find("blk.1.ffn_norm.weight"));
  const auto embedding = values_of(*file.find("token_embd.weight"));
  REQUIRE(gains.size() == 256);
  for (std::size_t c = 0; c != 256; ++c) {
    const bool own = c < 64;
    CHECK(gains[c] == (own ? model.values.at("model.layers.1.post_attention_layernorm.weight")[c] / 2 : 0.0f));
    CHECK(embedding[256 + c] == (own ? model.values.at("model.embed_tokens.weight")[64 + c] : 0.0f));
  }
}

TEST_CASE("values that a type has no room for are refused by tensor and place, and leave no file") {
  const temporary_folder folder;
  random_source model(shape(64, 64, rope_pairing::interleaved, true));
  float& value = model.values.at("model.layers.1.mlp.up_proj.weight")[3 * 64 + 5];
  const auto failure = [&](tensor_type type, float x) {
    value = x;
    return message_of<io_error>(
        [&] { static_cast<void>(written(folder, gguf::export_base(model.source, {.weights = type}))); });
  };
  for (const tensor_type type : {tensor_type::f32, tensor_type::f16, tensor_type::q8_0})
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()})
      check_mentions(failure(type, bad), "model.gguf", "blk.1.ffn_up.weight", "(3, 5)", fmt::format("is {}", bad));
  for (const tensor_type type : {tensor_type::f16, tensor_type::q4_0})
    check_mentions(failure(type, -65505.0f), "blk.1.ffn_up.weight", "-65505", gguf::info_of(type).name, "65504");
  CHECK(!std::filesystem::exists(folder / "model.gguf"));
  value = -65504;
  const gguf::file file = written(folder, gguf::export_base(model.source, {.weights = tensor_type::f16}));
  std::vector<float> row(64);
  gguf::decode(*file.find("blk.1.ffn_up.weight"), 3 * 64, row, "file");
  CHECK(row[5] == -65504);
  value = 1e30f;
  CHECK_NOTHROW(static_cast<void>(written(folder, gguf::export_base(model.source, {.weights = tensor_type::bf16}))));
}

TEST_CASE("other models and other types are refused") {
  random_source model(shape(10, 8, rope_pairing::interleaved, true));
  check_mentions(message_of<value_error>(
                     [&] { static_cast<void>(gguf::export_base(model.source, {.weights = tensor_type::iq4_nl})); }),
                 "IQ4_NL");
  model.source.shape_.kind.family = model_family::qwen3;
  check_mentions(message_of<io_error>([&] { static_cast<void>(gguf::export_base(model.source, {})); }), "the/file",
                 "qwen3");  // whose heads pair neighbors
  random_source qwen3(shape(10, 8, rope_pairing::half_split, true));
  qwen3.source.shape_.kind.family = model_family::qwen3;
  check_mentions(
      message_of<value_error>([&] { static_cast<void>(gguf::export_base(qwen3.source, {.fill_stream = true})); }),
      "Qwen3", "epsilon");
  model.source.shape_.kind = {model_family::opt, activation_function::relu};
  check_mentions(message_of<io_error>([&] { static_cast<void>(gguf::export_base(model.source, {})); }), "opt");
}

TEST_CASE("what was trained is written without loss: the values of the file are those that codes stand for") {
  const temporary_folder folder;
  const random_source source(shape(64, 40, rope_pairing::half_split, true));
  const auto check = [&]<quant::fixed_string Name>(tensor_type type, tensor_type of_output) {
    using scheme = quant::standard_schemes::scheme_of<Name>;
    CAPTURE(gguf::info_of(type).name);
    deployed_model<scheme> model(source);
    io::save_quantized(folder / "trained.safetensors", model, Name.view());
    const io::safetensors_file trained(folder / "trained.safetensors");
    const gguf::file file = written(folder, gguf::export_trained<scheme>(trained, {.weights = type}));
    CHECK(file.find("blk.0.ffn_down.weight")->type == type);
    CHECK(file.find("blk.0.attn_output.weight")->type == of_output);  // rows of 24
    const auto same = [&](const std::string& name, const std::string& layer, bool rotary) {
      const gguf::tensor& t = *file.find(name);
      const auto found = values_of(t);
      const matrix<float> values = quant::dequantize(model.packed.at(layer));
      for (std::size_t r = 0; r != t.shape[0]; ++r)
        for (std::size_t c = 0; c != t.shape[1]; ++c) {
          const std::size_t row = rotary ? r / 6 * 6 + r % 2 * 3 + r % 6 / 2 : r;
          const bool is_row = r < values.rows();
          if (is_row && c >= values.cols() && scheme::weight_type::has_minima) continue;  // meets zeros
          REQUIRE(found[r * t.shape[1] + c] == (is_row && c < values.cols() ? values(row, c) : 0.0f));
        }
    };
    same("blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj", true);
    same("blk.1.attn_k.weight", "model.layers.1.self_attn.k_proj", true);
    same("blk.1.attn_v.weight", "model.layers.1.self_attn.v_proj", false);
    same("blk.1.attn_output.weight", "model.layers.1.self_attn.o_proj", false);
    same("blk.0.ffn_up.weight", "model.layers.0.mlp.up_proj", false);
    same("blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj", false);
    CHECK(values_of(*file.find("token_embd.weight")) == source.values.at("model.embed_tokens.weight"));
    CHECK(values_of(*file.find("blk.1.ffn_norm.weight")) ==
          source.values.at("model.layers.1.post_attention_layernorm.weight"));
  };
  check.operator()<"q4_0">(tensor_type::q4_0, tensor_type::f32);
  check.operator()<"q4_0">(tensor_type::f32, tensor_type::f32);
  check.operator()<"q5_1">(tensor_type::q5_1, tensor_type::f32);
  check.operator()<"w3a16">(tensor_type::f32, tensor_type::f32);

  const io::safetensors_file trained(folder / "trained.safetensors");
  using scheme = quant::standard_schemes::scheme_of<"w3a16">;
  check_mentions(message_of<value_error>([&] {
                   static_cast<void>(gguf::export_trained<scheme>(trained, {.weights = tensor_type::q4_0}));
                 }),
                 "Q4_0 would round", "F32 alone");
}
