// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/mix.hpp>

#include <zoqat/io/gguf/llama_export.hpp>
#include <zoqat/io/gguf/model_file.hpp>
#include <zoqat/io/gguf/opt_export.hpp>

#include <doctest/doctest.h>
#include <support/deployed_model.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
namespace gguf = zoqat::io::gguf;
using gguf::tensor_type;

namespace {

model_shape shape_of(model_family family, std::size_t layers) {
  model_shape shape{.hidden = 256,
                    .intermediate = 256,
                    .layers = layers,
                    .heads = 4,
                    .kv_heads = 4,
                    .head_size = 64,
                    .vocabulary = 9,
                    .positions = 4,
                    .biases = family == model_family::opt};
  shape.kind = {family, family == model_family::opt ? activation_function::relu : activation_function::silu};
  return shape;
}

// The types of the matrices of a file that has them, by their names.
template <class Export>
std::map<std::string, tensor_type> matrices_of(const Export& exported) {
  std::map<std::string, tensor_type> types;
  for (const gguf::tensor_info& t : exported.tensors())
    if (t.shape.size() == 2 && t.name.starts_with("blk.")) types.emplace(t.name, t.type);
  return types;
}

}  // namespace

TEST_CASE("llama-quantize's mixes give more bits to the first and last eighth and to each third layer between") {
  std::vector<std::size_t> more;
  for (std::size_t layer = 0; layer != 32; ++layer)
    if (gguf::has_more_bits(layer, 32)) more.push_back(layer);
  CHECK(more == std::vector<std::size_t>{0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31});

  const random_source model(shape_of(model_family::llama, 8));
  const gguf::named_mix& mix = *gguf::find_named_mix("q4_k_m");
  const gguf::export_types types{.weights = mix.weights, .mix = gguf::rules_of(mix, 8)};
  const auto found = matrices_of(gguf::export_base(model.source, types));
  CHECK(found.size() == 8 * 7);
  for (const auto& [name, type] : found) {
    CAPTURE(name);
    const bool chosen = name.find("attn_v") != name.npos || name.find("ffn_down") != name.npos;
    const bool layer = name.starts_with("blk.0.") || name.starts_with("blk.3.") || name.starts_with("blk.6.") ||
                       name.starts_with("blk.7.");
    CHECK(type == (chosen && layer ? tensor_type::q6_k : tensor_type::q4_k));
  }
  CHECK(gguf::find_named_mix("q4_k") == nullptr);
}

TEST_CASE("of the rules for a layer the first that matches holds, and what is written is read in its type") {
  const temporary_folder folder;
  const random_source model(shape_of(model_family::llama, 2));
  const gguf::export_types types{.weights = tensor_type::q4_k,
                                 .mix = {{"*.layers.1.*down_proj", tensor_type::f16},
                                         {"*.down_proj", tensor_type::q6_k},
                                         {"model.layers.0.self_attn.?_proj", tensor_type::q8_0}}};
  gguf::export_base(model.source, types).write(folder / "m.gguf", {});
  const gguf::model_file file(folder / "m.gguf");
  const auto type = [&](const char* name) { return file.stored(*file.find(name)).rows.type; };
  CHECK(type("model.layers.0.mlp.down_proj.weight") == tensor_type::q6_k);
  CHECK(type("model.layers.1.mlp.down_proj.weight") == tensor_type::f16);
  CHECK(type("model.layers.0.self_attn.o_proj.weight") == tensor_type::q8_0);
  CHECK(type("model.layers.1.self_attn.o_proj.weight") == tensor_type::q4_k);
  CHECK(type("model.layers.0.mlp.up_proj.weight") == tensor_type::q4_k);
}

TEST_CASE("an OPT's queries, keys and values have one type, and rules that match nothing are refused") {
  const random_source opt(shape_of(model_family::opt, 2)), llama(shape_of(model_family::llama, 2));
  const gguf::export_types good{.weights = tensor_type::q4_k,
                                .mix = {{"*.[qkv]_proj", tensor_type::q6_k}, {"*.fc2", tensor_type::q8_0}}};
  const auto found = matrices_of(gguf::opt_export(opt.source, good));
  CHECK(found.at("blk.1.attn_qkv.weight") == tensor_type::q6_k);
  CHECK(found.at("blk.1.ffn_down.weight") == tensor_type::q8_0);
  CHECK(found.at("blk.1.ffn_up.weight") == tensor_type::q4_k);
  const auto failure = [](const auto& f) { return message_of<value_error>(f); };
  check_mentions(failure([&] {
                   static_cast<void>(gguf::opt_export(opt.source, {.mix = {{"*.v_proj", tensor_type::q6_k}}}));
                 }),
                 "q_proj", "v_proj", "one type", "Q6_K");
  check_mentions(failure([&] {
                   static_cast<void>(gguf::export_base(llama.source, {.mix = {{"*.fc1", tensor_type::q6_k}}}));
                 }),
                 "'*.fc1'", "down_proj");
  check_mentions(failure([&] {
                   static_cast<void>(gguf::export_base(llama.source, {.mix = {{"*.k_proj", tensor_type::iq4_nl}}}));
                 }),
                 "IQ4_NL is not written");
}
