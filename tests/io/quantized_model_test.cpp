// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/quantized_model.hpp>

#include <doctest/doctest.h>
#include <support/corruption.hpp>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/random_model.hpp>
#include <support/tiny_opt.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/nn/opt.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

using asymmetric_model = nn::llama<scheme<weight<3, group<4>, asymmetric, clip::codes>, activation<4>, attention<4>>>;
using opt_model = nn::opt<scheme<weight<4, per_channel, asymmetric, clip::none>, activation<8>>>;
using symmetric_model = nn::llama<scheme<weight<2, per_channel, symmetric, clip::none, fp16_scale>>>;

struct stored_tensor {
  std::string name;
  std::vector<std::size_t> shape;
  std::vector<std::byte> bytes;
  friend bool operator==(const stored_tensor&, const stored_tensor&) = default;
};
template <class Model>
std::vector<stored_tensor> stored(Model& model) {
  std::vector<stored_tensor> all;
  nn::for_each_stored(
      model, [&]<class T>(const std::string& name, const std::vector<std::size_t>& shape, std::span<T> values) {
        const auto bytes = std::as_bytes(values);
        all.push_back({name, shape, {bytes.begin(), bytes.end()}});
      });
  return all;
}
template <class Model>
Model deployed(const model_shape& shape) {
  auto model = random_model<Model>(shape, 1);
  model.for_each_shared_input([](auto&& input) {
    for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
  });
  shake(model, 0.05f);
  model.deploy();
  return model;
}
template <class Model>
Model loaded(const std::filesystem::path& path) {
  return io::load_quantized<Model>(io::safetensors_file(path));
}

/// A saved model with a change, and what the reader says of it.
struct saved {
  temporary_folder folder;
  std::filesystem::path path = folder / "model.safetensors";

  saved() {
    auto model = deployed<asymmetric_model>(tiny_shape(true));
    io::save_quantized(path, model, "mine");
  }
  template <class Change>
  std::string failure(Change&& change) const {
    const io::safetensors_file file(path);
    std::vector<io::tensor_view> tensors(file.tensors().begin(), file.tensors().end());
    std::vector<std::vector<std::byte>> storage;  // for the change to put bytes into
    for (auto& t : tensors) {
      storage.emplace_back(t.data.begin(), t.data.end());
      t.data = storage.back();
    }
    auto metadata = file.metadata();
    change(tensors, storage, metadata);
    // As a program would write it that knows no better: what is found is not the damage.
    std::erase_if(metadata, [](const auto& entry) { return entry.first.starts_with(io::checksum_key); });
    io::add_checksums(tensors, metadata);
    io::write_safetensors(folder / "changed.safetensors", tensors, metadata);
    return message_of<io_error>([&] { static_cast<void>(loaded<asymmetric_model>(folder / "changed.safetensors")); });
  }
  std::string failure_with(const std::string& key, const std::string& value) const {
    return failure([&](auto&, auto&, auto& metadata) { metadata[key] = value; });
  }
};

}  // namespace

TEST_CASE_TEMPLATE("a deployed model comes back byte by byte", Model, asymmetric_model, symmetric_model) {
  const temporary_folder folder;
  for (const rope_pairing rope : {rope_pairing::half_split, rope_pairing::interleaved})
    for (const bool tied : {true, false}) {
      model_shape shape = tiny_shape(tied);
      shape.rope = rope;
      shape.norm_epsilon = 1.1e-6f;
      shape.rope_theta = 123456.7f;
      shape.biases.query_key_value = rope == rope_pairing::half_split;
      shape.biases.mlp = tied;
      if (tied) shape.rope_scaling = {rope_scaling::kind::llama3, 8.5f, 1.25f, 4, 8192};
      if (!tied && rope == rope_pairing::interleaved) shape.rope_scaling = {rope_scaling::kind::linear, 3.7f};
      auto model = deployed<Model>(shape);
      io::save_quantized(folder / "m", model, "a name");
      const io::safetensors_file file(folder / "m");
      CHECK(io::is_quantized_model(file));
      CHECK(io::scheme_of(file) == "a name");
      CHECK(io::shape_of_quantized(file) == shape);
      auto copy = io::load_quantized<Model>(file);
      CHECK(copy.shape() == shape);
      CHECK(stored(copy) == stored(model));
      CHECK(stored(copy).size() == file.tensors().size());
    }
}

