// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/gguf/mix.hpp>
#include <zoqat/io/gguf/opt.hpp>
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

/// An OPT as a file of the architecture `mpt` will have it (see opt.hpp).
class opt_export : public tensor_plan {
 public:
  /// Throws io_error for a model that is no OPT, or one with the GELU by the error function, and value_error as
  /// `require_writable` does and for a mix that gives queries, keys and values of a layer several types.
  template <tensor_source Source>
  opt_export(const Source& source, export_types types) : shape_(source.shape()) {
    const std::string& path = source.path().native();
    require<io_error>(shape_.kind.family == model_family::opt, "{}: is no OPT", path);
    require<io_error>(shape_.kind.activation == activation_function::relu ||
                          shape_.kind.activation == activation_function::gelu_tanh,
                      "{}: has the activation {}, but engines that read GGUF have relu and gelu_tanh", path,
                      activation_function_names[static_cast<std::size_t>(shape_.kind.activation)]);
    require(!types.fill_stream, "{}: the stream of an OPT is not filled up; leave that out", path);
    require_writable(types, shape_);
    for (const opt_place& place : opt_places)
      for (std::size_t layer = 0; layer != (is_per_layer(place) ? shape_.layers : 1); ++layer)
        add_place(source, place, layer, types);
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
    for (std::size_t i = 0; i != place.parts.size(); ++i)
      if (const opt_entry* const part = part_of(place, i, shape_)) {
        parts.push_back(&at(source, fmt::format(fmt::runtime(part->name), layer), shape_of(*part, shape_)));
        rows += parts.back()->shape[0];
      }
    if (parts.empty()) return;  // a bias or a head that the model does not have
    const bool vector = parts[0]->shape.size() == 1;
    const std::size_t unused = absent_rows(place), cols = vector ? 1 : parts[0]->shape[1];
    tensor_info info{fmt::format(fmt::runtime(place.name), layer), tensor_type::f32, {rows - unused}};
    if (!vector) info.shape.push_back(cols);
    const bool embedding = place.name == "token_embd.weight" || place.name == "output.weight";
    const tensor_type wanted = embedding ? types.embeddings : type_of(parts, types);
    if (!vector && unused == 0)
      choose_type(info, fmt::format(fmt::runtime(place.name), "N"), {wanted, fallback(wanted), tensor_type::f16});
    const float factor = is_relu() && is_multiplied(place) ? opt_relu_factor : 1;
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
  /// The type of matrices that are stacked.
  [[nodiscard]] static tensor_type type_of(std::span<const tensor_view* const> parts, const export_types& types) {
    const tensor_type first = types.of(parts[0]->name);
    for (const tensor_view* const part : parts)
      require(types.of(part->name) == first,
              "'{}' and '{}' are one tensor of the file: give them one type, not {} and {}", parts[0]->name,
              part->name, info_of(first).name, info_of(types.of(part->name)).name);
    return first;
  }
  /// What the engine divides the activations by.
  void add_scales(std::size_t layer) {
    const tensor_info info{opt_divisors_name(layer), tensor_type::f32, {shape_.intermediate}};
    add(info, [n = shape_.intermediate](writer& to) {
      const std::vector<float> scales(n, opt_relu_factor);
      to.write(std::as_bytes(std::span(scales)));
    });
  }

  model_shape shape_;
};

}  // namespace zoqat::io::gguf
