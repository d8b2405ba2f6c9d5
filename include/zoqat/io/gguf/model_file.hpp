// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/gguf/architecture.hpp>
#include <zoqat/io/gguf/decode.hpp>
#include <zoqat/io/gguf/file.hpp>
#include <zoqat/io/gguf/llama.hpp>
#include <zoqat/io/gguf/llama_shape.hpp>
#include <zoqat/io/gguf/opt.hpp>
#include <zoqat/io/gguf/opt_shape.hpp>
#include <zoqat/io/gguf/rope.hpp>
#include <zoqat/io/name_map.hpp>
#include <zoqat/io/opt_name_map.hpp>
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

/// What a file has of a tensor of its model.
struct stored_part {
  std::size_t index = 0;        ///< of the tensor in the file's list
  std::size_t first_row = 0;    ///< of that tensor
  std::size_t absent_rows = 0;  ///< rows of the model's that come first, are zeros and not in the file
  float factor = 1;             ///< what is stored is the model's times this, a power of two
  tensor rows{};                ///< these rows of the tensor, as it is named and stored
};

/// A model of LLaMA's kind (LLaMA, Mistral, Qwen2, Qwen3) or an OPT (as `mpt` or `gpt2`) in a GGUF file, mapped: F32,
/// F16, BF16 and the block formats of blocks.hpp. A `tensor_source`, whose tensors are read by `read_f32`; the views
/// stay valid when the object is moved.
class model_file {
 public:
  /// Throws io_error for a file that is malformed, another architecture, settings that are not supported, tensors
  /// that are missing, shaped otherwise than the metadata say or stored as types that are not read, and for tensors
  /// that the model does not use, unless these are to be ignored.
  explicit model_file(const std::filesystem::path& path, unused_tensors unused = unused_tensors::refused)
      : file_(path) {
    const std::string architecture = architecture_of(file_);
    const auto used = std::ranges::find(opt_architectures, architecture) != opt_architectures.end()
                          ? add_opt(find_opt(file_, architecture))
                          : add_llama(architecture);
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
  /// What the file has of a tensor that `find` gave.
  [[nodiscard]] const stored_part& stored(const tensor_view& view) const { return parts_.at(view.name); }
  /// Elements [first, first + out.size()) of a tensor that `find` gave, whole rows of it, and gives back the memory
  /// that reading them took.
  void read_f32(const tensor_view& view, std::size_t first, std::span<float> out) const {
    const stored_part& part = stored(view);
    const std::size_t absent = part.absent_rows * view.shape.back();
    const auto zeros = out.first(std::min(out.size(), absent - std::min(absent, first)));
    std::ranges::fill(zeros, 0.0f);
    if (zeros.size() == out.size()) return;
    read_stored(part, first + zeros.size() - absent, out.subspan(zeros.size()));
  }
  /// Reading gives memory back by itself.
  void release_pages(const tensor_view&) const noexcept {}

 private:
  using names = std::unordered_set<std::string_view>;

  [[nodiscard]] const std::string& source() const noexcept { return path().native(); }

  void read_stored(const stored_part& part, std::size_t first, std::span<float> out) const {
    decode(part.rows, first, out, source());
    if (part.factor != 1)
      for (float& x : out) x /= part.factor;
    const tensor_type_info& type = info_of(part.rows.type);
    file_.release_pages(
        part.rows.data.subspan(first / type.elements * type.bytes, out.size() / type.elements * type.bytes));
  }

  void require_all_used(const names& used) const {
    std::vector<std::string_view> unused;
    for (const tensor& t : file_.tensors())
      if (!used.contains(t.name)) unused.push_back(t.name);
    io::detail::require_none(std::move(unused), "the metadata", path());
  }

  /// Adds the tensors of a model, and returns the names of those in the file that it uses.
  names add_llama(std::string_view architecture) {
    const llama_architecture* const known = find_llama_architecture(architecture);
    require<io_error>(known != nullptr,
                      "{}: general.architecture: '{}' is not supported; 'llama', 'qwen2', 'qwen3', 'mpt' and 'gpt2' "
                      "are what is read",
                      source(), architecture);
    shape_ = llama_shape(file_, *known);
    names used;
    for (const llama_entry& entry : llama_tensors)
      for (std::size_t layer = 0; layer != count_of(entry.tensor, shape_); ++layer) {
        const tensor& stored = at(file_name_of(entry.tensor, layer), shape_of(entry, shape_));
        used.insert(stored.name);
        add(name_of(entry.tensor, layer), shape_of(entry, shape_), {.index = index_of(stored), .rows = stored});
      }
    if (shape_.rope == rope_pairing::interleaved) used.insert(rope_factors_name);
    return used;
  }
  names add_opt(const opt_in_file& found) {
    shape_ = found.shape;
    names used;
    for (const opt_place& place : opt_places)
      for (std::size_t layer = 0; layer != (is_per_layer(place) ? shape_.layers : 1); ++layer)
        if (const tensor* const stored = add_place(place, layer, is_multiplied(place) ? found.up_factor : 1))
          used.insert(stored->name);
    for (std::size_t layer = 0; layer != shape_.layers; ++layer)
      if (const tensor* const divisors = file_.find(opt_divisors_name(layer))) used.insert(divisors->name);
    return used;
  }
  /// Adds the tensors that are stacked in a place; null where the model has none of them.
  const tensor* add_place(const opt_place& place, std::size_t layer, float factor) {
    std::vector<std::size_t> all;
    for_each_part(place, [&](const opt_entry&, const std::vector<std::size_t>& shape) {
      if (all.empty())
        all = shape;
      else
        all[0] += shape[0];
    });
    if (all.empty()) return nullptr;
    const std::size_t absent = absent_rows(place);
    all[0] -= absent;
    const tensor& stored = at(fmt::format(fmt::runtime(place.name), layer), all);
    std::size_t first = 0;
    for_each_part(place, [&](const opt_entry& entry, const std::vector<std::size_t>& shape) {
      add(fmt::format(fmt::runtime(entry.name), layer), shape,
          {index_of(stored), first, absent, factor, rows_of(stored, first, shape[0] - absent)});
      first += shape[0];
    });
    return &stored;
  }
  template <class F>
  void for_each_part(const opt_place& place, F&& f) const {
    for (std::size_t i = 0; i != place.parts.size(); ++i)
      if (const opt_entry* const entry = part_of(place, i, shape_)) f(*entry, shape_of(*entry, shape_));
  }

  /// The tensor of that name in the file. Throws io_error unless it is there, has that shape and is read.
  [[nodiscard]] const tensor& at(const std::string& name, const std::vector<std::size_t>& wanted) const {
    const tensor* const stored = file_.find(name);
    require<io_error>(stored != nullptr, "{}: no tensor '{}'", source(), name);
    require<io_error>(stored->shape == wanted, "{}: tensor '{}': shape [{}], but [{}] is wanted", source(), name,
                      fmt::join(stored->shape, ", "), fmt::join(wanted, ", "));
    require<io_error>(is_decodable(stored->type),
                      "{}: tensor '{}': is stored as {}, which this version of the library does not read", source(),
                      name, info_of(stored->type).name);
    return *stored;
  }
  [[nodiscard]] std::size_t index_of(const tensor& stored) const noexcept {
    return static_cast<std::size_t>(&stored - file_.tensors().data());
  }
  /// Some rows of a tensor. Throws io_error for elements of a vector that lie in blocks.
  [[nodiscard]] tensor rows_of(const tensor& stored, std::size_t first, std::size_t rows) const {
    if (rows == stored.shape[0]) return stored;
    require<io_error>(stored.shape.size() > 1 || info_of(stored.type).elements == 1,
                      "{}: tensor '{}': is a vector stored as {}, of which parts are read as F32, F16 and BF16 alone",
                      source(), stored.name, info_of(stored.type).name);
    tensor part = stored;
    const std::size_t row_bytes = stored.data.size() / stored.shape[0];
    part.shape[0] = rows;
    part.data = stored.data.subspan(first * row_bytes, rows * row_bytes);
    return part;
  }
  void add(std::string name, std::vector<std::size_t> shape, stored_part part) {
    views_.push_back({std::move(name), dtype::u8, std::move(shape), part.rows.data, source()});
    parts_.emplace(views_.back().name, std::move(part));
  }

  gguf::file file_;
  model_shape shape_;
  std::vector<tensor_view> views_;
  std::unordered_map<std::string, stored_part> parts_;  // by canonical names
  tensor_index index_;
};

}  // namespace zoqat::io::gguf
