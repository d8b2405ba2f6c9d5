// SPDX-License-Identifier: Apache-2.0
#include <common/exported_bytes.hpp>

#include <doctest/doctest.h>
#include <support/deployed_model.hpp>
#include <support/files.hpp>
#include <zoqat/io/gguf/llama_export.hpp>
#include <zoqat/io/quantized_model.hpp>
#include <zoqat/quant/scheme_registry.hpp>

#include <cstddef>

using namespace zoqat;
using namespace zoqat::programs;
using namespace zoqat::testing;

namespace {

// Attention has blocks of 256 in its rows, the MLP's 300 are filled up to 512.
constexpr model_shape shape{.hidden = 256,
                            .intermediate = 300,
                            .layers = 2,
                            .heads = 4,
                            .kv_heads = 2,
                            .head_size = 64,
                            .vocabulary = 9,
                            .positions = 4,
                            .tied_head = false};

template <class Scheme>
io::safetensors_file saved(const std::filesystem::path& path, const char* name, const model_shape& s) {
  deployed_model<Scheme> model((random_source(s)));
  io::save_quantized(path, model, name);
  return io::safetensors_file(path);
}

}  // namespace

TEST_CASE("the bytes of an export are those of the tensors that it writes") {
  const temporary_folder folder;
  using scheme = quant::standard_schemes::scheme_of<"q2_k">;
  const io::safetensors_file file = saved<scheme>(folder / "m.safetensors", "q2_k", shape);
  const auto exported = exported_bytes_of(file);
  REQUIRE(exported.has_value());
  CHECK(exported->type == io::gguf::tensor_type::q2_k);
  std::size_t all = 0, written = 0;
  for (const auto& [name, bytes] : exported->bytes) all += bytes;
  for (const io::gguf::tensor_info& t :
       io::gguf::export_trained<scheme>(file, {.weights = io::gguf::tensor_type::q2_k}).tensors())
    written += *io::gguf::checked_bytes(t);
  CHECK(all == written);
  CHECK(exported->bytes.at("model.layers.1.self_attn.q_proj.weight") == 256 * 84);
  CHECK(exported->bytes.at("model.layers.1.mlp.down_proj.weight") == 256 * 2 * 84);
  CHECK(exported->bytes.at("model.embed_tokens.weight") == 9 * 256 * 4);
  // Of 2.625 bits each in attention, and more in the MLP, whose filling is nobody's weight.
  const double filled = 2.0 * 3 * 512 * 256, own = 2.0 * 3 * 300 * 256, attention = 2.0 * (2 + 1) * 256 * 256;
  CHECK(exported->bits_of_linear_layers(shape) == doctest::Approx(2.625 * (filled + attention) / (own + attention)));
}

TEST_CASE("what no file for engines holds has no bytes there") {
  const temporary_folder folder;
  using w4a16 = quant::standard_schemes::scheme_of<"w4a16">;
  using q2_k = quant::standard_schemes::scheme_of<"q2_k">;
  CHECK_FALSE(exported_bytes_of(saved<w4a16>(folder / "a.safetensors", "w4a16", shape)).has_value());
  CHECK_FALSE(exported_bytes_of(saved<w4a16>(folder / "b.safetensors", "of my own", shape)).has_value());
  model_shape opt = shape;
  opt.kind = {model_family::opt, activation_function::relu};
  opt.kv_heads = opt.heads;
  CHECK_FALSE(exported_bytes_of(saved<q2_k>(folder / "c.safetensors", "q2_k", opt)).has_value());
}
