// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/gguf/decode.hpp>
#include <zoqat/io/gguf/file.hpp>
#include <zoqat/io/gguf/llama.hpp>
#include <zoqat/io/gguf/rope.hpp>
#include <zoqat/io/name_map.hpp>
#include <zoqat/io/shape_limits.hpp>
#include <zoqat/io/tensor.hpp>
#include <zoqat/io/tensor_index.hpp>
#include <zoqat/io/tensor_source.hpp>

#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

namespace detail {

/// Reads settings by their names, which begin with that of the architecture in a file.
class architecture_settings {
 public:
  architecture_settings(const file& from, std::string_view architecture) : from_(from), prefix_(architecture) {}
  [[nodiscard]] std::string key(std::string_view name) const { return fmt::format("{}.{}", prefix_, name); }
  template <class T>
  [[nodiscard]] T get(std::string_view name) const {
    return from_.get<T>(key(name));
  }
  template <class T>
  [[nodiscard]] std::optional<T> get_if(std::string_view name) const {
    return from_.get_if<T>(key(name));
  }

 private:
  const file& from_;
  std::string prefix_;
};

/// The architecture of a file. Throws io_error for one that is not of LLaMA's kind.
inline const llama_architecture& require_llama(const file& from) {
  const std::string& source = from.path().native();
  const auto type = from.get_if<std::string>("general.type").value_or("model");
  require<io_error>(type == "model", "{}: general.type: holds a '{}', but a model is wanted", source, type);
  const auto architecture = from.get<std::string>("general.architecture");
  const llama_architecture* const known = find_llama_architecture(architecture);
  require<io_error>(known != nullptr,
                    "{}: general.architecture: '{}' is not supported; 'llama', 'qwen2' and 'qwen3' are what is read",
                    source, architecture);
  const architecture_settings settings(from, architecture);
  const auto experts = settings.get_if<std::size_t>("expert_count").value_or(0);
  require<io_error>(experts == 0, "{}: {}: a mixture of {} experts is not supported", source,
                    settings.key("expert_count"), experts);
  const auto parts = from.get_if<std::size_t>("split.count").value_or(1);
  require<io_error>(parts <= 1, "{}: split.count: one of {} parts: join them with the tools that split them", source,
                    parts);
  return *known;
}

/// How the frequencies of a model are scaled, as engines have it: by a factor for all, or by a tensor of factors.
inline rope_scaling read_rope_scaling(const file& from, const architecture_settings& settings,
                                      const llama_architecture& architecture, const model_shape& shape) {
  const std::string& source = from.path().native();
  const auto type = settings.get_if<std::string>("rope.scaling.type").value_or("linear");
  require<io_error>(type == "none" || type == "linear", "{}: {}: '{}' is not supported, but 'none' and 'linear' are",
                    source, settings.key("rope.scaling.type"), type);
  float factor =
      settings.get_if<float>("rope.scaling.factor").value_or(settings.get_if<float>("rope.scale_linear").value_or(1));
  if (type == "none" || factor == 0) factor = 1;
  const tensor* const stored = architecture.may_stretch ? from.find(rope_factors_name) : nullptr;
  if (!stored)
    return factor == 1 ? rope_scaling{} : rope_scaling{.how = rope_scaling::kind::linear, .factor = factor};
  require<io_error>(factor == 1, "{}: {} is {} beside a tensor '{}'; which of them holds?", source,
                    settings.key("rope.scaling.factor"), factor, rope_factors_name);
  require<io_error>(stored->shape == std::vector{shape.head_size / 2} && stored->type == tensor_type::f32,
                    "{}: tensor '{}': is {} of shape [{}], but F32 of [{}] is wanted", source, stored->name,
                    info_of(stored->type).name, fmt::join(stored->shape, ", "), shape.head_size / 2);
  std::vector<float> factors(shape.head_size / 2);
  decode(*stored, 0, factors, source);
  const auto scaling = scaling_of(factors, shape);
  require<io_error>(scaling.has_value(),
                    "{}: tensor '{}': holds factors, such as {} for the slowest pair, that are neither all alike nor "
                    "those of LLaMA 3, which are what is supported",
                    source, stored->name, factors.empty() ? 0 : factors.back());
  return *scaling;
}

/// Which linear layers have biases in a file.
inline linear_biases biases_in(const file& from) {
  const auto has = [&](llama_tensor tensor) { return from.find(file_name_of(tensor)) != nullptr; };
  linear_biases biases;
  biases.query_key_value = has(llama_tensor::query_bias);
  biases.attention_output = has(llama_tensor::attention_output_bias);
  biases.mlp = has(llama_tensor::gate_bias) || has(llama_tensor::up_bias) || has(llama_tensor::down_bias);
  return biases;
}

/// The shape of a model of LLaMA's kind from its metadata, whose defaults are those of engines.
inline model_shape llama_shape(const file& from) {
  const llama_architecture& architecture = require_llama(from);
  const architecture_settings settings(from, architecture.name);
  const std::string& source = from.path().native();
  const tensor* const embedding = from.find(file_name_of(llama_tensor::embedding));
  require<io_error>(embedding && embedding->shape.size() == 2, "{}: no matrix '{}'", source,
                    file_name_of(llama_tensor::embedding));
  model_shape shape;
  shape.kind.family = architecture.family;
  shape.vocabulary = embedding->shape[0];
  shape.positions = settings.get<std::size_t>("context_length");
  shape.hidden = settings.get<std::size_t>("embedding_length");
  shape.layers = settings.get<std::size_t>("block_count");
  shape.intermediate = settings.get<std::size_t>("feed_forward_length");
  shape.heads = settings.get<std::size_t>("attention.head_count");
  shape.kv_heads = settings.get_if<std::size_t>("attention.head_count_kv").value_or(shape.heads);
  const auto key_length = settings.get_if<std::size_t>("attention.key_length");
  require<io_error>(key_length || (shape.heads > 0 && shape.hidden % shape.heads == 0),
                    "{}: {}: {} channels cannot be cut into {} heads", source, settings.key("attention.head_count"),
                    shape.hidden, shape.heads);
  shape.head_size = key_length ? *key_length : shape.hidden / shape.heads;
  for (const std::string_view name : {"attention.value_length", "rope.dimension_count"}) {
    const auto size = settings.get_if<std::size_t>(name).value_or(shape.head_size);
    require<io_error>(size == shape.head_size, "{}: {}: {} is not supported beside heads of {}", source,
                      settings.key(name), size, shape.head_size);
  }
  shape.norm_epsilon = settings.get<float>("attention.layer_norm_rms_epsilon");
  shape.rope_theta = settings.get_if<float>("rope.freq_base").value_or(1e4f);
  shape.rope = architecture.rope;
  shape.biases = biases_in(from);
  shape.rope_scaling = read_rope_scaling(from, settings, architecture, shape);
  shape.tied_head = from.find(file_name_of(llama_tensor::head)) == nullptr;
  require_plausible(shape, source);
  return shape;
}

}  // namespace detail

