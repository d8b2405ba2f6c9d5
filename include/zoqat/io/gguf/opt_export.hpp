// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/gguf/round.hpp>
#include <zoqat/io/gguf/tensor_plan.hpp>
#include <zoqat/io/gguf/writer.hpp>
#include <zoqat/io/opt_name_map.hpp>
#include <zoqat/io/tensor_source.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// A tensor of an OPT in a file of the architecture `mpt`, and the tensors whose rows are stacked in it; `{}` stands
/// for the layer.
struct opt_place {
  std::string_view name;
  std::array<std::string_view, 3> parts;
};
inline constexpr std::array<opt_place, 17> opt_places{{
    {"token_embd.weight", {"model.embed_tokens.weight"}},
    {"position_embd.weight", {"model.embed_positions.weight"}},
    {"blk.{}.attn_norm.weight", {"model.layers.{}.input_layernorm.weight"}},
    {"blk.{}.attn_norm.bias", {"model.layers.{}.input_layernorm.bias"}},
    {"blk.{}.attn_qkv.weight",
     {"model.layers.{}.self_attn.q_proj.weight", "model.layers.{}.self_attn.k_proj.weight",
      "model.layers.{}.self_attn.v_proj.weight"}},
    {"blk.{}.attn_qkv.bias",
     {"model.layers.{}.self_attn.q_proj.bias", "model.layers.{}.self_attn.k_proj.bias",
      "model.layers.{}.self_attn.v_proj.bias"}},
    {"blk.{}.attn_output.weight", {"model.layers.{}.self_attn.o_proj.weight"}},
    {"blk.{}.attn_output.bias", {"model.layers.{}.self_attn.o_proj.bias"}},
    {"blk.{}.ffn_norm.weight", {"model.layers.{}.post_attention_layernorm.weight"}},
    {"blk.{}.ffn_norm.bias", {"model.layers.{}.post_attention_layernorm.bias"}},
    {"blk.{}.ffn_up.weight", {"model.layers.{}.mlp.fc1.weight"}},
    {"blk.{}.ffn_up.bias", {"model.layers.{}.mlp.fc1.bias"}},
    {"blk.{}.ffn_down.weight", {"model.layers.{}.mlp.fc2.weight"}},
    {"blk.{}.ffn_down.bias", {"model.layers.{}.mlp.fc2.bias"}},
    {"output_norm.weight", {"model.norm.weight"}},
    {"output_norm.bias", {"model.norm.bias"}},
    {"output.weight", {"lm_head.weight"}},
}};

/// The sizes of an OPT as metadata of the architecture `mpt`, without what it has beside OPT.
[[nodiscard]] inline metadata opt_metadata(const model_shape& shape) {
  const auto u32 = [](std::size_t x) { return static_cast<std::uint32_t>(x); };
  return {{"general.architecture", "mpt"},
          {"mpt.context_length", u32(shape.positions)},
          {"mpt.embedding_length", u32(shape.hidden)},
          {"mpt.block_count", u32(shape.layers)},
          {"mpt.feed_forward_length", u32(shape.intermediate)},
          {"mpt.attention.head_count", u32(shape.heads)},
          {"mpt.attention.layer_norm_epsilon", shape.norm_epsilon},
          {"mpt.attention.max_alibi_bias", 0.0f}};
}

/// An OPT as a file will have it. Engines have no architecture of that name; `mpt` computes the same where positions
/// are embedded and have no ALiBi. Its activation is the GELU by tanh, which is OPT's in some models; in others it is
/// ReLU, and c x in place of x, where what comes out is divided by c, leads there: with c = `relu_factor`, a power of
/// two, within 0.17 / c of it, and no weight is rounded by that.
class opt_export : public tensor_plan {
 public:
  static constexpr float relu_factor = 4096;

