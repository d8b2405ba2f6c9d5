// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/hugging_face.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/tiny_opt.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::string failure(const std::filesystem::path& path) {
  return message_of<io_error>([&] { io::hugging_face_folder model(path); });
}

float first_value(const io::tensor_view* tensor) {
  REQUIRE(tensor != nullptr);
  std::vector<float> values(io::element_count(*tensor));
  io::copy_to_f32(*tensor, values);
  return values.front();
}

}  // namespace

TEST_CASE("a folder, or the file in it, is a model") {
  const temporary_folder folder;
  auto tensors = tiny_tensors(tiny_shape(false));
  write_hugging_face(folder.path(), tiny_shape(false), tensors.views());
  for (const auto& path : {folder.path(), folder / "model.safetensors"}) {
    const io::hugging_face_folder model(path);
    CHECK(model.shape() == tiny_shape(false));
    CHECK(model.path() == path);
    CHECK(first_value(model.find("model.embed_tokens.weight")) == 0);
    CHECK(first_value(model.find("lm_head.weight")) == 29'000);
    CHECK(model.find("model.layers.3.mlp.up_proj.weight") == nullptr);
    CHECK(model.tensors().files().size() == 1);
  }
}

TEST_CASE("a file in the current folder finds its configuration") {
  const temporary_folder folder;
  auto tensors = tiny_tensors(tiny_shape(false));
  write_hugging_face(folder.path(), tiny_shape(false), tensors.views());
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  const bool loaded = succeeds<io_error>([] { io::hugging_face_folder model("model.safetensors"); });
  std::filesystem::current_path(before);
  CHECK(loaded);
}

TEST_CASE("names without the prefix and tied embeddings under the head's name are found") {
  const temporary_folder folder;
  auto tensors = tiny_tensors(tiny_shape(true));
  for (auto& view : tensors.views()) view.name = view.name.substr(std::string("model.").size());
  tensors.views().front().name = "lm_head.weight";
  write_hugging_face(folder.path(), tiny_shape(true), tensors.views());
  io::hugging_face_folder opened(folder.path());
  const io::hugging_face_folder model(std::move(opened));
  CHECK(model.find("model.embed_tokens.weight")->name == "lm_head.weight");
  CHECK(model.find("lm_head.weight")->name == "lm_head.weight");
  CHECK(model.find("model.layers.1.input_layernorm.weight")->name == "layers.1.input_layernorm.weight");
}

TEST_CASE("an incomplete or inconsistent folder is refused") {
  const temporary_folder folder;
  auto tensors = tiny_tensors(tiny_shape(false));
  write_hugging_face(folder.path(), tiny_shape(false), std::span(tensors.views()).first(12));
  check_mentions(failure(folder.path()), folder.path().string(), "no tensor");
  auto other = tiny_shape(false);
  other.vocabulary = 6;
  write_hugging_face(folder.path(), other, tensors.views());
  check_mentions(failure(folder.path()), "model.safetensors", "model.embed_tokens.weight", "[5, 8]", "[6, 8]");
  std::filesystem::remove(folder / "config.json");
  check_mentions(failure(folder.path()), "config.json", "No such file");
  check_mentions(failure(folder / "model.safetensors"), "config.json", "No such file");
  check_mentions(failure(folder / "absent"), "No such file");
}

TEST_CASE("an OPT model is known by its configuration, and found under LLaMA's names, prefixed or not") {
  const temporary_folder folder;
  for (const std::string prefix : {"model.", ""})
    for (const bool tied : {true, false}) {
      const auto shape = tiny_opt_shape(tied);
      auto tensors = tiny_opt_tensors(shape, prefix);
      write_hugging_face(folder.path(), tiny_opt_config(shape), tensors.views());
      const io::hugging_face_folder model(folder.path());
      CHECK(model.shape() == shape);
      CHECK(model.find("model.layers.1.self_attn.o_proj.bias")->name ==
            prefix + "decoder.layers.1.self_attn.out_proj.bias");
      CHECK(model.find("model.embed_positions.weight")->shape == std::vector<std::size_t>{9, 6});
      CHECK(model.find("lm_head.weight")->name == (tied ? prefix + "decoder.embed_tokens.weight" : "lm_head.weight"));
      CHECK(model.find("model.layers.0.mlp.gate_proj.weight") == nullptr);
      CHECK(model.find("model.decoder.layers.0.fc1.weight") == nullptr);
    }
}

TEST_CASE("a tied OPT model may store its head too, which is ignored") {
  const temporary_folder folder;
  auto tensors = tiny_opt_tensors(tiny_opt_shape(false));
  write_hugging_face(folder.path(), tiny_opt_config(tiny_opt_shape(true)), tensors.views());
  const io::hugging_face_folder model(folder.path());
  CHECK(model.find("lm_head.weight")->name == "model.decoder.embed_tokens.weight");
}

TEST_CASE("an OPT model in shards is read by its index") {
  const temporary_folder folder;
  const auto shape = tiny_opt_shape();
  auto tensors = tiny_opt_tensors(shape);
  const std::span all(tensors.views());
  write_file(folder / "config.json", tiny_opt_config(shape).dump());
  io::json index = {{"weight_map", io::json::object()}};
  for (const auto& [name, part] :
       {std::pair("a.safetensors", all.first(20)), std::pair("b.safetensors", all.subspan(20))}) {
    io::write_safetensors(folder / name, part);
    for (const auto& tensor : part) index["weight_map"][tensor.name] = name;
  }
  write_file(folder / "model.safetensors.index.json", index.dump());
  const io::hugging_face_folder model(folder.path());
  CHECK(model.tensors().files().size() == 2);
  CHECK(first_value(model.find("model.norm.bias")) == 1000.0f * static_cast<float>(all.size() - 1));
}

TEST_CASE("an OPT model needs its biases, and its positions with the two unused rows") {
  const temporary_folder folder;
  const auto shape = tiny_opt_shape();
  auto tensors = tiny_opt_tensors(tiny_opt_shape(true, false));
  write_hugging_face(folder.path(), tiny_opt_config(shape), tensors.views());
  check_mentions(failure(folder.path()), folder.path().string(), "no tensor", "self_attn.q_proj.bias");
  auto longer = shape;
  longer.positions = 9;
  tensors = tiny_opt_tensors(shape);
  write_hugging_face(folder.path(), tiny_opt_config(longer), tensors.views());
  check_mentions(failure(folder.path()), "model.safetensors", "embed_positions.weight", "[9, 6]", "[11, 6]");
}

TEST_CASE("the project's own models") {
  const io::hugging_face_folder llama(project_file("examples/models/tiny-llama"));
  CHECK(llama.shape() == model_shape{.hidden = 128,
                                     .intermediate = 384,
                                     .layers = 5,
                                     .heads = 4,
                                     .kv_heads = 2,
                                     .head_size = 32,
                                     .vocabulary = 1024,
                                     .positions = 256,
                                     .norm_epsilon = 1e-5f,
                                     .rope_theta = 1e4f,
                                     .rope = rope_pairing::half_split,
                                     .tied_head = true});
  const io::hugging_face_folder opt(project_file("examples/models/tiny-opt"));
  CHECK(opt.shape() == model_shape{.kind = {model_family::opt, activation_function::relu},
                                   .hidden = 128,
                                   .intermediate = 512,
                                   .layers = 5,
                                   .heads = 4,
                                   .kv_heads = 4,
                                   .head_size = 32,
                                   .vocabulary = 1024,
                                   .positions = 256,
                                   .norm_epsilon = 1e-5f,
                                   .tied_head = true,
                                   .biases = true});
  for (const auto& [model, expected] : {std::pair(&llama, 1'115'520u), std::pair(&opt, 1'155'712u)}) {
    CAPTURE(model->path());
    CHECK(model->find("lm_head.weight") == model->find("model.embed_tokens.weight"));
    std::size_t parameters = 0;
    for (const auto& tensor : model->tensors().files().front().tensors()) {
      std::vector<float> values(io::element_count(tensor));
      io::copy_to_f32(tensor, values);
      for (const float v : values) REQUIRE(std::isfinite(v));
      parameters += values.size();
    }
    CHECK(parameters == expected);
  }
}

TEST_CASE("tensors that the model does not use are named and refused, or ignored when asked to") {
  const temporary_folder folder;
  auto tensors = tiny_tensors(tiny_shape(true));
  tensors.add("model.layers.0.self_attn.q_proj.bias", {8}, 1);
  tensors.add("model.layers.0.self_attn.rotary_emb.inv_freq", {1}, 1);  // follows from theta
  tensors.add("lm_head.weight", {5, 8}, 1);                             // is tied
  write_hugging_face(folder.path(), tiny_shape(true), tensors.views());
  check_mentions(failure(folder.path()), folder.path().string(), "'model.layers.0.self_attn.q_proj.bias'",
                 "does not use");
  CHECK_FALSE((failure(folder.path()).find("inv_freq") != std::string::npos));
  CHECK_FALSE((failure(folder.path()).find("lm_head") != std::string::npos));
  const io::hugging_face_folder model(folder.path(), io::unused_tensors::ignored);
  CHECK(model.shape() == tiny_shape(true));
  for (int i = 0; i != 10; ++i) tensors.add("adapter." + std::to_string(i), {1}, 1);
  write_hugging_face(folder.path(), tiny_shape(true), tensors.views());
  check_mentions(failure(folder.path()), "'adapter.3' and 6 more");
}
