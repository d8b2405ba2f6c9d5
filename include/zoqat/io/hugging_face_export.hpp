// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/io/atomic_file.hpp>
#include <zoqat/io/hugging_face_config.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/opt_name_map.hpp>
#include <zoqat/io/packed_weight.hpp>
#include <zoqat/io/quantized_model.hpp>
#include <zoqat/io/safetensors.hpp>
#include <zoqat/io/safetensors_writer.hpp>
#include <zoqat/io/tensor.hpp>
#include <zoqat/io/tensor_source.hpp>
#include <zoqat/quant/packed_matrix.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io {

/// What rounding to a narrower type did to the values of a model.
struct rounding_cost {
  std::size_t values = 0;   ///< that were rounded, or could have been
  std::size_t changed = 0;  ///< that are not what they were
  double squares = 0, squared_errors = 0;

  void add(float value, float rounded) noexcept {
    const double error = static_cast<double>(rounded) - static_cast<double>(value);
    ++values;
    changed += error != 0;
    squares += static_cast<double>(value) * static_cast<double>(value);
    squared_errors += error * error;
  }
  /// Root of the mean squared error, relative to the values' own.
  [[nodiscard]] double relative() const noexcept { return squares > 0 ? std::sqrt(squared_errors / squares) : 0; }
};

/// The row of a model's tensor that is row `row` in a Hugging Face file, which pairs the halves of a head: rows of
/// queries and keys of a model that pairs neighbors change places. `name` is canonical.
[[nodiscard]] inline std::size_t hugging_face_source_row(std::string_view name, std::size_t row,
                                                         const model_shape& shape) noexcept {
  const bool rotary =
      name.find("self_attn.q_") != std::string_view::npos || name.find("self_attn.k_") != std::string_view::npos;
  if (shape.rope == rope_pairing::half_split || !rotary) return row;
  const std::size_t half = shape.head_size / 2, in_head = row % shape.head_size;
  return row - in_head + in_head % half * 2 + in_head / half;
}

/// What Hugging Face calls the tensor of that canonical name.
[[nodiscard]] inline std::string hugging_face_name(const std::string& name, const model_shape& shape) {
  return shape.kind.family == model_family::opt ? stored_opt_name(name).value_or(name) : name;
}

/// A model as a Hugging Face folder will have it: `export_folder` and `export_trained_folder` make one, `write`
/// writes it. It refers to the source that it is made of.
class hugging_face_export {
 public:
  /// Reads a row of a tensor of the model; a vector is one row.
  using row_reader = std::function<void(std::size_t row, std::span<float> values)>;

  /// `values` is the type of what is not packed: f32, f16 or bf16. Throws value_error for another one.
  hugging_face_export(const model_shape& shape, dtype values, std::string_view source)
      : shape_(shape), values_(values), source_(source), cost_(std::make_shared<rounding_cost>()) {
    require(values == dtype::f32 || values == dtype::f16 || values == dtype::bf16,
            "{}: values cannot be written as {}, but as F32, F16 and BF16", source, dtype_name(values));
  }

  [[nodiscard]] const model_shape& shape() const noexcept { return shape_; }
  [[nodiscard]] dtype values() const noexcept { return values_; }
  /// All tensors of the file.
  [[nodiscard]] std::span<const streamed_tensor> tensors() const noexcept { return tensors_; }
  /// What rounding cost, of all that was written.
  [[nodiscard]] const rounding_cost& cost() const noexcept { return *cost_; }

  /// Adds a tensor of values, rounded to nearest. open() gives a `row_reader` when the tensor is written.
  template <class Open>
  void add_values(const std::string& name, std::span<const std::size_t> extents, Open open) {
    const place to{source_, name, extents.size() == 1 ? 1 : extents[0], extents.back(), shape_, cost_};
    add({hugging_face_name(name, shape_), values_, {extents.begin(), extents.end()}, [=, type = values_](auto& sink) {
           const row_reader read = open();
           if (type == dtype::f32) return write_rows<float>(to, read, sink);
           if (type == dtype::f16) return write_rows<fp16>(to, read, sink);
           write_rows<bf16>(to, read, sink);
         }});
  }
  void add(streamed_tensor tensor) { tensors_.push_back(std::move(tensor)); }
  /// What `config.json` says of packed weights.
  void set_quantization(json quantization) { quantization_ = std::move(quantization); }

  /// Writes `model.safetensors` and then `config.json` into a folder, which is made where there is none. `given` is
  /// the `config.json` of the base model, found at `given_path`, which is kept but for its type of values, or null
  /// for one made from the shape. Throws io_error where the folder is not empty, where `given` is of another model,
  /// for a model that no configuration describes, for values that their type has no room for, and as writing does.
  void write(const std::filesystem::path& folder, const json& given = nullptr, std::string_view given_path = "") {
    json config = given.is_null() ? make_hugging_face_config(shape_, source_)
                                  : same_hugging_face_config(given, given_path, shape_, source_);
    set_values_type(config, values_);
    if (!quantization_.is_null()) config["quantization_config"] = quantization_;
    require_empty(folder);
    stream_safetensors(folder / "model.safetensors", tensors_, {{"format", "pt"}});  // what Transformers asks for
    atomic_file file(folder / "config.json");
    file.write(config.dump(2) + "\n");
    file.commit();
  }