TEST_CASE("a model with adapters comes back with them, in a format of its own, and no other file has that") {
  const temporary_folder folder;
  auto model = random_model<symmetric_model>(tiny_shape(true), 1);
  model.store({.trained = {}, .adapters = {.layers = {"*.v_proj", "*.1.mlp.up_proj"}, .rank = 2, .alpha = 3}});
  shake(model, 0.5f);
  model.deploy();
  io::save_quantized(folder / "m", model, "a name");
  const io::safetensors_file file(folder / "m");
  CHECK(io::has_adapters(file));
  CHECK(file.metadata().at("format") == "zoqat-quantized-4");
  auto copy = io::load_quantized<symmetric_model>(file);
  CHECK(stored(copy) == stored(model));
  CHECK(copy.weight_bytes() == model.weight_bytes());
  CHECK(copy.adapter_alpha() == 3.0f);
  copy.for_each_parameter([](const parameter& p) { FAIL(p.name); });
  const auto batch = random_batch(std::array<std::size_t, 2>{5, 7}, copy.shape().vocabulary, 1);
  CHECK(std::ranges::equal(logits_of(copy, batch).flat(), logits_of(model, batch).flat()));
  check_mentions(message_of<io_error>([&] { io::require_layers_alone(file); }), "m: ", "adapters", "left out");

  const saved plain;
  CHECK_FALSE(io::has_adapters(io::safetensors_file(plain.path)));
  CHECK_NOTHROW(io::require_layers_alone(io::safetensors_file(plain.path)));
}

TEST_CASE("a model with a prefix comes back with it, and computes the same") {
  const temporary_folder folder;
  auto model = random_model<symmetric_model>(tiny_shape(true), 1);
  model.store({.trained = {}});
  sequential here;
  nn::add_prefix(model, random_tokens(3, model.shape().vocabulary, 9), here);
  shake(model, 0.5f);
  model.deploy();
  io::save_quantized(folder / "m", model, "a name");
  const io::safetensors_file file(folder / "m");
  CHECK(io::has_adapters(file));
  auto copy = io::load_quantized<symmetric_model>(file);
  CHECK(copy.prefix_tokens() == 3);
  CHECK(stored(copy) == stored(model));
  copy.for_each_parameter([](const parameter& p) { FAIL(p.name); });
  const auto batch = random_batch(std::array<std::size_t, 2>{2, 4}, copy.shape().vocabulary, 1);
  CHECK(std::ranges::equal(logits_of(copy, batch).flat(), logits_of(model, batch).flat()));
  for (const auto* count : {"0", "2", "4000000000", "none"}) {
    auto metadata = file.metadata();
    metadata["prefix_tokens"] = count;
    std::erase_if(metadata, [](const auto& entry) { return entry.first.starts_with(io::checksum_key); });
    io::add_checksums(file.tensors(), metadata);
    io::write_safetensors(folder / "changed", file.tensors(), metadata);
    check_mentions(message_of<io_error>([&] { (void)loaded<symmetric_model>(folder / "changed"); }), "prefix_tokens",
                   count);
  }
}

TEST_CASE("adapters that fit no layer of a model are refused before they take memory") {
  const temporary_folder folder;
  auto model = random_model<symmetric_model>(tiny_shape(true), 1);
  model.store({.trained = {}, .adapters = {.layers = {"*.0.self_attn.v_proj"}, .rank = 2, .alpha = 3}});
  model.deploy();
  io::save_quantized(folder / "m", model, "a name");
  const auto failure = [&](auto&& change) {
    const io::safetensors_file file(folder / "m");
    std::vector<io::tensor_view> tensors(file.tensors().begin(), file.tensors().end());
    auto metadata = file.metadata();
    change(tensors, metadata);
    std::erase_if(metadata, [](const auto& entry) { return entry.first.starts_with(io::checksum_key); });
    io::add_checksums(tensors, metadata);
    io::write_safetensors(folder / "changed", tensors, metadata);
    return message_of<io_error>([&] { static_cast<void>(loaded<symmetric_model>(folder / "changed")); });
  };
  const std::string name = "model.layers.0.self_attn.v_proj";
  const auto at = [](auto& tensors, const std::string& wanted) -> io::tensor_view& {
    return *std::ranges::find(tensors, wanted, &io::tensor_view::name);
  };
  check_mentions(failure([&](auto&, auto& metadata) { metadata["lora_alpha"] = "-1"; }), "lora_alpha", "-1");
  check_mentions(failure([&](auto&, auto& metadata) { metadata.erase("lora_alpha"); }), "lora_alpha");
  check_mentions(failure([&](auto& tensors, auto&) {
                   auto& a = at(tensors, name + ".lora_A.weight");
                   std::swap(a.shape[0], a.shape[1]);
                 }),
                 "changed", name + ".lora_A.weight", "no adapter");
  check_mentions(failure([&](auto& tensors, auto&) {
                   for (const char* ending : {".lora_A.weight", ".lora_B.weight"}) {
                     auto& t = at(tensors, name + ending);
                     t.name.replace(t.name.find("layers.0"), 8, "layers.7");
                   }
                 }),
                 "model.layers.7.self_attn.v_proj.lora_A.weight", "no adapter");
  check_mentions(failure([&](auto& tensors, auto&) {
                   std::erase_if(tensors, [&](const auto& t) { return t.name == name + ".lora_B.weight"; });
                 }),
                 name + ".lora_B.weight");
}

