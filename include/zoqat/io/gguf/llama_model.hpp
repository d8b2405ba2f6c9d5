// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/gguf/decode.hpp>
#include <zoqat/io/gguf/file.hpp>
#include <zoqat/io/gguf/llama.hpp>
#include <zoqat/io/name_map.hpp>
#include <zoqat/io/shape_limits.hpp>
#include <zoqat/io/tensor.hpp>
#include <zoqat/io/tensor_index.hpp>
#include <zoqat/io/tensor_source.hpp>

#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

namespace detail {

inline void require_llama(const file& from) {
  const std::string& source = from.path().native();
  const auto type = from.get_if<std::string>("general.type").value_or("model");
  require<io_error>(type == "model", "{}: general.type: holds a '{}', but a model is wanted", source, type);
  const auto architecture = from.get<std::string>("general.architecture");
  require<io_error>(architecture == llama_architecture,
                    "{}: general.architecture: '{}' is not supported; '{}' is what is read", source, architecture,
                    llama_architecture);
  const auto scaling = from.get_if<std::string>("llama.rope.scaling.type").value_or("none");
  require<io_error>(scaling == "none", "{}: llama.rope.scaling.type: '{}' is not supported", source, scaling);
  const auto experts = from.get_if<std::size_t>("llama.expert_count").value_or(0);
  require<io_error>(experts == 0, "{}: llama.expert_count: a mixture of {} experts is not supported", source,
                    experts);
  const auto parts = from.get_if<std::size_t>("split.count").value_or(1);
  require<io_error>(parts <= 1, "{}: split.count: one of {} parts: join them with the tools that split them", source,
                    parts);
}

/// The shape of a LLaMA model from its metadata, whose defaults are those of engines.
inline model_shape llama_shape(const file& from) {
  require_llama(from);
  const std::string& source = from.path().native();
  const tensor* const embedding = from.find(file_name_of(llama_tensor::embedding));
  require<io_error>(embedding && embedding->shape.size() == 2, "{}: no matrix '{}'", source,
                    file_name_of(llama_tensor::embedding));
  model_shape shape;
  shape.vocabulary = embedding->shape[0];
  shape.positions = from.get<std::size_t>("llama.context_length");
  shape.hidden = from.get<std::size_t>("llama.embedding_length");
  shape.layers = from.get<std::size_t>("llama.block_count");
  shape.intermediate = from.get<std::size_t>("llama.feed_forward_length");
  shape.heads = from.get<std::size_t>("llama.attention.head_count");
  shape.kv_heads = from.get_if<std::size_t>("llama.attention.head_count_kv").value_or(shape.heads);
  const auto key_length = from.get_if<std::size_t>("llama.attention.key_length");
  require<io_error>(key_length || (shape.heads > 0 && shape.hidden % shape.heads == 0),
                    "{}: llama.attention.head_count: {} channels cannot be cut into {} heads", source, shape.hidden,
                    shape.heads);
  shape.head_size = key_length ? *key_length : shape.hidden / shape.heads;
  for (const std::string_view key : {"llama.attention.value_length", "llama.rope.dimension_count"}) {
    const auto size = from.get_if<std::size_t>(key).value_or(shape.head_size);
    require<io_error>(size == shape.head_size, "{}: {}: {} is not supported beside heads of {}", source, key, size,
                      shape.head_size);
  }
  shape.norm_epsilon = from.get<float>("llama.attention.layer_norm_rms_epsilon");
  shape.rope_theta = from.get_if<float>("llama.rope.freq_base").value_or(1e4f);
  shape.rope = rope_pairing::interleaved;
  shape.tied_head = from.find(file_name_of(llama_tensor::head)) == nullptr;
  require_plausible(shape, source);
  return shape;
}

}  // namespace detail

/// A LLaMA model in a GGUF file, mapped: F32, F16, BF16 and the block formats of blocks.hpp. A `tensor_source`, whose
/// tensors are read by `read_f32`; the views stay valid when the object is moved.
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
