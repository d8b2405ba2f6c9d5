// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/io/hugging_face_export.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/packed_weight.hpp>
#include <zoqat/io/safetensors.hpp>
#include <zoqat/io/safetensors_writer.hpp>
#include <zoqat/io/tensor.hpp>
#include <zoqat/quant/packed_matrix.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

/// The format pack-quantized of compressed-tensors (github.com/vllm-project/compressed-tensors), in which vLLM and
/// Transformers read weights of 4 and 8 bits beside inputs in 16: a Hugging Face folder in which the matrix
/// [rows, cols] of a linear layer is
///   weight_packed      I32 [rows, ceil(cols · bits / 32)]: the codes of a row, the first in the lowest bits
///   weight_scale       [rows, groups], of the type of the model's values
///   weight_zero_point  I32 [ceil(rows · bits / 32), groups], packed along the rows; only where zero may be any code
///   weight_shape       I64 [2]: rows, cols
/// and config.json says the bits and what shares a scale. A weight is (code − zero point) · scale; codes and zero
/// points are stored as unsigned numbers, which this library's are already. Grids whose zero point is the code below
/// the middle one are written from their other end, with a negative scale, as GGUF does: then the middle is zero, and
/// readers use their kernels for symmetric weights.

namespace zoqat::inline ZOQAT_ABI::io {

namespace detail {

/// The size of groups that a weight type asks for; 0 for one grid per row.
template <class Weight>
[[nodiscard]] constexpr std::size_t nominal_group() noexcept {
  constexpr std::size_t whole_row = std::size_t{1} << 40;
  return Weight::group_size(whole_row) == whole_row ? 0 : Weight::group_size(whole_row);
}
/// Whether zero may be any code of a grid.
template <class Weight>
inline constexpr bool stores_zero_points = Weight::zeros == quant::zero_points::any;
/// Whether a grid is written from its other end.
template <class Weight>
[[nodiscard]] bool is_reversed(const quant::packed_matrix<Weight>& packed, std::size_t row, std::size_t group) {
  return !stores_zero_points<Weight> && packed.grid(row, group).zero_point != 1 << (Weight::bits - 1);
}

/// Words of 32 bits that hold `count` codes.
[[nodiscard]] constexpr std::size_t packed_words(std::size_t count, int bits) noexcept {
  return (count * static_cast<std::size_t>(bits) + 31) / 32;
}
/// Puts code `index` of some that are packed into its word, which holds zeros there.
inline void pack_code(std::uint32_t& word, std::size_t index, int bits, std::uint32_t code) noexcept {
  word |= code << index * static_cast<std::size_t>(bits) % 32;
}

/// A linear layer of a trained model, as its tensors are written.
template <class Weight>
struct packed_layer {
  const safetensors_file& file;
  std::string name;  ///< of the weight, canonical
  std::size_t rows, cols;
  model_shape shape;

  [[nodiscard]] quant::packed_matrix<Weight> read() const {
    return read_packed<Weight>(file, layer_of(name), rows, cols);
  }
  [[nodiscard]] std::size_t source_row(std::size_t row) const noexcept {
    return hugging_face_source_row(name, row, shape);
  }