TEST_CASE("biases and scalings of positions that no version of the format knows are refused") {
  const saved model;
  check_mentions(model.failure_with("biases", "some"), "'biases'", "'some'");
  for (const auto* text : {"yarn 2", "linear", "linear 2 3", "llama3 8 1 4", "llama3 8 1 4 -5", "linear nan"})
    check_mentions(model.failure_with("rope_scaling", text), "changed.safetensors", "rope_scaling", text);
  check_mentions(model.failure_with("rope_scaling", "linear 0.5"), "0.5");
}

TEST_CASE("a model is not read as one of another arithmetic, even where its tensors have the same sizes") {
  using without_attention = nn::llama<scheme<weight<3, group<4>, asymmetric, clip::none>, activation<8>>>;
  const temporary_folder folder;
  auto model = deployed<asymmetric_model>(tiny_shape(true));
  io::save_quantized(folder / "m", model, "a name");
  const io::safetensors_file file(folder / "m");
  check_mentions(message_of<io_error>([&] { (void)io::load_quantized<without_attention>(file); }), "m: ",
                 "weights of 3 bits per group of 4, asymmetric, fp32 scales; activations of 4 bits, asymmetric; "
                 "queries, keys and values of 4 bits",
                 "fp32 scales; activations of 8 bits, asymmetric");
  // How clipping was learned is of no account.
  using unclipped = nn::llama<scheme<weight<3, group<4>, asymmetric, clip::none>, activation<4>, attention<4>>>;
  CHECK_NOTHROW((void)io::load_quantized<unclipped>(file));
}

TEST_CASE("a model that still trains cannot be saved") {
  const temporary_folder folder;
  asymmetric_model model(tiny_shape(true));
  check_mentions(message_of<value_error>([&] { io::save_quantized(folder / "m", model, "w"); }), "model.layers.0",
                 "deployed");
  CHECK(folder.count() == 0);
}

TEST_CASE("other files are told apart") {
  const temporary_folder folder;
  auto tensors = tiny_tensors(tiny_shape(true));
  io::write_safetensors(folder / "plain", tensors.views());
  const io::safetensors_file file(folder / "plain");
  CHECK_FALSE(io::is_quantized_model(file));
  check_mentions(message_of<io_error>([&] { static_cast<void>(io::scheme_of(file)); }), "plain",
                 "not a quantized model");
  check_mentions(message_of<io_error>([&] { static_cast<void>(io::shape_of_quantized(file)); }), "plain", "'hidden'");
}

TEST_CASE("a model in another version of the format is known, and refused by its name") {
  const temporary_folder folder;
  auto tensors = tiny_tensors(tiny_shape(true));
  io::write_safetensors(folder / "old", tensors.views(), {{"format", "zoqat-quantized-1"}, {"scheme", "w4"}});
  const io::safetensors_file file(folder / "old");
  CHECK(io::is_quantized_model(file));
  check_mentions(message_of<io_error>([&] { static_cast<void>(io::scheme_of(file)); }), "old", "'zoqat-quantized-1'",
                 "'zoqat-quantized-3'");
}

