// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/gguf/encode.hpp>
#include <zoqat/io/gguf/llama.hpp>
#include <zoqat/io/gguf/llama_layout.hpp>
#include <zoqat/io/gguf/mix.hpp>
#include <zoqat/io/gguf/rope.hpp>
#include <zoqat/io/gguf/round.hpp>
#include <zoqat/io/gguf/tensor_plan.hpp>
#include <zoqat/io/gguf/writer.hpp>
#include <zoqat/io/name_map.hpp>
#include <zoqat/io/packed_weight.hpp>
#include <zoqat/io/quantized_model.hpp>
#include <zoqat/io/safetensors.hpp>
#include <zoqat/io/tensor_source.hpp>
#include <zoqat/quant/packed_matrix.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// A model of LLaMA's kind as a file will have it: `export_base` and `export_trained` make one, `write` writes it. It
/// refers to the source that it is made of.
class llama_export : public tensor_plan {
 public:
  /// Throws io_error for a model that engines have no architecture for, and as llama_layout does.
  llama_export(const model_shape& shape, export_types types, std::string_view source)
      : layout_(checked(shape, source), info_of(types.weights).elements, types.fill_stream) {
    require_writable(types, shape);
    const auto note_filled = [&](std::string_view what, std::size_t own, std::size_t filled,
                                 std::string_view unit = "channels") {
      if (own != filled)
        note(fmt::format("{} filled up with zeros from {} to {} {}, which changes nothing: {} comes in blocks of {}",
                         what, own, filled, unit, info_of(types.weights).name, info_of(types.weights).elements));
    };
    note_filled("the residual stream is", shape.hidden, layout_.filled().hidden);
    note_filled("attention is", shape.heads, layout_.filled().heads, "heads");
    note_filled("the MLPs are", shape.intermediate, layout_.filled().intermediate);
    if (shape.rope_scaling.how != rope_scaling::kind::llama3) return;
    const auto write_factors = [factors = rope_factors(shape)](writer& to) {
      to.write(std::as_bytes(std::span(factors)));
    };
    tensor_plan::add({rope_factors_name, tensor_type::f32, {shape.head_size / 2}}, write_factors);
  }

  [[nodiscard]] const llama_layout& layout() const noexcept { return layout_; }
  /// Of the model; that in the file may be larger.
  [[nodiscard]] const model_shape& shape() const noexcept { return layout_.shape(); }
  /// Writes the file, tensor by tensor: the model's sizes, then `more` metadata, such as the tokenizer's. Throws as
  /// `writer` does, and as reading the source does.
  void write(const std::filesystem::path& path, const metadata& more) const {
    metadata entries = llama_metadata(layout_.filled());
    entries.insert(entries.end(), more.begin(), more.end());
    write_file(path, entries);
  }

  /// Adds a tensor of values, rounded to nearest: read(row, values) gives those of a row of the model.
  template <class Read>
  void add_values(const llama_place& p, Read read) {
    add(p, [p, read, layout = layout_](writer& to) { layout.write_values(to, p, read); });
  }
  /// Adds a tensor that write(writer) writes.
  void add(const llama_place& p, std::function<void(writer&)> write) { tensor_plan::add(p.info, std::move(write)); }
  /// The first of some types whose blocks divide the rows of a tensor; the last has blocks of one element.
  void choose_type(llama_place& p, std::initializer_list<tensor_type> types) {
    tensor_plan::choose_type(p.info, fmt::format(fmt::runtime(llama_names[static_cast<std::size_t>(p.tensor)]), "N"),
                             types);
  }

 private:
  static const model_shape& checked(const model_shape& shape, std::string_view source) {
    require<io_error>(
        llama_architecture_of(shape) != nullptr,
        "{}: holds a model for {}{}{}, but engines that read GGUF have no architecture that computes it: "
        "they have LLaMA with any biases and frequencies scaled linearly or as LLaMA 3 does, Qwen2, and "
        "Qwen3 without biases and with frequencies scaled linearly at most",
        source, model_family_names[static_cast<std::size_t>(shape.kind.family)],
        shape.biases.any() ? " with biases" : "",
        shape.rope_scaling == rope_scaling{} ? "" : " with scaled rotary frequencies");
    return shape;
  }

  llama_layout layout_;
};

