// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/opt_export.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/memory_source.hpp>
#include <support/random_model.hpp>
#include <zoqat/io/gguf/decode.hpp>
#include <zoqat/io/gguf/file.hpp>

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
namespace gguf = zoqat::io::gguf;
using gguf::tensor_type;

namespace {

model_shape opt_shape(activation_function activation) {
  model_shape shape{.hidden = 12,
                    .intermediate = 32,
                    .layers = 2,
                    .heads = 3,
                    .kv_heads = 3,
                    .head_size = 4,
                    .vocabulary = 7,
                    .positions = 5,
                    .norm_epsilon = 1e-5f,
                    .tied_head = true};
  shape.kind = {model_family::opt, activation};
  shape.biases = true;
  return shape;
}

// Every tensor of an OPT with random values, and their memory.
struct random_opt {
  std::map<std::string, std::vector<float>> values;
  memory_source source;

  explicit random_opt(const model_shape& shape) : source{.shape_ = shape, .tensors = {}} {
    io::for_each_tensor(shape, [&](const std::string& name, std::span<const std::size_t> extents) {
      auto& x = values[name] =
          random_floats(*io::checked_product(extents), static_cast<std::uint32_t>(values.size()));
      source.tensors.push_back(
          {name, io::dtype::f32, {extents.begin(), extents.end()}, std::as_bytes(std::span(x)), "the/file"});
    });
  }
  // One after the other, times a factor.
  [[nodiscard]] std::vector<float> joined(const std::vector<std::string>& names, float factor = 1) const {
    std::vector<float> all;
    for (const std::string& name : names)
      for (const float x : values.at("model." + name)) all.push_back(x * factor);
    return all;
  }
};

std::vector<float> values_of(const gguf::file& file, std::string_view name) {
  const gguf::tensor* const t = file.find(name);
  REQUIRE(t != nullptr);
  std::vector<float> values(*io::checked_product(t->shape));
  gguf::decode(*t, 0, values, "file");
  return values;
}

}  // namespace

TEST_CASE("an OPT's tensors are those of mpt: stacked, without the rows of positions that nothing reads") {
  const temporary_folder folder;
  for (const activation_function activation : {activation_function::relu, activation_function::gelu_tanh}) {
    const bool relu = activation == activation_function::relu;
    CAPTURE(relu);
    const random_opt model(opt_shape(activation));
    gguf::opt_export(model.source, {}).write(folder / "m.gguf", {{"more", true}});
    const gguf::file file(folder / "m.gguf");
    CHECK(file.get<std::string>("general.architecture") == "mpt");
    CHECK(file.get<std::size_t>("mpt.context_length") == 5);
    CHECK(file.get<std::size_t>("mpt.embedding_length") == 12);
    CHECK(file.get<std::size_t>("mpt.block_count") == 2);
    CHECK(file.get<std::size_t>("mpt.feed_forward_length") == 32);
    CHECK(file.get<std::size_t>("mpt.attention.head_count") == 3);
    CHECK(file.get<float>("mpt.attention.layer_norm_epsilon") == 1e-5f);
    CHECK(file.get<float>("mpt.attention.max_alibi_bias") == 0.0f);
    CHECK(file.get<bool>("more"));

    const float up = relu ? 4096 : 1;  // a power of two: no bit of the numbers changes
    std::map<std::string, std::vector<float>> wanted{{"token_embd.weight", model.joined({"embed_tokens.weight"})},
                                                     {"output_norm.weight", model.joined({"norm.weight"})},
                                                     {"output_norm.bias", model.joined({"norm.bias"})}};
    const auto positions = model.joined({"embed_positions.weight"});
    wanted["position_embd.weight"] = {positions.begin() + 2 * 12, positions.end()};
    for (const std::string layer : {"0", "1"})
      for (const std::string kind : {".weight", ".bias"}) {
        const std::string of = "layers." + layer + ".", attention = of + "self_attn.", to = "blk." + layer + ".";
        wanted[to + "attn_norm" + kind] = model.joined({of + "input_layernorm" + kind});
        wanted[to + "attn_qkv" + kind] =
            model.joined({attention + "q_proj" + kind, attention + "k_proj" + kind, attention + "v_proj" + kind});
        wanted[to + "attn_output" + kind] = model.joined({attention + "o_proj" + kind});
        wanted[to + "ffn_norm" + kind] = model.joined({of + "post_attention_layernorm" + kind});
        wanted[to + "ffn_up" + kind] = model.joined({of + "mlp.fc1" + kind}, up);
        wanted[to + "ffn_down" + kind] = model.joined({of + "mlp.fc2" + kind});
        if (relu) wanted[to + "ffn.act.scales"] = std::vector<float>(32, up);
      }
    CHECK(file.tensors().size() == wanted.size());
    for (const auto& [name, values] : wanted) {
      CAPTURE(name);
      CHECK(values_of(file, name) == values);
    }
    CHECK(file.find("blk.1.attn_qkv.weight")->shape == std::vector<std::size_t>{36, 12});
    CHECK(file.find("blk.1.attn_qkv.bias")->shape == std::vector<std::size_t>{36});
  }
}

TEST_CASE("weights take the types that are asked for where their rows divide into blocks") {
  const random_opt model(opt_shape(activation_function::relu));
  const gguf::opt_export exported(model.source, {.weights = tensor_type::q4_0, .embeddings = tensor_type::f16});
  for (const gguf::tensor_info& t : exported.tensors()) {
    CAPTURE(t.name);
    const bool down = t.name.ends_with("ffn_down.weight");  // whose rows are 32 long, the others' 12
    const bool full = t.shape.size() == 1 || t.name == "position_embd.weight";
    CHECK(t.type == (full ? tensor_type::f32 : down ? tensor_type::q4_0 : tensor_type::f16));
  }
  REQUIRE(exported.notes().size() == 3);  // once for all layers
  check_mentions(exported.notes().front(), "blk.N.attn_qkv.weight", "F16", "12", "32");
}

TEST_CASE("models that engines do not compute are refused") {
  const auto failure = [](const model_shape& shape) {
    return message_of<io_error>([&] { static_cast<void>(gguf::opt_export(random_opt(shape).source, {})); });
  };
  check_mentions(failure(opt_shape(activation_function::gelu_erf)), "the/file", "gelu_erf", "relu and gelu_tanh");
  model_shape llama = opt_shape(activation_function::relu);
  llama.kind = {};
  llama.biases = {};
  check_mentions(failure(llama), "no OPT");
  const random_opt model(opt_shape(activation_function::relu));
  check_mentions(
      message_of<value_error>([&] { static_cast<void>(gguf::opt_export(model.source, {.fill_stream = true})); }),
      "not filled up");
}