TEST_CASE("metadata that make no sense are refused with the value") {
  const saved s;
  check_mentions(s.failure_with("hidden", "eight"), "changed", "'hidden'", "'eight' is not a number");
  check_mentions(s.failure_with("hidden", "8x"), "'8x'");
  check_mentions(s.failure_with("hidden", ""), "''");
  check_mentions(s.failure_with("layers", "-1"), "'-1'");
  check_mentions(s.failure_with("layers", "0"), "number of layers is 0");
  check_mentions(s.failure_with("layers", "99999999999999999999999"), "'layers'");
  check_mentions(s.failure_with("vocabulary", "99999999"), "vocabulary size is 99999999");
  check_mentions(s.failure_with("vocabulary", "16000000"), "more weights than the file holds");
  check_mentions(s.failure_with("kv_heads", "3"), "4 attention heads", "3 key/value heads");
  check_mentions(s.failure_with("head_size", "3"), "head size 3 is odd");
  check_mentions(s.failure_with("norm_epsilon", "nan"), "epsilon is nan");
  check_mentions(s.failure_with("rope_theta", "-1"), "theta");
  check_mentions(s.failure_with("rope", "sideways"), "'rope'", "'sideways'", "'interleaved'");
  check_mentions(s.failure_with("head", "lost"), "'head'", "'lost'", "'tied'");
  check_mentions(s.failure([](auto&, auto&, auto& metadata) { metadata.erase("rope"); }), "lacks 'rope'");
  check_mentions(s.failure_with("family", "bert"), "'family'", "'bert'", "llama, opt");
  check_mentions(s.failure_with("activation", ""), "'activation'", "''", "gelu_tanh");
  check_mentions(s.failure([](auto&, auto&, auto& metadata) { metadata.erase("activation"); }), "lacks 'activation'");
}

