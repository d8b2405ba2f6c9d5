// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/io/file_kind.hpp>
#include <zoqat/io/mapped_file.hpp>
#include <zoqat/io/name_map.hpp>
#include <zoqat/io/shape_limits.hpp>
#include <zoqat/io/tensor.hpp>
#include <zoqat/io/tensor_index.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// The checkpoints of llama2.c (github.com/karpathy/llama2.c, export version 0): seven int32 sizes, then fp32
/// tensors, each kind for all layers, then two tables of rotary cosines and sines that nobody reads any more,
/// then the classifier where it is not tied. Its RoPE is interleaved, theta 10000, and the norms' epsilon 1e-5.

namespace zoqat::inline ZOQAT_ABI::io {

/// What a llama2.c checkpoint holds. The views, under canonical names, point into the bytes it was parsed from.
struct llama2c_content {
  model_shape shape;
  std::vector<tensor_view> tensors;
};

namespace detail {

enum llama2c_field : std::size_t { dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len };
inline constexpr std::array<std::string_view, 7> llama2c_fields{"dim",        "hidden_dim", "n_layers", "n_heads",
                                                                "n_kv_heads", "vocab_size", "seq_len"};
using llama2c_header = std::array<std::int32_t, llama2c_fields.size()>;

/// First field of the versions after 0 ("ak42"), which lay out their files otherwise.
inline constexpr std::int32_t llama2c_magic = 0x616b3432;

/// What precedes the tables: the order of llama2.c, which differs from that of Hugging Face in w2 = down.
inline constexpr std::array<llama_tensor, 11> llama2c_order{
    llama_tensor::embedding, llama_tensor::attention_norm, llama_tensor::query,
    llama_tensor::key,       llama_tensor::value,          llama_tensor::attention_output,
    llama_tensor::mlp_norm,  llama_tensor::gate,           llama_tensor::down,
    llama_tensor::up,        llama_tensor::final_norm};

inline model_shape parse_llama2c_header(std::span<const std::byte> bytes, std::string_view source) {
  llama2c_header header;
  require<io_error>(bytes.size() >= sizeof(header), "{}: too short for the header of a llama2.c checkpoint: {}",
                    source, plural(bytes.size(), "byte"));
  std::memcpy(header.data(), bytes.data(), sizeof(header));
  require<io_error>(header[dim] != llama2c_magic,
                    "{}: a llama2.c checkpoint of a newer version, but only version 0 (fp32) is supported", source);
  // The sign of the vocabulary says whether the classifier is a tensor of its own.
  const bool tied = header[vocab_size] > 0;
  const auto size = [&](llama2c_field field) {
    const std::int64_t value = field == vocab_size && !tied ? -std::int64_t{header[field]} : header[field];
    require<io_error>(value > 0, "{}: not a llama2.c checkpoint: {} is {}", source, llama2c_fields[field], value);
    return static_cast<std::size_t>(value);
  };
  model_shape shape{.hidden = size(dim),
                    .intermediate = size(hidden_dim),
                    .layers = size(n_layers),
                    .heads = size(n_heads),
                    .kv_heads = size(n_kv_heads),
                    .head_size = 0,
                    .vocabulary = size(vocab_size),
                    .positions = size(seq_len),
                    .norm_epsilon = 1e-5f,
                    .rope_theta = 1e4f,
                    .rope = rope_pairing::interleaved,
                    .tied_head = tied};
  require<io_error>(shape.hidden % shape.heads == 0,
                    "{}: not a llama2.c checkpoint: dim {} cannot be cut into {} heads", source, shape.hidden,
                    shape.heads);
  shape.head_size = shape.hidden / shape.heads;
  require_plausible(shape, source);
  return shape;
}

// Cuts the checkpoint's bytes into tensors, front to back.
class llama2c_cursor {
 public:
  llama2c_cursor(std::span<const std::byte> rest, llama2c_content& content, std::string_view source)
      : rest_(rest), content_(content), source_(source) {}

  void take(llama_tensor tensor) {
    for (std::size_t layer = 0; layer != count_of(tensor, content_.shape); ++layer) {
      const auto shape = shape_of(tensor, content_.shape);
      const auto name = name_of(tensor, layer);
      const auto data = next(*checked_bytes(shape, dtype::f32), name);
      content_.tensors.push_back({name, dtype::f32, shape, data, std::string(source_)});
    }
  }
  void skip_rotary_tables() {
    const std::size_t elements = content_.shape.positions * (content_.shape.head_size / 2);
    next(2 * elements * dtype_size(dtype::f32), "freq_cis");
  }
  void require_end() const {
    require<io_error>(rest_.empty(), "{}: the last tensor is followed by {}", source_, plural(rest_.size(), "byte"));
  }

 private:
  std::span<const std::byte> next(std::size_t bytes, std::string_view name) {
    require<io_error>(bytes <= rest_.size(), "{}: tensor '{}': the file ends {} too early", source_, name,
                      plural(bytes - rest_.size(), "byte"));
    const auto taken = rest_.first(bytes);
    rest_ = rest_.subspan(bytes);
    return taken;
  }

  std::span<const std::byte> rest_;
  llama2c_content& content_;
  std::string_view source_;
};

}  // namespace detail

/// Reads a checkpoint that lies in memory. `source` names it in messages. Throws io_error, with the field or the
/// tensor and the offending value, unless the bytes are exactly what the header says.
[[nodiscard]] inline llama2c_content parse_llama2c(std::span<const std::byte> bytes, std::string_view source) {
  llama2c_content content{detail::parse_llama2c_header(bytes, source), {}};
  detail::llama2c_cursor cursor(bytes.subspan(sizeof(detail::llama2c_header)), content, source);
  for (const llama_tensor tensor : detail::llama2c_order) cursor.take(tensor);
  cursor.skip_rotary_tables();
  cursor.take(llama_tensor::head);
  cursor.require_end();
  return content;
}

/// A llama2.c checkpoint, mapped. A `tensor_source`; the views stay valid when the object is moved.
class llama2c_checkpoint {
 public:
  /// Throws io_error as `mapped_file` and `parse_llama2c` do.
  explicit llama2c_checkpoint(const std::filesystem::path& path)
      : file_(path),
        content_(parse_llama2c(require_file_kind(file_, file_kind::llama2c_checkpoint).bytes(), path.native())),
        index_(content_.tensors) {}

  [[nodiscard]] const model_shape& shape() const noexcept { return content_.shape; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return file_.path(); }
  /// The tensor of that canonical name, or null.
  [[nodiscard]] const tensor_view* find(std::string_view name) const {
    return find_by_canonical_name([&](std::string_view exact) { return index_.find(exact); }, name,
                                  shape().tied_head);
  }
  /// All tensors in the order of the file.
  [[nodiscard]] std::span<const tensor_view> tensors() const noexcept { return content_.tensors; }

  /// Gives back the memory that reading a tensor took.
  void release_pages(const tensor_view& tensor) const noexcept { file_.release_pages(tensor.data); }

 private:
  mapped_file file_;
  llama2c_content content_;
  tensor_index index_;
};

}  // namespace zoqat::io
