// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/adapter_names.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/io/checksums.hpp>
#include <zoqat/io/model_kind.hpp>
#include <zoqat/io/safetensors.hpp>
#include <zoqat/io/shape_limits.hpp>
#include <zoqat/io/tensor.hpp>

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io {

/// A trained and deployed model on disk: a safetensors file with the packed codes, scales and zero points or minima
/// of each layer under the layer's name as quant::packed_matrix stores them, everything else as F32, and in the
/// metadata the scheme's name, the model's shape, checksums of all (io/checksums.hpp), and what else whoever saves it
/// has to say.
inline constexpr std::string_view quantized_format = "zoqat-quantized-3";
/// The format of models with what stands beside their layers, which readers of the other formats would leave out:
/// low-rank adapters, A [rank, in] and B [out, rank] under the layer's name and PEFT's endings, their alpha in the
/// metadata; and the keys and values of a prefix, its tokens in the metadata.
inline constexpr std::string_view quantized_format_with_adapters = "zoqat-quantized-4";
/// The format of 0.1.0, without checksums, is read as well.
inline constexpr std::string_view quantized_format_without_checksums = "zoqat-quantized-2";
/// What the names of all versions of the format begin with.
inline constexpr std::string_view quantized_formats = "zoqat-quantized-";

namespace detail {

/// The fields of a shape with their names in the metadata.
template <class Shape, class F>
void for_each_size(Shape& s, F&& f) {
  f("hidden", s.hidden);
  f("intermediate", s.intermediate);
  f("layers", s.layers);
  f("heads", s.heads);
  f("kv_heads", s.kv_heads);
  f("head_size", s.head_size);
  f("vocabulary", s.vocabulary);
  f("positions", s.positions);
}

inline const std::string& metadata_at(const safetensors_file& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  require<io_error>(found != file.metadata().end(), "{}: the metadata lacks '{}'", file.path().native(), key);
  return found->second;
}
template <class T>
T number_at(const safetensors_file& file, const std::string& key) {
  const std::string& text = metadata_at(file, key);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require<io_error>(error == std::errc{} && end == text.data() + text.size(),
                    "{}: metadata '{}': '{}' is not a number", file.path().native(), key, text);
  return value;
}
/// Whether the value is `yes`; it must be `yes` or `no`.
inline bool flag_at(const safetensors_file& file, const std::string& key, std::string_view yes, std::string_view no) {
  const std::string& text = metadata_at(file, key);
  require<io_error>(text == yes || text == no, "{}: metadata '{}': '{}' is neither '{}' nor '{}'",
                    file.path().native(), key, text, yes, no);
  return text == yes;
}

/// The enumerator whose name the value is.
template <class Enum, std::size_t N>
Enum enumerator_at(const safetensors_file& file, const std::string& key,
                   const std::array<std::string_view, N>& names) {
  const std::string& text = metadata_at(file, key);
  const auto found = std::ranges::find(names, text);
  require<io_error>(found != names.end(), "{}: metadata '{}': '{}' is none of {}", file.path().native(), key, text,
                    fmt::join(names, ", "));
  return static_cast<Enum>(found - names.begin());
}

}  // namespace detail

/// True if the file was written by `save_quantized`, of whatever version.
[[nodiscard]] inline bool is_quantized_model(const safetensors_file& file) {
  const auto format = file.metadata().find("format");
  return format != file.metadata().end() && format->second.starts_with(quantized_formats);
}

namespace detail {

/// What codes mean under a scheme, in words: a file's must be the type's, since another's tensors may have the same
/// names and sizes. How clipping was learned is of no account any more.
template <class Scheme>
[[nodiscard]] std::string arithmetic_of() {
  if constexpr (!Scheme::quantizes_weights) {
    return "full precision";
  } else {
    using weight = typename Scheme::weight_type;
    constexpr std::size_t whole_row = std::size_t{1} << 40, group = weight::group_size(whole_row);
    std::string text = fmt::format("weights of {} bits per {}, {}, {} scales", weight::bits,
                                   weight::whole_tensor ? "tensor"
                                   : group == whole_row ? "channel"
                                                        : fmt::format("group of {}", group),
                                   weight::symmetry::name, weight::scale_format::name);
    if constexpr (Scheme::quantizes_activations) {
      using activation = typename Scheme::activation_type;
      text += fmt::format("; activations of {} bits, {}", activation::bits,
                          activation::symmetric ? "symmetric" : "asymmetric");
      if constexpr (activation::grouped)
        text += fmt::format(" per group of {}, {} scales", activation::group_size(whole_row),
                            activation::scale_format::name);
    }
    if constexpr (Scheme::quantizes_attention)
      text += fmt::format("; queries, keys and values of {} bits", Scheme::attention_type::bits);
    if constexpr (Scheme::shifts_inputs) text += "; shifted inputs";
    return text;
  }
}

// Files of before 0.2.0 know all and none alone.
inline std::string text_of(const linear_biases& biases) {
  if (biases == linear_biases(true)) return "yes";
  std::string text;
  for (const auto& [there, name] : {std::pair{biases.query_key_value, "query_key_value"},
                                    {biases.attention_output, "attention_output"},
                                    {biases.mlp, "mlp"}})
    if (there) text += (text.empty() ? "" : " ") + std::string(name);
  return text.empty() ? "no" : text;
}
inline std::string text_of(const rope_scaling& scaling) {
  if (scaling.how == rope_scaling::kind::linear) return fmt::format("linear {}", scaling.factor);
  return fmt::format("llama3 {} {} {} {}", scaling.factor, scaling.low_frequency_factor,
                     scaling.high_frequency_factor, scaling.original_positions);
}

inline linear_biases biases_at(const safetensors_file& file) {
  const std::string& text = metadata_at(file, "biases");
  for (const bool query_key_value : {false, true})
    for (const bool attention_output : {false, true})
      for (const bool mlp : {false, true}) {
        linear_biases biases;
        biases.query_key_value = query_key_value;
        biases.attention_output = attention_output;
        biases.mlp = mlp;
        if (text_of(biases) == text) return biases;
      }
  fail<io_error>("{}: metadata 'biases': '{}' is not known", file.path().native(), excerpt(text));
}
inline rope_scaling rope_scaling_at(const safetensors_file& file) {
  rope_scaling scaling;
  if (!file.metadata().contains("rope_scaling")) return scaling;
  const std::string& text = metadata_at(file, "rope_scaling");
  std::istringstream in(text);
  std::string how;
  in >> how >> scaling.factor;
  scaling.how = how == "linear" ? rope_scaling::kind::linear : rope_scaling::kind::llama3;
  if (how == "llama3")
    in >> scaling.low_frequency_factor >> scaling.high_frequency_factor >> scaling.original_positions;
  require<io_error>(in && text_of(scaling) == text, "{}: metadata 'rope_scaling': '{}' is not known",
                    file.path().native(), excerpt(text));
  return scaling;
}

/// Collects what is written of a deployed model.
struct stored_tensors {
  const std::filesystem::path& path;
  std::vector<tensor_view> tensors{};

  template <class Tensor, class Use>
  void tensor(Tensor& t, const Use& use) {
    require(use.stored || !use.in_checkpoint, "{}: '{}' is not packed yet: only a deployed model can be saved",
            path.native(), t.name());
    if (!use.stored) return;
    std::vector<std::size_t> extents{t.rows(), t.cols()};
    if (use.vector) extents = {t.cols()};
    packed(t.name(), std::move(extents), t.values().flat());
  }
  template <class T>
  void packed(const std::string& name, std::vector<std::size_t> extents, std::span<T> values) {
    require(!values.empty(), "{}: '{}' is not stored yet: only a deployed model can be saved", path.native(), name);
    if constexpr (std::is_same_v<std::remove_const_t<T>, float>)
      require(std::ranges::all_of(values, [](float value) { return std::isfinite(value); }),
              "{}: '{}' holds a value that is not finite: such a model is not saved", path.native(), name);
    tensors.push_back({.name = name,
                       .type = dtype_of<std::remove_const_t<T>>::value,
                       .shape = std::move(extents),
                       .data = std::as_bytes(values),
                       .source = path.native()});
  }
};

}  // namespace detail

/// Writes a deployed model: beside the destination first, then renamed. `notes` go into the metadata, such as which
/// run made it. Throws io_error, and value_error for a model that still trains or holds what is not finite.
template <class Model>
void save_quantized(const std::filesystem::path& path, Model& model, std::string_view scheme,
                    safetensors_metadata notes = {}) {
  model_shape shape = model.shape();
  safetensors_metadata metadata = std::move(notes);
  metadata["format"] = quantized_format;
  if constexpr (requires { model.adapter_alpha(); })
    if (const auto alpha = model.adapter_alpha()) {
      metadata["format"] = quantized_format_with_adapters;
      metadata["lora_alpha"] = fmt::format("{}", *alpha);
    }
  metadata["scheme"] = scheme;
  metadata["arithmetic"] = detail::arithmetic_of<typename Model::scheme>();
  detail::for_each_size(shape, [&](const char* name, std::size_t value) { metadata[name] = std::to_string(value); });
  metadata["norm_epsilon"] = fmt::format("{}", shape.norm_epsilon);
  metadata["rope_theta"] = fmt::format("{}", shape.rope_theta);
  metadata["rope"] = shape.rope == rope_pairing::half_split ? "half_split" : "interleaved";
  metadata["head"] = shape.tied_head ? "tied" : "separate";
  metadata["biases"] = detail::text_of(shape.biases);
  if (shape.rope_scaling != rope_scaling{}) metadata["rope_scaling"] = detail::text_of(shape.rope_scaling);
  metadata["family"] = model_family_names[static_cast<std::size_t>(shape.kind.family)];
  metadata["activation"] = activation_function_names[static_cast<std::size_t>(shape.kind.activation)];
  if constexpr (requires { model.prefix_tokens(); })
    if (model.prefix_tokens() > 0) {
      metadata["format"] = quantized_format_with_adapters;
      metadata["prefix_tokens"] = fmt::format("{}", model.prefix_tokens());
    }
  detail::stored_tensors stored{path};
  model.visit(stored);
  add_checksums(stored.tensors, metadata);
  write_safetensors(path, stored.tensors, metadata);
}

/// The name of the scheme a saved model uses. Throws io_error if the file is not such a model, or one of another
/// version.
[[nodiscard]] inline std::string scheme_of(const safetensors_file& file) {
  require<io_error>(is_quantized_model(file),
                    "{}: not a quantized model of this library: the metadata has no format '{}'",
                    file.path().native(), quantized_format);
  const std::string& format = detail::metadata_at(file, "format");
  require<io_error>(format == quantized_format || format == quantized_format_without_checksums ||
                        format == quantized_format_with_adapters,
                    "{}: the format is '{}', but this version of the library reads '{}': make the file again, from "
                    "the run log if there is one",
                    file.path().native(), format, quantized_format);
  return detail::metadata_at(file, "scheme");
}

/// Whether a saved model has adapters beside its layers, or a prefix.
[[nodiscard]] inline bool has_adapters(const safetensors_file& file) {
  return detail::metadata_at(file, "format") == quantized_format_with_adapters;
}
/// Throws io_error for a saved model that has more than its layers, for those who would write these alone.
inline void require_layers_alone(const safetensors_file& file) {
  require<io_error>(!has_adapters(file),
                    "{}: has low-rank adapters or a prefix beside its layers, which would be left out",
                    file.path().native());
}

/// The shape of a saved model. Throws io_error for sizes that are missing or that no model can have.
[[nodiscard]] inline model_shape shape_of_quantized(const safetensors_file& file) {
  model_shape shape;
  detail::for_each_size(
      shape, [&](const char* name, std::size_t& value) { value = detail::number_at<std::size_t>(file, name); });
  shape.norm_epsilon = detail::number_at<float>(file, "norm_epsilon");
  shape.rope_theta = detail::number_at<float>(file, "rope_theta");
  shape.rope = detail::flag_at(file, "rope", "interleaved", "half_split") ? rope_pairing::interleaved
                                                                          : rope_pairing::half_split;
  shape.tied_head = detail::flag_at(file, "head", "tied", "separate");
  shape.biases = detail::biases_at(file);
  shape.rope_scaling = detail::rope_scaling_at(file);
  if (file.metadata().contains("family"))  // absent in files from the time when there was LLaMA alone
    shape.kind = {detail::enumerator_at<model_family>(file, "family", model_family_names),
                  detail::enumerator_at<activation_function>(file, "activation", activation_function_names)};
  require_plausible(shape, file.path().native());
  return shape;
}

namespace detail {

/// Refuses a shape that asks for more weights than the file can hold, before anything of that size is allocated.
inline void require_held(const safetensors_file& file, const model_shape& s) {
  std::size_t bytes = 0;
  for (const tensor_view& tensor : file.tensors()) bytes += tensor.data.size();
  const std::size_t most = 4 * bytes;  // two bits a weight
  const bool embeds_positions = s.kind.family == model_family::opt;
  for (const auto& extents :
       {std::array{s.vocabulary, s.hidden, std::size_t{1}},
        std::array{embeds_positions ? s.positions : 0, s.hidden, std::size_t{1}},
        std::array{s.layers, s.intermediate, s.hidden}, std::array{s.layers, s.heads * s.head_size, s.hidden}}) {
    const auto product = checked_product(extents);
    require<io_error>(product && *product <= most,
                      "{}: the metadata describe a model of more weights than the file holds", file.path().native());
  }
}

/// Makes room for the prefix that a file holds, if it has one. Throws io_error unless it has as many bytes as the
/// model wants.
template <class Model>
void make_prefix(const safetensors_file& file, Model& model) {
  if (!file.metadata().contains("prefix_tokens")) return;
  const auto tokens = number_at<std::size_t>(file, "prefix_tokens");
  const model_shape& s = model.shape();
  const std::size_t width = s.kv_heads * s.head_size;
  std::size_t bytes = 0;
  for (const tensor_view& tensor : file.tensors())
    if (tensor.name.find(".prefix.") != tensor.name.npos) bytes += tensor.data.size();
  require<io_error>(tokens > 0 && tokens < s.positions && bytes == 2 * s.layers * tokens * width * sizeof(float),
                    "{}: metadata 'prefix_tokens' is {}, but the file holds {} bytes of prefixes of width {} for {} "
                    "layers",
                    file.path().native(), tokens, bytes, width, s.layers);
  model.make_prefix(tokens);
}

/// Makes room for the adapters that a file holds, if it has any. Throws io_error for one that fits no layer.
template <class Model>
void add_adapters(const safetensors_file& file, Model& model) {
  const auto is_adapter = [](const tensor_view& t) { return t.name.ends_with(lora_a_ending); };
  if (std::ranges::none_of(file.tensors(), is_adapter)) return;
  const auto alpha = number_at<float>(file, "lora_alpha");
  require<io_error>(std::isfinite(alpha) && alpha > 0, "{}: metadata 'lora_alpha' is {}; it must be above 0",
                    file.path().native(), alpha);
  for (const tensor_view& a : file.tensors()) {
    if (!is_adapter(a)) continue;
    const std::string layer = a.name.substr(0, a.name.size() - lora_a_ending.size());
    const tensor_view& b = file.at(layer + std::string(lora_b_ending));
    const bool fits = a.shape.size() == 2 && b.shape.size() == 2 && a.shape[0] == b.shape[1] && a.shape[0] > 0 &&
                      a.shape[0] <= std::min(a.shape[1], b.shape[0]) &&
                      model.add_adapter(layer, b.shape[0], a.shape[1], a.shape[0], alpha);
    require<io_error>(fits, "{}: tensors '{}' [{}] and '{}' [{}] are no adapter of a layer of the model",
                      file.path().native(), a.name, fmt::join(a.shape, ", "), b.name, fmt::join(b.shape, ", "));
  }
}

/// Refuses zero points that are no code of `bits` bits.
inline void require_zero_points(const tensor_view& tensor, std::span<const std::uint8_t> zero_points, int bits) {
  for (const std::uint8_t zero_point : zero_points)
    require<io_error>(zero_point < (1 << bits), "{}: tensor '{}': a zero point is {}, but codes have {} bits",
                      tensor.source, tensor.name, zero_point, bits);
}

/// Refuses scales that no quantizer makes: zero, negative, subnormal, infinite or NaN.
template <class T>
void require_scales(const tensor_view& tensor, std::span<const T> scales) {
  for (const T scale : scales) {
    const auto value = static_cast<float>(scale);
    require<io_error>(std::isnormal(value) && value > 0, "{}: tensor '{}': a scale is {}", tensor.source, tensor.name,
                      value);
  }
}

/// Refuses minima that no quantizer makes: infinite, NaN, and negative ones that groups share.
template <class Weight, class T>
void require_minima(const tensor_view& tensor, std::span<const T> minima) {
  for (const T minimum : minima) {
    const auto value = static_cast<float>(minimum);
    require<io_error>(std::isfinite(value) && (value >= 0 || !Weight::shares_scales),
                      "{}: tensor '{}': a minimum is {}", tensor.source, tensor.name, value);
  }
}

}  // namespace detail

namespace detail {

/// Fills what is stored of a deployed model.
template <class Scheme>
struct stored_reader {
  const safetensors_file& file;

  template <class Tensor, class Use>
  void tensor(Tensor& t, const Use& use) const {
    if (!use.stored) return;
    std::vector<std::size_t> extents{t.rows(), t.cols()};
    if (use.vector) extents = {t.cols()};
    const tensor_view& stored = at(t.name(), dtype::f32, extents);
    copy_to<float>(stored, t.values().flat());
    require_finite(stored, t.values().flat());
    file.release_pages(stored);
  }
  template <class T>
  void packed(const std::string& name, const std::vector<std::size_t>& extents, std::span<T> values) const {
    const tensor_view& stored = at(name, dtype_of<T>::value, extents);
    copy_to<T>(stored, values);
    file.release_pages(stored);
    if (name.ends_with(".scales"))
      if constexpr (std::is_same_v<T, float> || std::is_same_v<T, fp16>) require_scales<T>(stored, values);
    if (name.ends_with(".minima"))
      if constexpr (std::is_same_v<T, float> || std::is_same_v<T, fp16>)
        require_minima<typename Scheme::weight_type, T>(stored, values);
    if (name.ends_with(".zero_points"))
      if constexpr (std::is_same_v<T, std::uint8_t>) require_zero_points(stored, values, Scheme::weight_type::bits);
  }

 private:
  [[nodiscard]] const tensor_view& at(const std::string& name, dtype type,
                                      std::span<const std::size_t> extents) const {
    const tensor_view& stored = file.at(name);
    require<io_error>(stored.type == type, "{}: tensor '{}': holds {}, but {} is wanted", stored.source, stored.name,
                      dtype_name(stored.type), dtype_name(type));
    require<io_error>(std::ranges::equal(stored.shape, extents), "{}: tensor '{}': shape [{}], but [{}] is wanted",
                      stored.source, stored.name, fmt::join(stored.shape, ", "), fmt::join(extents, ", "));
    return stored;
  }
};

}  // namespace detail

/// Reads a saved model into a deployed one of type `Model`, whose scheme must be the file's. Throws io_error, with
/// the file and the tensor, for one that is missing or damaged or has another type or shape, for values that are not
/// finite, for scales that make no sense, and for a model of another kind or of another arithmetic (files of before
/// 0.2.0 do not say theirs).
template <class Model>
[[nodiscard]] Model load_quantized(const safetensors_file& file) {
  const model_shape shape = shape_of_quantized(file);
  require_kind<Model>(shape.kind, file.path().native());
  const std::string wanted = detail::arithmetic_of<typename Model::scheme>();
  const auto arithmetic = file.metadata().find("arithmetic");
  require<io_error>(arithmetic == file.metadata().end() || arithmetic->second == wanted,
                    "{}: the model has {}, but it is read as one with {}", file.path().native(),
                    arithmetic == file.metadata().end() ? "" : arithmetic->second, wanted);
  detail::require_held(file, shape);
  // A file that has checksums may not say that it has none.
  if (detail::metadata_at(file, "format") != quantized_format_without_checksums ||
      file.metadata().contains(std::string(checksum_key)))
    require_checksums(file);
  Model model = Model::with_storage(shape);
  if (has_adapters(file)) {
    detail::add_adapters(file, model);
    detail::make_prefix(file, model);
    model.freeze_beside();
  }
  model.visit(detail::stored_reader<typename Model::scheme>{file});
  model.finish_storage();
  return model;
}

}  // namespace zoqat::io