TEST_CASE("tensors that are missing, of another type or size, or hold no scales are refused by name") {
  const saved s;
  const std::string name = "model.layers.1.mlp.up_proj";
  const auto find = [](auto& tensors, const std::string& wanted) {
    return static_cast<std::size_t>(std::ranges::find(tensors, wanted, &io::tensor_view::name) - tensors.begin());
  };
  for (const char* part : {".codes", ".scales", ".zero_points"}) {
    const std::string tensor = name + part;
    check_mentions(s.failure([&](auto& tensors, auto&, auto&) { tensors[find(tensors, tensor)].name += "x"; }),
                   "no tensor", tensor);
    check_mentions(s.failure([&](auto& tensors, auto&, auto&) {
      auto& t = tensors[find(tensors, tensor)];
      t.shape = {t.data.size() / 2};
      t.type = io::dtype::f16;
    }),
                   tensor, "F16");
    check_mentions(s.failure([&](auto& tensors, auto&, auto&) {
      auto& t = tensors[find(tensors, tensor)];
      t.data = t.data.first(4);
      t.shape = {4 / io::dtype_size(t.type)};
    }),
                   tensor, "shape [", "is wanted");
    check_mentions(s.failure([&](auto& tensors, auto&, auto&) {
      auto& t = tensors[find(tensors, tensor)];
      t.shape.push_back(1);
    }),
                   tensor, "shape [", ", 1]", "is wanted");
  }
  for (const float scale :
       {0.0f, -1.0f, 1e-40f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    const auto text = s.failure([&](auto& tensors, auto& storage, auto&) {
      std::memcpy(storage[find(tensors, name + ".scales")].data() + 4, &scale, 4);
    });
    check_mentions(text, name + ".scales", "a scale is");
  }
  check_mentions(s.failure([&](auto& tensors, auto& storage, auto&) {
    storage[find(tensors, name + ".zero_points")][3] = std::byte{8};
  }),
                 name + ".zero_points", "a zero point is 8", "3 bits");
}

TEST_CASE("a model with biases and embedded positions comes back") {
  const temporary_folder folder;
  auto model = deployed<opt_model>(tiny_opt_shape());
  io::save_quantized(folder / "model", model, "mine");
  auto again = loaded<opt_model>(folder / "model");
  CHECK(again.shape() == tiny_opt_shape());
  const nn::token_batch batch = random_batch(std::array<std::size_t, 2>{5, 1}, tiny_opt_shape().vocabulary, 3);
  CHECK(std::ranges::equal(logits_of(again, batch).flat(), logits_of(model, batch).flat()));
}

TEST_CASE("a model of another kind is refused before anything of its size is allocated") {
  const temporary_folder folder;
  auto opt = deployed<opt_model>(tiny_opt_shape());
  io::save_quantized(folder / "opt", opt, "mine");
  check_mentions(message_of<io_error>([&] { loaded<asymmetric_model>(folder / "opt"); }), "opt",
                 "of the family opt with relu", "as one of llama with silu");
  const saved llama;
  check_mentions(message_of<io_error>([&] { loaded<opt_model>(llama.path); }), "of the family llama with silu",
                 "as one of opt with relu");
}

TEST_CASE("a file from the time when there was LLaMA alone holds a LLaMA") {
  const saved s;
  const io::safetensors_file file(s.path);
  auto metadata = file.metadata();
  metadata.erase("family");
  metadata.erase("activation");
  metadata["format"] = "zoqat-quantized-2";
  std::erase_if(metadata, [](const auto& entry) { return entry.first.starts_with(io::checksum_key); });
  io::write_safetensors(s.folder / "old", file.tensors(), metadata);
  CHECK(loaded<asymmetric_model>(s.folder / "old").shape() == tiny_shape(true));
}

TEST_CASE("more embedded positions than the file holds are refused") {
  const temporary_folder folder;
  auto model = deployed<opt_model>(tiny_opt_shape());
  io::save_quantized(folder / "model", model, "mine");
  const io::safetensors_file file(folder / "model");
  auto metadata = file.metadata();
  metadata["positions"] = "16000000";
  io::write_safetensors(folder / "changed", file.tensors(), metadata);
  check_mentions(message_of<io_error>([&] { loaded<opt_model>(folder / "changed"); }), "changed",
                 "more weights than the file holds");
}

TEST_CASE("a value that is not finite is neither loaded nor saved") {
  const saved s;
  for (const float value : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    check_mentions(s.failure([&](auto& tensors, auto& storage, auto&) {
      const auto norm = std::ranges::find(tensors, "model.norm.weight", &io::tensor_view::name);
      std::memcpy(storage[static_cast<std::size_t>(norm - tensors.begin())].data() + 8, &value, 4);
    }),
                   "model.norm.weight", "element 2", "finite");
    auto model = deployed<asymmetric_model>(tiny_shape(true));
    nn::for_each_trainable(model, [&](nn::trainable& t) {
      if (t.name() == "model.norm.weight") t.values().flat()[1] = value;
    });
    check_mentions(message_of<value_error>([&] { io::save_quantized(s.folder / "bad", model, "mine"); }),
                   "model.norm.weight", "not finite");
    CHECK_FALSE(std::filesystem::exists(s.folder / "bad"));
  }
}

TEST_CASE("what is said of a model is saved with it, and no file with checksums passes for one without") {
  const temporary_folder folder;
  auto model = deployed<asymmetric_model>(tiny_shape(true));
  io::save_quantized(folder / "m", model, "mine", {{"run log", "run.zlog"}});
  const io::safetensors_file file(folder / "m");
  CHECK(file.metadata().at("run log") == "run.zlog");
  auto metadata = file.metadata();
  metadata["format"] = "zoqat-quantized-2";
  io::write_safetensors(folder / "older", file.tensors(), metadata);
  check_mentions(message_of<io_error>([&] { (void)loaded<asymmetric_model>(folder / "older"); }), "older",
                 "metadata are damaged");
}

TEST_CASE("a damaged file is refused, wherever a bit is flipped") {
  const saved s;
  const std::string good = read_file(s.path);
  const auto load = [&](std::span<const std::byte> bytes) {
    write_file(s.folder / "damaged", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    static_cast<void>(loaded<asymmetric_model>(s.folder / "damaged"));
  };
  corruption_result result;
  rng::engine draw({.seed = 9, .use = rng::purpose::data});
  constexpr std::size_t damages = is_slow_build ? 500 : 3000;
  for (std::size_t i = 0; i != damages; ++i) {
    std::string damaged = good;
    // Half of them in the header.
    const std::size_t range = i % 2 == 0 ? 4000 : good.size();
    char& byte = damaged[draw.below(static_cast<std::uint32_t>(range))];
    byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1u << draw.below(8)));
    const auto bytes = exact_bytes(damaged);
    ++(succeeds<io_error>([&] { load(bytes); }) ? result.loaded : result.rejected);
  }
  CHECK(result.rejected == damages);
  for (std::size_t length = 0; length < good.size(); length += is_slow_build ? 971 : 97)
    CHECK_FALSE(succeeds<io_error>([&] { load(exact_bytes(std::string_view(good).substr(0, length))); }));
}
