// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/adapter_export.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/random_model.hpp>
#include <zoqat/io/gguf/file.hpp>
#include <zoqat/io/gguf/llama_export.hpp>
#include <zoqat/nn/llama.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
namespace gguf = zoqat::io::gguf;

namespace {

using w4g32 = quant::scheme<quant::weight<4, quant::group<32>, quant::signed_symmetric, quant::clip::codes,
                                          quant::fp16_scale>>;  // Q4_0
using smoothed = quant::scheme<quant::weight<4>, quant::activation<4>>;

model_shape shape() {
  return {.hidden = 32,
          .intermediate = 40,  // a file fills it up to 64
          .layers = 2,
          .heads = 4,
          .kv_heads = 2,
          .head_size = 8,
          .vocabulary = 7,
          .positions = 9,
          .norm_epsilon = 2e-6f,
          .rope_theta = 5e3f,
          .rope = rope_pairing::half_split,
          .tied_head = true};
}
const nn::low_rank_plan plan{.layers = {"*.q_proj", "*.1.mlp.*"}, .rank = 3, .alpha = 4.5f};

/// A saved model, its adapters no longer zero.
template <class Scheme>
nn::llama<Scheme> saved(const std::filesystem::path& path, const nn::low_rank_plan& adapters, bool prefix = false) {
  auto model = random_model<nn::llama<Scheme>>(shape());
  model.for_each_shared_input([](auto&& input) {
    for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
  });
  model.store({.trained = {}, .adapters = adapters});
  sequential here;
  if (prefix) nn::add_prefix(model, random_tokens(2, 7, 1), here);
  shake(model, 0.5f);
  model.deploy();
  io::save_quantized(path, model, "mine");
  return model;
}
matrix<float> values(const gguf::file& file, const std::string& name) {
  REQUIRE(file.find(name) != nullptr);
  const gguf::tensor& t = *file.find(name);
  matrix<float> all(t.shape[0], t.shape[1]);
  REQUIRE(t.type == gguf::tensor_type::f32);
  REQUIRE(t.data.size() == all.size() * sizeof(float));
  std::memcpy(all.data(), t.data.data(), t.data.size());
  return all;
}

}  // namespace

TEST_CASE("adapters are written as llama.cpp reads them: names, alpha, filled sizes and rows in the file's order") {
  const temporary_folder folder;
  auto model = saved<w4g32>(folder / "m", plan);
  const io::safetensors_file file(folder / "m");
  const gguf::export_types types{.weights = gguf::tensor_type::q4_0, .adapters_apart = true};
  gguf::export_adapters(folder / "a.gguf", file, types);
  const gguf::file adapter(folder / "a.gguf");
  CHECK(adapter.get<std::string>("general.architecture") == "llama");
  CHECK(adapter.get<std::string>("general.type") == "adapter");
  CHECK(adapter.get<std::string>("adapter.type") == "lora");
  CHECK(adapter.get<float>("adapter.lora.alpha") == 4.5f);
  CHECK(adapter.tensors().size() == 2 * (2 + 3));

  gguf::export_trained<w4g32>(file, types).write(folder / "m.gguf", {});
  const gguf::file layers(folder / "m.gguf");
  std::size_t compared = 0, moved = 0;
  model.for_each_shared_input([&](auto&& input) {
    for (auto* layer : input.layers) {
      if (!layer->adapter()) continue;
      const bool query = layer->name().ends_with("q_proj");
      const std::string block = "blk." + layer->name().substr(13, 1) + ".";
      const std::string name = block +
                               (query                                  ? "attn_q"
                                : layer->name().ends_with("gate_proj") ? "ffn_gate"
                                : layer->name().ends_with("up_proj")   ? "ffn_up"
                                                                       : "ffn_down") +
                               ".weight";
      const matrix<float> a = values(adapter, name + ".lora_a"), b = values(adapter, name + ".lora_b");
      REQUIRE(layers.find(name) != nullptr);
      CHECK(layers.find(name)->shape == std::vector<std::size_t>{b.rows(), a.cols()});
      for (std::size_t r = 0; r != 3; ++r)
        for (std::size_t k = 0; k != a.cols(); ++k)
          CHECK(a(r, k) == (k < layer->in_features() ? layer->adapter()->down().values()(r, k) : 0.0f));
      for (std::size_t row = 0; row != b.rows(); ++row) {
        const std::size_t from = query ? gguf::source_row(row, shape(), *gguf::llama_architecture_of(shape())) : row;
        moved += from != row;
        for (std::size_t r = 0; r != 3; ++r)
          CHECK(b(row, r) == (from < layer->out_features() ? layer->adapter()->up().values()(from, r) : 0.0f));
      }
      ++compared;
    }
  });
  CHECK(compared == 5);
  CHECK(moved > 0);
}

TEST_CASE("what no engine would compute is not written") {
  const temporary_folder folder;
  const auto failure = [&](const char* name) {
    return message_of<error>(
        [&] { gguf::export_adapters(folder / "a.gguf", io::safetensors_file(folder / name), {}); });
  };
  saved<w4g32>(folder / "plain", {});
  check_mentions(failure("plain"), "plain", "no low-rank adapters");
  saved<w4g32>(folder / "prefix", plan, true);
  check_mentions(failure("prefix"), "prefix");
  saved<smoothed>(folder / "smoothed", plan);
  check_mentions(failure("smoothed"), "smoothed", "log_scale");
  CHECK_FALSE(std::filesystem::exists(folder / "a.gguf"));

  saved<w4g32>(folder / "m", plan);
  const io::safetensors_file adapted(folder / "m"), prefixed(folder / "prefix");
  check_mentions(message_of<io_error>([&] { (void)gguf::export_trained<w4g32>(adapted, {}); }), "adapters",
                 "left out");
  check_mentions(message_of<io_error>([&] { (void)gguf::export_trained<w4g32>(prefixed, {.adapters_apart = true}); }),
                 "left out");
}
