// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/atomic_file.hpp>
#include <zoqat/io/safetensors.hpp>
#include <zoqat/io/tensor.hpp>

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io {

/// Takes the next bytes of a tensor, in parts of any size.
using tensor_sink = std::function<void(std::span<const std::byte>)>;

/// A tensor whose bytes are made while a file is written, so that no model has to be in memory.
struct streamed_tensor {
  std::string name;
  dtype type = dtype::f32;
  std::vector<std::size_t> shape;
  std::function<void(const tensor_sink&)> write;  ///< hands all of its bytes to the sink, in order
};

/// Writes `tensors` to `path` as `write_safetensors` does, asking for the bytes of one after the other. Throws
/// value_error as it does, and for a tensor that writes more or fewer bytes than its shape says; io_error when the
/// file cannot be written; and what a tensor throws, with the destination untouched.
inline void stream_safetensors(const std::filesystem::path& path, std::span<const streamed_tensor> tensors,
                               const safetensors_metadata& metadata = {}) {
  const auto order = detail::widest_first(tensors);
  const std::string header = detail::make_header(order, metadata, path.native());
  atomic_file file(path);
  detail::write_header(file, header);
  for (const streamed_tensor* tensor : order) {
    const std::size_t wanted = *checked_bytes(tensor->shape, tensor->type);
    std::size_t written = 0;
    const auto require_bytes = [&](bool right) {
      require(right, "{}: tensor '{}': {} bytes were given where shape and type want {}", path.native(), tensor->name,
              written, wanted);
    };
    tensor->write([&](std::span<const std::byte> bytes) {
      written += bytes.size();
      require_bytes(written <= wanted);
      file.write(bytes);
    });
    require_bytes(written == wanted);
  }
  file.commit();
}

}  // namespace zoqat::io