  /// Throws io_error for a model that is no OPT, or one with the GELU by the error function.
  template <tensor_source Source>
  opt_export(const Source& source, export_types types) : shape_(source.shape()) {
    const std::string& path = source.path().native();
    require<io_error>(shape_.kind.family == model_family::opt, "{}: is no OPT", path);
    require<io_error>(shape_.kind.activation == activation_function::relu ||
                          shape_.kind.activation == activation_function::gelu_tanh,
                      "{}: has the activation {}, but engines that read GGUF have relu and gelu_tanh", path,
                      activation_function_names[static_cast<std::size_t>(shape_.kind.activation)]);
    require(!types.fill_stream, "{}: the stream of an OPT is not filled up; leave that out", path);
    for (const tensor_type type : {types.weights, types.embeddings})
      require(is_encodable(type), "{} is not written by this version of the library", info_of(type).name);
    for (const opt_place& place : opt_places) {
      const bool per_layer = place.name.find("{}") != place.name.npos;
      for (std::size_t layer = 0; layer != (per_layer ? shape_.layers : 1); ++layer)
        add_place(source, place, layer, types);
    }
    for (std::size_t layer = 0; is_relu() && layer != shape_.layers; ++layer) add_scales(layer);
  }

  [[nodiscard]] const model_shape& shape() const noexcept { return shape_; }
  /// Writes the file, tensor by tensor: the model's sizes, then `more` metadata, such as the tokenizer's. Throws as
  /// `writer` does, and as reading the source does.
  void write(const std::filesystem::path& path, const metadata& more) const {
    metadata entries = opt_metadata(shape_);
    entries.insert(entries.end(), more.begin(), more.end());
    write_file(path, entries);
  }

 private:
  [[nodiscard]] bool is_relu() const noexcept { return shape_.kind.activation == activation_function::relu; }

  template <tensor_source Source>
  void add_place(const Source& source, const opt_place& place, std::size_t layer, export_types types) {
    std::vector<const tensor_view*> parts;
    std::size_t rows = 0;
    for (const std::string_view part : place.parts)
      if (const tensor_view* const found = part.empty() ? nullptr : find(source, part, layer)) {
        parts.push_back(found);
        rows += found->shape[0];
      }
    if (parts.empty()) return;  // a bias or a head that the model does not have
    const bool vector = parts[0]->shape.size() == 1, positions = place.name == "position_embd.weight";
    const std::size_t unused = positions ? opt_unused_positions : 0, cols = vector ? 1 : parts[0]->shape[1];
    tensor_info info{fmt::format(fmt::runtime(place.name), layer), tensor_type::f32, {rows - unused}};
    if (!vector) info.shape.push_back(cols);
    const bool embedding = place.name == "token_embd.weight" || place.name == "output.weight";
    const tensor_type wanted = embedding ? types.embeddings : types.weights;
    if (!vector && !positions)
      choose_type(info, fmt::format(fmt::runtime(place.name), "N"), {wanted, fallback(wanted), tensor_type::f16});
    const float factor = is_relu() && place.name.find("ffn_up") != place.name.npos ? relu_factor : 1;
    const auto read = [&source, parts, unused, cols, factor](std::size_t row, std::span<float> out) {
      std::size_t at = row + unused, part = 0;
      for (std::size_t i = 0; i != out.size() / cols; ++i, ++at) {
        while (at >= parts[part]->shape[0]) at -= parts[part++]->shape[0];
        io::read_f32(source, *parts[part], at * cols, out.subspan(i * cols, cols));
      }
      for (float& x : out) x *= factor;
    };
    add(info, [info, read](writer& to) {
      std::vector<float> values(info.shape.back());
      write_rows(to, info, [&](std::size_t row, std::span<std::byte> bytes) {
        read(row, values);
        require_room(to, info, row, values);
        round_row(info.type, values, bytes);
      });
    });
  }
  template <tensor_source Source>
  [[nodiscard]] const tensor_view* find(const Source& source, std::string_view name, std::size_t layer) const {
    const auto entry = std::ranges::find(opt_tensors, name, &opt_entry::name);
    if (!is_present(*entry, shape_)) return nullptr;
    return &at(source, fmt::format(fmt::runtime(name), layer), shape_of(*entry, shape_));
  }
  /// What the engine divides the activations by.
  void add_scales(std::size_t layer) {
    const tensor_info info{fmt::format("blk.{}.ffn.act.scales", layer), tensor_type::f32, {shape_.intermediate}};
    add(info, [n = shape_.intermediate](writer& to) {
      const std::vector<float> scales(n, relu_factor);
      to.write(std::as_bytes(std::span(scales)));
    });
  }

  model_shape shape_;
};

}  // namespace zoqat::io::gguf
