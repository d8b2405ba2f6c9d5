// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/gguf/llama.hpp>
#include <zoqat/io/gguf/round.hpp>
#include <zoqat/io/gguf/tensor_plan.hpp>
#include <zoqat/io/gguf/writer.hpp>
#include <zoqat/io/name_map.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// Where a tensor of a LLaMA model goes.
struct llama_place {
  llama_tensor tensor;
  std::size_t layer;
  std::size_t rows, cols;  ///< of the model; a vector is a row
  tensor_info info;        ///< in the file, where there may be more of both

  [[nodiscard]] bool is_matrix() const noexcept { return info.shape.size() == 2; }
  [[nodiscard]] bool is_embedding() const noexcept {
    return tensor == llama_tensor::embedding || tensor == llama_tensor::head;
  }
  [[nodiscard]] std::size_t file_rows() const noexcept { return is_matrix() ? info.shape[0] : 1; }
  [[nodiscard]] std::size_t file_cols() const noexcept { return info.shape.back(); }
};

/// The tensors of a model of LLaMA's kind in a file, whose linear layers come in blocks of some number of elements.
/// Where these do not divide the MLP's width it is filled up: rows of gate and up that are zero give zeros, and
/// whatever columns of down meet them, the sum is the same.
///
/// The residual stream can be filled up to 4, 16, ... times its width. Channels that are always zero take the mean of
/// squares down by that, so norms whose epsilon is divided by it too give 2, 4, ... times what they gave, and gains
/// that are divided by these give the same: exactly, since all are powers of two. With it the heads are filled up, to
/// 2, 4, ... times as many: heads whose values are zero write nothing, whatever the output projection has for them.
class llama_layout {
 public:
  /// Throws value_error for a model that no architecture computes, and for a stream that is to be filled up where
  /// the heads have norms with the same epsilon.
  llama_layout(const model_shape& shape, std::size_t elements, bool fill_stream = false)
      : shape_(shape), filled_(shape), architecture_(llama_architecture_of(shape)) {
    require(architecture_ != nullptr, "gguf::llama_layout: there is no architecture for such a model");
    require(!fill_stream || shape.kind.family != model_family::qwen3,
            "gguf::llama_layout: the stream of a Qwen3 cannot be filled up, since the norms of its heads share the "
            "epsilon");
    filled_.intermediate = (shape.intermediate + elements - 1) / elements * elements;
    constexpr std::size_t most = 256;  // times as much; more than that no blocks want
    for (std::size_t times = 1; fill_stream && filled_.hidden % elements != 0 && times <= most; times *= 4) {
      filled_.hidden = shape.hidden * times;
      filled_.norm_epsilon = shape.norm_epsilon / static_cast<float>(times);
      gain_ = 1.0f / std::sqrt(static_cast<float>(times));
    }
    while (fill_stream && filled_.heads * shape.head_size % elements != 0 && filled_.heads < most * shape.heads) {
      filled_.heads *= 2;
      filled_.kv_heads *= 2;
    }
  }

  [[nodiscard]] const model_shape& shape() const noexcept { return shape_; }
  /// The shape of the model in the file.
  [[nodiscard]] const model_shape& filled() const noexcept { return filled_; }
  [[nodiscard]] const llama_architecture& architecture() const noexcept { return *architecture_; }

  /// Calls f(place) for the tensors in the order of a file. Their type is F32.
  template <class F>
  void for_each_place(F&& f) const {
    const auto one = [&](llama_tensor tensor, std::size_t layer) {
      const auto own = shape_of(tensor, shape_);
      f(llama_place{tensor,
                    layer,
                    own.size() == 1 ? 1 : own[0],
                    own.back(),
                    {file_name_of(tensor, layer), tensor_type::f32, shape_of(tensor, filled_)}});
    };
    one(llama_tensor::embedding, 0);
    for (std::size_t layer = 0; layer != shape_.layers; ++layer)
      for (const llama_entry& entry : llama_tensors)
        if (is_per_layer(entry) && is_present(entry, shape_)) one(entry.tensor, layer);
    one(llama_tensor::final_norm, 0);
    if (!shape_.tied_head) one(llama_tensor::head, 0);
  }

  /// Writes a tensor: encode(row, bytes) gives those of a row of the model. Rows that fill the tensor up are encoded
  /// as row `no_row`.
  template <class Encode>
  void write_rows(writer& to, const llama_place& p, Encode&& encode) const {
    gguf::write_rows(to, p.info, [&](std::size_t row, std::span<std::byte> bytes) { encode(row_of(p, row), bytes); });
  }
  /// The same of values, which are rounded to nearest: read(row, values) gives those of a row of the model. Throws
  /// io_error, with the tensor and the place, for a value that its type has no room for.
  template <class Read>
  void write_values(writer& to, const llama_place& p, Read&& read) const {
    std::vector<float> values(p.file_cols());
    write_rows(to, p, [&](std::size_t row, std::span<std::byte> out) {
      std::ranges::fill(values, 0.0f);
      const auto own = std::span(values).first(p.cols);
      if (row != no_row) read(row, own);
      require_room(to, p.info, row, own);
      if (is_stream_norm(p.tensor))
        for (float& gain : values) gain *= gain_;
      if (p.tensor == llama_tensor::query_bias || p.tensor == llama_tensor::key_bias) permute(own);
      round_row(p.info.type, values, out);
    });
  }
  static constexpr std::size_t no_row = ~std::size_t{0};

 private:
  [[nodiscard]] static bool is_stream_norm(llama_tensor tensor) noexcept {
    return tensor == llama_tensor::attention_norm || tensor == llama_tensor::mlp_norm ||
           tensor == llama_tensor::final_norm;
  }
  void permute(std::span<float> bias) const {
    const std::vector<float> before(bias.begin(), bias.end());
    for (std::size_t i = 0; i != bias.size(); ++i) bias[i] = before[source_row(i, shape_, *architecture_)];
  }
  [[nodiscard]] std::size_t row_of(const llama_place& p, std::size_t row) const noexcept {
    if (row >= p.rows) return no_row;
    const bool rotary = p.tensor == llama_tensor::query || p.tensor == llama_tensor::key;
    return rotary ? source_row(row, shape_, *architecture_) : row;
  }

  model_shape shape_, filled_;
  const llama_architecture* architecture_;
  float gain_ = 1;  ///< of norms, relative to the model's
};

}  // namespace zoqat::io::gguf
