// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/name_map.hpp>

#include <doctest/doctest.h>
#include <support/tiny_llama.hpp>
#include <zoqat/io/tensor_index.hpp>

#include <set>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using io::llama_tensor;
using extents = std::vector<std::size_t>;

namespace {

// What `name` leads to among tensors with these names.
std::string found(const std::vector<std::string>& stored, std::string_view name, bool tied) {
  std::vector<io::tensor_view> views;
  for (const auto& s : stored) views.push_back({s, io::dtype::f32, {0}, {}, ""});
  const io::tensor_index index(views);
  const auto find = [&](std::string_view exact) { return index.find(exact); };
  const auto* const tensor = io::find_by_canonical_name(find, name, tied);
  return tensor ? tensor->name : "nothing";
}

}  // namespace

TEST_CASE("the table of names is in the order of the enumerators, and no name comes twice") {
  std::set<std::string> names;
  for (std::size_t i = 0; i != io::llama_tensors.size(); ++i) {
    CHECK(io::llama_tensors[i].tensor == static_cast<llama_tensor>(i));
    CHECK(names.insert(io::name_of(static_cast<llama_tensor>(i), 17)).second);
  }
}

TEST_CASE("names and shapes are those of Hugging Face") {
  const auto shape = tiny_shape(false);
  CHECK(io::name_of(llama_tensor::embedding) == "model.embed_tokens.weight");
  CHECK(io::name_of(llama_tensor::query, 12) == "model.layers.12.self_attn.q_proj.weight");
  CHECK(io::name_of(llama_tensor::head, 5) == "lm_head.weight");
  CHECK(io::shape_of(llama_tensor::embedding, shape) == extents{5, 8});
  CHECK(io::shape_of(llama_tensor::attention_norm, shape) == extents{8});
  CHECK(io::shape_of(llama_tensor::value, shape) == extents{4, 8});
  CHECK(io::shape_of(llama_tensor::gate, shape) == extents{6, 8});
  CHECK(io::shape_of(llama_tensor::down, shape) == extents{8, 6});

  auto wide = shape;  // heads wider than the residual stream together
  wide.head_size = 10;
  CHECK(io::shape_of(llama_tensor::query, wide) == extents{40, 8});
  CHECK(io::shape_of(llama_tensor::key, wide) == extents{20, 8});
  CHECK(io::shape_of(llama_tensor::attention_output, wide) == extents{8, 40});
}

TEST_CASE("a tensor comes once, or once for each layer; a tied head not at all") {
  CHECK(io::count_of(llama_tensor::final_norm, tiny_shape(true)) == 1);
  CHECK(io::count_of(llama_tensor::mlp_norm, tiny_shape(true)) == 3);
  CHECK(io::count_of(llama_tensor::head, tiny_shape(true)) == 0);
  CHECK(io::count_of(llama_tensor::head, tiny_shape(false)) == 1);
}

TEST_CASE("names are found with and without the prefix") {
  CHECK(found({"model.norm.weight"}, "model.norm.weight", false) == "model.norm.weight");
  CHECK(found({"norm.weight"}, "model.norm.weight", false) == "norm.weight");
  CHECK(found({"model.norm.weight"}, "norm.weight", false) == "model.norm.weight");
  CHECK(found({"model.lm_head.weight"}, "lm_head.weight", false) == "model.lm_head.weight");
  CHECK(found({"norm.weight", "model.norm.weight"}, "model.norm.weight", false) == "model.norm.weight");
  CHECK(found({"other.weight"}, "model.norm.weight", false) == "nothing");
}

TEST_CASE("a tied embedding is found under either name") {
  const std::string embedding = "model.embed_tokens.weight", head = "lm_head.weight";
  for (const auto& name : {embedding, head}) {
    CAPTURE(name);
    CHECK(found({embedding}, name, true) == embedding);
    CHECK(found({head}, name, true) == head);
    CHECK(found({"embed_tokens.weight"}, name, true) == "embed_tokens.weight");
    CHECK(found({head, embedding}, name, true) == embedding);  // the head is ignored where both are stored
    CHECK(found({"norm.weight"}, name, true) == "nothing");
    CHECK(found({head, embedding}, name, false) == name);
  }
  CHECK(found({embedding}, head, false) == "nothing");
}