 private:
  struct place {
    std::string source, name;
    std::size_t rows, cols;
    model_shape shape;
    std::shared_ptr<rounding_cost> cost;
  };

  static void require_empty(const std::filesystem::path& folder) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    require<io_error>(std::filesystem::is_directory(folder), "{}: cannot be made a folder: {}", folder.native(),
                      error.message());
    atomic_file::remove_dead_temporaries(folder);  // which an export that was killed leaves
    require<io_error>(std::filesystem::is_empty(folder), "{}: is not empty; name a folder that is, or a new one",
                      folder.native());
  }

  template <class T>
  static void write_rows(const place& to, const row_reader& read, const tensor_sink& sink) {
    std::vector<float> values(to.cols), source_row(to.cols);
    std::vector<T> stored(to.cols);
    const bool vector = to.rows == 1;  // whose elements are what rows are in a matrix
    for (std::size_t row = 0; row != to.rows; ++row) {
      read(vector ? 0 : hugging_face_source_row(to.name, row, to.shape), source_row);
      for (std::size_t i = 0; i != to.cols; ++i)
        values[i] = source_row[vector ? hugging_face_source_row(to.name, i, to.shape) : i];
      for (std::size_t i = 0; i != to.cols; ++i) {
        stored[i] = static_cast<T>(values[i]);
        const auto rounded = static_cast<float>(stored[i]);
        if (!std::isfinite(rounded)) fail_no_room<T>(to, row, i, values[i]);
        to.cost->add(values[i], rounded);
      }
      sink(std::as_bytes(std::span(stored)));
    }
  }
  template <class T>
  [[noreturn]] static void fail_no_room(const place& to, std::size_t row, std::size_t col, float value) {
    fail<io_error>("{}: tensor '{}': element ({}, {}) is {}, which {} has no room for; take another type of values",
                   to.source, to.name, row, col, value, dtype_name(dtype_of<T>::value));
  }

  model_shape shape_;
  dtype values_;
  std::string source_;
  std::shared_ptr<rounding_cost> cost_;
  std::vector<streamed_tensor> tensors_;
  json quantization_ = nullptr;
};

/// A model in full precision as a folder with values of that type, rounded to nearest. `source` must outlive the
/// result. Throws io_error for tensors that are missing.
template <tensor_source Source>
[[nodiscard]] hugging_face_export export_folder(const Source& source, dtype values = dtype::bf16) {
  hugging_face_export result(source.shape(), values, source.path().native());
  for_each_tensor(source.shape(), [&](const std::string& name, std::span<const std::size_t> extents) {
    const tensor_view& tensor = at(source, name, extents);
    result.add_values(name, extents, [&source, &tensor, cols = extents.back()] {
      return [&source, &tensor, cols](std::size_t row, std::span<float> to) {
        read_f32(source, tensor, row * cols, to);
      };
    });
  });
  return result;
}

namespace detail {

/// Adds what a trained model has as values: all but the matrices of linear layers, for which linear(name, rows, cols)
/// is called.
template <class Linear>
void add_trained_tensors(hugging_face_export& to, const safetensors_file& file, Linear&& linear) {
  for_each_tensor(to.shape(), [&](const std::string& name, std::span<const std::size_t> extents) {
    if (is_linear_weight(name, extents)) return linear(name, extents[0], extents[1]);
    const tensor_view& tensor = file.at(name);
    require_room(tensor, *checked_product(extents));
    to.add_values(name, extents, [&tensor, cols = extents.back()] {
      return [&tensor, cols](std::size_t row, std::span<float> values) {
        copy_to_f32(subtensor(tensor, row * cols, cols), values);
      };
    });
  });
}

/// The name of a linear layer, from that of its weight.
[[nodiscard]] inline std::string layer_of(const std::string& weight) {
  return weight.substr(0, weight.rfind(".weight"));
}

}  // namespace detail

/// A model that `save_quantized` wrote, whose scheme is `Scheme`: the values that its codes stand for, rounded to
/// nearest. `file` must outlive the result. Throws io_error for a file that is damaged.
template <class Scheme>
[[nodiscard]] hugging_face_export export_trained_folder(const safetensors_file& file, dtype values = dtype::bf16) {
  static_assert(Scheme::quantizes_weights && !Scheme::smooths_inputs && !Scheme::quantizes_attention,
                "io::export_trained_folder: whoever reads the folder does not quantize tokens as a scheme with a "
                "quant::activation of tokens or a quant::attention does");
  using weight = typename Scheme::weight_type;
  require_layers_alone(file);
  const model_shape shape = shape_of_quantized(file);
  detail::require_held(file, shape);
  hugging_face_export result(shape, values, file.path().native());
  detail::add_trained_tensors(result, file, [&](const std::string& name, std::size_t rows, std::size_t cols) {
    result.add_values(name, std::array{rows, cols}, [&file, layer = detail::layer_of(name), rows, cols] {
      const auto all =
          std::make_shared<matrix<float>>(quant::dequantize(read_packed<weight>(file, layer, rows, cols)));
      return [all](std::size_t row, std::span<float> to) { std::ranges::copy(all->row(row), to.begin()); };
    });
  });
  return result;
}

}  // namespace zoqat::io
