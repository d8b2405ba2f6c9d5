// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/name_pattern.hpp>
#include <zoqat/io/gguf/tensor_type.hpp>
#include <zoqat/io/gguf/writer.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// Writes a tensor: encode(row, bytes) gives those of each row, some megabytes at a time.
template <class Encode>
void write_rows(writer& to, const tensor_info& info, Encode&& encode) {
  const std::size_t rows = info.shape.size() == 1 ? 1 : info.shape[0], row_bytes = *checked_bytes(info) / rows;
  const std::size_t at_a_time = std::max<std::size_t>(1, (std::size_t{1} << 20) / row_bytes);
  std::vector<std::byte> bytes;
  for (std::size_t first = 0; first < rows; first += at_a_time) {
    const std::size_t count = std::min(at_a_time, rows - first);
    bytes.resize(count * row_bytes);
    for (std::size_t r = 0; r != count; ++r) encode(first + r, std::span(bytes).subspan(r * row_bytes, row_bytes));
    to.write(bytes);
  }
}

/// Throws io_error, with the tensor and the place, for a value that its type has no room for: types with half
/// precision in them, as values or as scales, would give infinity or another number.
inline void require_room(const writer& to, const tensor_info& info, std::size_t row, std::span<const float> values) {
  const float most = info.type == tensor_type::f32    ? std::numeric_limits<float>::max()
                     : info.type == tensor_type::bf16 ? 0x1.fep127f
                                                      : 65504.0f;
  const auto fits = [most](float x) { return std::abs(x) <= most; };
  const auto found = std::ranges::find_if_not(values, fits);
  if (found == values.end()) return;
  fail<io_error>("{}: tensor '{}': element ({}, {}) of the model's is {}, but {} takes numbers from -{:g} to {:g}",
                 to.path(), info.name, row, found - values.begin(), *found, info_of(info.type).name, most, most);
}

/// The tensors of a file that is to be written, each with what writes it, so that one of them is in memory at a time.
class tensor_plan {
 public:
  /// What is not as it was asked for, in words.
  [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }
  /// Name, type and shape of each tensor.
  [[nodiscard]] std::vector<tensor_info> tensors() const {
    std::vector<tensor_info> infos;
    for (const planned& p : tensors_) infos.push_back(p.info);
    return infos;
  }
  /// Writes the file, tensor by tensor. Throws as `writer` does, and as what writes the tensors does.
  void write_file(const std::filesystem::path& path, const metadata& entries) const {
    writer to(path, entries, tensors());
    for (const planned& p : tensors_) p.write(to);
    to.commit();
  }

  /// Adds a tensor that write(writer) writes.
  void add(tensor_info info, std::function<void(writer&)> write) {
    tensors_.push_back({std::move(info), std::move(write)});
  }
  /// Says something, once, not for each layer.
  void note(std::string text) {
    if (std::ranges::find(notes_, text) == notes_.end()) notes_.push_back(std::move(text));
  }
  /// The first of some types whose blocks divide the rows of a tensor; the last has blocks of one element. `name` is
  /// what the tensors of all layers are called.
  void choose_type(tensor_info& info, std::string_view name, std::initializer_list<tensor_type> types) {
    const std::size_t cols = info.shape.back();
    info.type = *std::ranges::find_if(types, [&](tensor_type t) { return cols % info_of(t).elements == 0; });
    const tensor_type_info& wanted = info_of(*types.begin());
    if (info.type != wanted.type)
      note(fmt::format("{} is stored as {}: its rows of {} do not divide into blocks of {} ({})", name,
                       info_of(info.type).name, cols, wanted.elements, wanted.name));
  }

 private:
  struct planned {
    tensor_info info;
    std::function<void(writer&)> write;
  };

  std::vector<planned> tensors_;
  std::vector<std::string> notes_;
};

/// Linear layers that have a type of their own.
struct type_rule {
  std::string pattern;  ///< of the shell, for all of a layer's name, as "*.down_proj" or "model.layers.0.*"
  tensor_type type = tensor_type::f32;
};

/// The types of the tensors of a file. Vectors are always F32.
struct export_types {
  tensor_type weights = tensor_type::f32;     ///< of the linear layers
  tensor_type embeddings = tensor_type::f32;  ///< of the embedding and of the head, if it has weights of its own
  bool fill_stream = false;     ///< make the residual stream wider until blocks divide it, see llama_layout
  bool adapters_apart = false;  ///< of a trained model the layers alone: its adapters go elsewhere (export_adapters)
  std::vector<type_rule> mix = {};  ///< of linear layers, in place of `weights`: the first that matches holds

  /// The type of a linear layer whose matrix has that canonical name.
  [[nodiscard]] tensor_type of(const std::string& matrix) const {
    const std::string layer = matrix.substr(0, matrix.rfind(".weight"));
    const auto rule =
        std::ranges::find_if(mix, [&](const type_rule& r) { return matches_pattern(r.pattern, layer); });
    return rule == mix.end() ? weights : rule->type;
  }
};

/// What llama-quantize stores rows as that do not divide into the blocks of a type.
[[nodiscard]] constexpr tensor_type fallback(tensor_type type) noexcept {
  switch (type) {
    case tensor_type::q2_k:
    case tensor_type::q3_k:
      return tensor_type::q4_0;
    case tensor_type::q4_k:
      return tensor_type::q5_0;
    case tensor_type::q5_k:
      return tensor_type::q5_1;
    case tensor_type::q6_k:
      return tensor_type::q8_0;
    default:
      return tensor_type::f16;
  }
}

}  // namespace zoqat::io::gguf