/// A model of LLaMA's kind (LLaMA, Mistral, Qwen2, Qwen3) in a GGUF file, mapped: F32, F16, BF16 and the block
/// formats of blocks.hpp. A `tensor_source`, whose tensors are read by `read_f32`; the views stay valid when the
/// object is moved.
class llama_model {
 public:
  /// Throws io_error for a file that is malformed, another architecture, settings that are not supported, tensors
  /// that are missing, shaped otherwise than the metadata say or stored as types that are not read, and for tensors
  /// that the model does not use, unless these are to be ignored.
  explicit llama_model(const std::filesystem::path& path, unused_tensors unused = unused_tensors::refused)
      : file_(path), shape_(detail::llama_shape(file_)) {
    std::unordered_set<std::string_view> used;
    for (const llama_entry& entry : llama_tensors)
      for (std::size_t layer = 0; layer != count_of(entry.tensor, shape_); ++layer)
        used.insert(add(entry, layer).name);
    if (shape_.rope == rope_pairing::interleaved) used.insert(rope_factors_name);
    if (unused == unused_tensors::refused) require_all_used(used);
    index_ = tensor_index(views_);
  }

  [[nodiscard]] const model_shape& shape() const noexcept { return shape_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return file_.path(); }
  /// The file, for its tokenizer and what else there is.
  [[nodiscard]] const gguf::file& file() const noexcept { return file_; }
  /// The tensor of that canonical name, or null. Its elements are not of the type that the view says where they are
  /// stored in blocks: `read_f32` reads them.
  [[nodiscard]] const tensor_view* find(std::string_view name) const {
    return find_by_canonical_name([&](std::string_view exact) { return index_.find(exact); }, name, shape_.tied_head);
  }
  /// A tensor that `find` gave, as the file has it.
  [[nodiscard]] const tensor& stored(const tensor_view& view) const { return file_.tensors()[stored_.at(view.name)]; }
  /// Elements [first, first + out.size()) of a tensor that `find` gave, whole rows of it, and gives back the memory
  /// that reading them took.
  void read_f32(const tensor_view& view, std::size_t first, std::span<float> out) const {
    const tensor& stored = this->stored(view);
    decode(stored, first, out, source());
    const tensor_type_info& type = info_of(stored.type);
    file_.release_pages(
        stored.data.subspan(first / type.elements * type.bytes, out.size() / type.elements * type.bytes));
  }
  /// Reading gives memory back by itself.
  void release_pages(const tensor_view&) const noexcept {}

 private:
  [[nodiscard]] const std::string& source() const noexcept { return path().native(); }

  void require_all_used(const std::unordered_set<std::string_view>& used) const {
    std::vector<std::string_view> unused;
    for (const tensor& t : file_.tensors())
      if (!used.contains(t.name)) unused.push_back(t.name);
    io::detail::require_none(std::move(unused), "the metadata", path());
  }

  const tensor& add(const llama_entry& entry, std::size_t layer) {
    const std::string name = file_name_of(entry.tensor, layer);
    const tensor* const stored = file_.find(name);
    require<io_error>(stored != nullptr, "{}: no tensor '{}'", source(), name);
    const auto wanted = shape_of(entry, shape_);
    require<io_error>(stored->shape == wanted, "{}: tensor '{}': shape [{}], but [{}] is wanted", source(), name,
                      fmt::join(stored->shape, ", "), fmt::join(wanted, ", "));
    require<io_error>(is_decodable(stored->type),
                      "{}: tensor '{}': is stored as {}, which this version of the library does not read", source(),
                      name, info_of(stored->type).name);
    views_.push_back({name_of(entry.tensor, layer), dtype::u8, wanted, stored->data, source()});
    stored_.emplace(views_.back().name, static_cast<std::size_t>(stored - file_.tensors().data()));
    return *stored;
  }

  gguf::file file_;
  model_shape shape_;
  std::vector<tensor_view> views_;
  std::unordered_map<std::string, std::size_t> stored_;  // by canonical names: where in the file's list
  tensor_index index_;
};

}  // namespace zoqat::io::gguf