/// A model in full precision, rounded to nearest where `types` say so. `source` must outlive the result. Throws
/// io_error for a model that no file can hold, and value_error as `require_writable` does.
template <tensor_source Source>
[[nodiscard]] llama_export export_base(const Source& source, export_types types) {
  llama_export result(source.shape(), types, source.path().native());
  result.layout().for_each_place([&](llama_place p) {
    const tensor_type wanted = p.is_embedding() ? types.embeddings : types.of(name_of(p.tensor, p.layer));
    if (p.is_matrix()) result.choose_type(p, {wanted, fallback(wanted), tensor_type::f16});
    result.add_values(
        p, [&source, &tensor = at(source, p.tensor, p.layer), cols = p.cols](
               std::size_t row, std::span<float> values) { read_f32(source, tensor, row * cols, values); });
  });
  return result;
}

namespace detail {

/// Writes packed weights: their codes as blocks, or the values that they stand for.
template <class Weight>
void write_packed(writer& to, const llama_layout& layout, const llama_place& p,
                  const quant::packed_matrix<Weight>& packed) {
  matrix<std::uint8_t> codes(p.rows, p.cols);
  packed.read_rows(0, codes);
  std::vector<simd::grid> grids(packed.groups());
  const auto read_grids = [&](std::size_t row) {
    for (std::size_t g = 0; g != grids.size(); ++g) grids[g] = packed.grid(row, g);
  };
  const bool blocks = with_block(p.info.type, [&]<block B>() {
    if constexpr (holds<Weight, B>())
      layout.write_rows(to, p, [&](std::size_t row, std::span<std::byte> out) {
        if (row == llama_layout::no_row) return encode_row<Weight, B>({}, {}, out);
        read_grids(row);
        encode_row<Weight, B>(codes.row(row), grids, out);
      });
  });
  if (blocks) return;
  layout.write_values(to, p, [&](std::size_t row, std::span<float> values) {
    read_grids(row);
    quant::dequantize_row<Weight>(codes.row(row), grids.data(), values.data());
  });
}

}  // namespace detail

/// A model that `save_quantized` wrote, whose scheme is `Scheme`: its codes as they are, in the type that holds the
/// scheme's values (`type_of`), or these values as F32. The embeddings are rounded to nearest. `file` must outlive
/// the result. Throws io_error for a model that no file can hold, and value_error for another type of weights or a
/// mix of types, which would round what was trained.
template <class Scheme>
[[nodiscard]] llama_export export_trained(const safetensors_file& file, export_types types) {
  static_assert(Scheme::quantizes_weights && !Scheme::smooths_inputs && !Scheme::quantizes_attention,
                "gguf::export_trained: engines that read GGUF do not quantize inputs as a scheme with a "
                "quant::activation per_token or a quant::attention does");
  using weight = typename Scheme::weight_type;
  constexpr std::optional<tensor_type> exact = type_of<weight>();
  require(types.weights == tensor_type::f32 || types.weights == exact,
          "{}: {} would round the weights that were trained, which are exact as F32{}{}", file.path().native(),
          info_of(types.weights).name, exact ? " and as " : " alone",
          exact ? info_of(*exact).name : std::string_view());
  if (!types.adapters_apart || file.metadata().contains("prefix_tokens")) require_layers_alone(file);
  require(types.mix.empty(), "{}: a mix of types would round the weights that were trained in one",
          file.path().native());
  const model_shape shape = shape_of_quantized(file);
  io::detail::require_held(file, shape);
  llama_export result(shape, types, file.path().native());
  result.layout().for_each_place([&](llama_place p) {
    const std::string name = io::name_of(p.tensor, p.layer);
    if (!p.is_matrix() || p.is_embedding()) {
      if (p.is_matrix()) result.choose_type(p, {types.embeddings, fallback(types.embeddings), tensor_type::f16});
      const tensor_view& tensor = file.at(name);
      io::detail::require_room(tensor, p.rows * p.cols);
      return result.add_values(p, [&tensor, cols = p.cols](std::size_t row, std::span<float> values) {
        copy_to_f32(subtensor(tensor, row * cols, cols), values);
      });
    }
    result.choose_type(p, {types.weights, tensor_type::f32});
    const std::string layer = name.substr(0, name.rfind(".weight"));
    result.add(p, [p, layer, &file, layout = result.layout()](writer& to) {
      detail::write_packed<weight>(to, layout, p, io::read_packed<weight>(file, layer, p.rows, p.cols));
    });
  });
  return result;
}

}  // namespace zoqat::io::gguf