  void write_codes(const tensor_sink& sink) const {
    const auto packed = read();
    matrix<std::uint8_t> codes(rows, cols);
    packed.read_rows(0, codes);
    std::vector<std::uint32_t> words(packed_words(cols, Weight::bits));
    for (std::size_t r = 0; r != rows; ++r) {
      words.assign(words.size(), 0);
      const std::size_t row = source_row(r);
      quant::for_each_group<Weight>(cols, [&](std::size_t g, std::size_t first, std::size_t count) {
        const std::uint32_t reversal = is_reversed(packed, row, g) ? (1u << Weight::bits) - 1 : 0;
        for (std::size_t c = first; c != first + count; ++c)
          pack_code(words[c * Weight::bits / 32], c, Weight::bits, codes(row, c) ^ reversal);
      });
      sink(std::as_bytes(std::span(words)));
    }
  }
  void write_zero_points(const tensor_sink& sink) const {
    const auto packed = read();
    matrix<std::uint32_t> words(packed_words(rows, Weight::bits), packed.groups(), 0);
    for (std::size_t row = 0; row != rows; ++row)
      for (std::size_t g = 0; g != packed.groups(); ++g)
        pack_code(words(row * Weight::bits / 32, g), row, Weight::bits,
                  static_cast<std::uint32_t>(packed.grid(source_row(row), g).zero_point));
    for (std::size_t r = 0; r != words.rows(); ++r) sink(std::as_bytes(words.row(r)));
  }
  /// Throws value_error for a scale that T does not hold.
  template <class T>
  void write_scales(const tensor_sink& sink) const {
    const auto packed = read();
    std::vector<T> scales(packed.groups());
    for (std::size_t r = 0; r != rows; ++r) {
      const std::size_t row = source_row(r);
      for (std::size_t g = 0; g != scales.size(); ++g) {
        const float size = packed.grid(row, g).scale, scale = is_reversed(packed, row, g) ? -size : size;
        scales[g] = static_cast<T>(scale);
        require(static_cast<float>(scales[g]) == scale,
                "{}: tensor '{}': the scale of row {}, group {} is {}, which is no number of type {}: rounding it "
                "would change what was trained. Write values as F32, or train under a scheme whose scales are fp16, "
                "such as q4_0 or q8_0, and write them as F16",
                file.path().native(), name, row, g, scale, dtype_name(dtype_of<T>::value));
      }
      sink(std::as_bytes(std::span(scales)));
    }
  }
};

template <class Weight>
void add_packed(hugging_face_export& to, const packed_layer<Weight>& layer) {
  const std::string prefix = layer_of(hugging_face_name(layer.name, layer.shape));
  const std::size_t groups = Weight::groups(layer.cols);
  to.add({prefix + ".weight_shape", dtype::i64, {2}, [layer](const tensor_sink& sink) {
            const std::array<std::uint64_t, 2> extents{layer.rows, layer.cols};
            sink(std::as_bytes(std::span(extents)));
          }});
  to.add({prefix + ".weight_packed",
          dtype::i32,
          {layer.rows, packed_words(layer.cols, Weight::bits)},
          [layer](const tensor_sink& sink) { layer.write_codes(sink); }});
  if (stores_zero_points<Weight>)
    to.add({prefix + ".weight_zero_point",
            dtype::i32,
            {packed_words(layer.rows, Weight::bits), groups},
            [layer](const tensor_sink& sink) { layer.write_zero_points(sink); }});
  to.add({prefix + ".weight_scale",
          to.values(),
          {layer.rows, groups},
          [layer, type = to.values()](const tensor_sink& sink) {
            if (type == dtype::f32) return layer.template write_scales<float>(sink);
            if (type == dtype::f16) return layer.template write_scales<fp16>(sink);
            layer.template write_scales<bf16>(sink);
          }});
}

/// What config.json says of the weights.
template <class Weight>
[[nodiscard]] json quantization_config() {
  constexpr std::size_t group = nominal_group<Weight>();
  json weights{{"num_bits", Weight::bits},
               {"type", "int"},
               {"symmetric", !stores_zero_points<Weight>},
               {"strategy", group == 0 ? "channel" : "group"},
               {"group_size", group == 0 ? json() : json(group)},
               {"dynamic", false},
               {"actorder", nullptr},
               {"block_structure", nullptr},
               {"observer", "minmax"},
               {"observer_kwargs", json::object()}};
  return {{"quant_method", "compressed-tensors"},
          {"format", "pack-quantized"},
          {"quantization_status", "compressed"},
          {"kv_cache_scheme", nullptr},
          {"ignore", {"lm_head"}},
          {"config_groups",
           {{"group_0",
             {{"targets", {"Linear"}},
              {"weights", std::move(weights)},
              {"input_activations", nullptr},
              {"output_activations", nullptr}}}}}};
}

}  // namespace detail

/// Whether pack-quantized holds the weights of a type as they are: 4 or 8 bits, a scale of its own for each row or
/// group of a row.
template <class Weight>
inline constexpr bool is_pack_quantized = (Weight::bits == 4 || Weight::bits == 8) && !Weight::whole_tensor &&
                                          !Weight::shares_scales && !Weight::has_minima;

/// The type of a model's values in which the scales of a weight type are exact.
template <class Weight>
inline constexpr dtype exact_scale_type = dtype_of<typename Weight::scale_type>::value;

/// A model that `save_quantized` wrote, whose scheme is `Scheme`, as a pack-quantized folder: codes, zero points and
/// scales as they are, everything else rounded to `values`. `file` must outlive the result. Throws io_error for a
/// file that is damaged, and value_error, with the tensor, where groups do not divide rows; writing it throws
/// value_error for scales that are no numbers of type `values`.
template <class Scheme>
[[nodiscard]] hugging_face_export export_pack_quantized(
    const safetensors_file& file, dtype values = exact_scale_type<typename Scheme::weight_type>) {
  using weight = typename Scheme::weight_type;
  static_assert(
      is_pack_quantized<weight> && !Scheme::smooths_inputs && !Scheme::quantizes_attention,
      "io::export_pack_quantized: weights have 4 or 8 bits and a scale per row or group, and neither tokens "
      "nor attention are quantized");
  require_layers_alone(file);
  const model_shape shape = shape_of_quantized(file);
  detail::require_held(file, shape);
  hugging_face_export result(shape, values, file.path().native());
  detail::add_trained_tensors(result, file, [&](const std::string& name, std::size_t rows, std::size_t cols) {
    constexpr std::size_t group = detail::nominal_group<weight>();
    if constexpr (group != 0)
      require(cols % group == 0,
              "{}: tensor '{}': its rows of {} do not divide into groups of {}, which pack-quantized wants; export a "
              "GGUF file or a folder in BF16 instead",
              file.path().native(), name, cols, group);
    detail::add_packed(result, detail::packed_layer<weight>{file, name, rows, cols, shape});
  });
  result.set_quantization(detail::quantization_config<weight>());
  return result;
}

}  // namespace zoqat::io
