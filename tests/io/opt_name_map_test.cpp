// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/opt_name_map.hpp>

#include <doctest/doctest.h>
#include <support/tiny_opt.hpp>
#include <zoqat/io/tensor_index.hpp>

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using extents = std::vector<std::size_t>;

namespace {

// What `name` leads to among tensors with these names.
std::string found(const std::vector<std::string>& stored, std::string_view name, bool tied) {
  std::vector<io::tensor_view> views;
  for (const auto& s : stored) views.push_back({s, io::dtype::f32, {0}, {}, ""});
  const io::tensor_index index(views);
  const auto find = [&](std::string_view exact) { return index.find(exact); };
  const auto* const tensor = io::find_opt_tensor(find, name, tied);
  return tensor ? tensor->name : "nothing";
}

const io::opt_entry& entry_of(std::string_view name) {
  for (const auto& entry : io::opt_tensors)
    if (entry.name == name) return entry;
  FAIL("no entry ", std::string(name));
  return io::opt_tensors[0];
}

}  // namespace

TEST_CASE("no name of the table comes twice, and every one leads to its stored name") {
  std::set<std::string_view> names, stored;
  for (const auto& entry : io::opt_tensors) {
    CHECK(names.insert(entry.name).second);
    CHECK(stored.insert(entry.stored).second);
    CHECK(io::is_per_layer(entry) == (entry.stored.find("{}") != std::string_view::npos));
    CHECK(io::stored_opt_name(fmt::format(fmt::runtime(entry.name), 17)) ==
          fmt::format(fmt::runtime(entry.stored), 17));
  }
}

TEST_CASE("names and shapes are those of Hugging Face") {
  CHECK(io::stored_opt_name("model.layers.12.input_layernorm.bias") ==
        "model.decoder.layers.12.self_attn_layer_norm.bias");
  CHECK(io::stored_opt_name("model.layers.0.self_attn.o_proj.weight") ==
        "model.decoder.layers.0.self_attn.out_proj.weight");
  CHECK(io::stored_opt_name("model.layers.3.post_attention_layernorm.weight") ==
        "model.decoder.layers.3.final_layer_norm.weight");
  CHECK(io::stored_opt_name("model.norm.bias") == "model.decoder.final_layer_norm.bias");
  for (const auto* name : {"model.layers.0.mlp.gate_proj.weight", "model.layers.0", "model.layers.", "", "norm.bias",
                           "model.layers..mlp", "model.layers.{}"})
    CHECK_MESSAGE(io::stored_opt_name(name) == std::nullopt, name);

  const auto shape = tiny_opt_shape();
  CHECK(io::shape_of(entry_of("model.embed_positions.weight"), shape) == extents{9, 6});
  CHECK(io::shape_of(entry_of("model.layers.{}.mlp.fc1.weight"), shape) == extents{9, 6});
  CHECK(io::shape_of(entry_of("model.layers.{}.mlp.fc1.bias"), shape) == extents{9});
  CHECK(io::shape_of(entry_of("model.layers.{}.mlp.fc2.bias"), shape) == extents{6});
}

TEST_CASE("biases of linear layers and a head of its own are there where the shape says so; norms always have both") {
  const auto count = [](const model_shape& shape) {
    std::size_t n = 0;
    for (const auto& entry : io::opt_tensors) n += io::is_present(entry, shape);
    return n;
  };
  CHECK(count(tiny_opt_shape(true, true)) == 20);
  CHECK(count(tiny_opt_shape(false, true)) == 21);
  CHECK(count(tiny_opt_shape(true, false)) == 14);
  CHECK(io::is_present(entry_of("model.norm.bias"), tiny_opt_shape(true, false)));
}

TEST_CASE("names are found with and without the prefix") {
  const std::string name = "model.layers.2.mlp.fc2.weight";
  CHECK(found({"model.decoder.layers.2.fc2.weight"}, name, true) == "model.decoder.layers.2.fc2.weight");
  CHECK(found({"decoder.layers.2.fc2.weight"}, name, true) == "decoder.layers.2.fc2.weight");
  CHECK(found({"decoder.layers.2.fc2.weight", "model.decoder.layers.2.fc2.weight"}, name, true) ==
        "model.decoder.layers.2.fc2.weight");
  CHECK(found({"decoder.layers.1.fc2.weight", "model.layers.2.mlp.fc2.weight"}, name, true) == "nothing");
}

TEST_CASE("a tied embedding is found under either name, and counts where both are stored") {
  const std::string embedding = "model.decoder.embed_tokens.weight", head = "lm_head.weight";
  for (const std::string name : {"model.embed_tokens.weight", "lm_head.weight"}) {
    CAPTURE(name);
    CHECK(found({embedding}, name, true) == embedding);
    CHECK(found({head}, name, true) == head);
    CHECK(found({"decoder.embed_tokens.weight", head}, name, true) == "decoder.embed_tokens.weight");
    CHECK(found({head, embedding}, name, false) == (name == head ? head : embedding));
  }
  CHECK(found({embedding}, head, false) == "nothing");
}
