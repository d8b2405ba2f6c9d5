// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/hash.hpp>
#include <zoqat/io/safetensors.hpp>
#include <zoqat/io/tensor.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::io {

/// In a safetensors file's metadata: "checksum" of all the other metadata, "checksum of NAME" of each tensor's name,
/// type, shape and bytes. They find what was damaged, not what was forged.
inline constexpr std::string_view checksum_key = "checksum";

namespace detail {

[[nodiscard]] inline std::string checksum_key_of(std::string_view tensor) {
  return fmt::format("{} of {}", checksum_key, tensor);
}
[[nodiscard]] inline std::string checksum_of(const tensor_view& tensor) {
  const auto text = [](std::string_view s) { return std::as_bytes(std::span(s)); };
  std::uint64_t hash = hash_bytes(text(tensor.name));
  hash = hash_bytes(text(dtype_name(tensor.type)), hash);
  hash = hash_bytes(std::as_bytes(std::span(tensor.shape)), hash);
  return fmt::format("{:016x}", hash_bytes(tensor.data, hash));
}
[[nodiscard]] inline std::string checksum_of(const safetensors_metadata& metadata) {
  std::uint64_t hash = hash_bytes({});
  for (const auto& [key, value] : metadata)
    if (key != checksum_key)
      for (const std::string* text : {&key, &value}) hash = hash_bytes(std::as_bytes(std::span(*text)), hash);
  return fmt::format("{:016x}", hash);
}

}  // namespace detail

/// Adds the checksums of `tensors` and of the metadata itself.
inline void add_checksums(std::span<const tensor_view> tensors, safetensors_metadata& metadata) {
  for (const tensor_view& tensor : tensors)
    metadata[detail::checksum_key_of(tensor.name)] = detail::checksum_of(tensor);
  metadata[std::string(checksum_key)] = detail::checksum_of(metadata);
}

/// Throws io_error, with the tensor, unless every tensor and the metadata are what they were when the checksums were
/// taken. Reads the file once, and gives the memory that takes back.
inline void require_checksums(const safetensors_file& file) {
  const safetensors_metadata& metadata = file.metadata();
  const auto found = metadata.find(std::string(checksum_key));
  require<io_error>(found != metadata.end() && found->second == detail::checksum_of(metadata),
                    "{}: the metadata are damaged: their checksum does not agree; take another copy of the file",
                    file.path().native());
  for (const tensor_view& tensor : file.tensors()) {
    const auto of_tensor = metadata.find(detail::checksum_key_of(tensor.name));
    require<io_error>(of_tensor != metadata.end() && of_tensor->second == detail::checksum_of(tensor),
                      "{}: tensor '{}' is damaged: its checksum does not agree; take another copy of the file",
                      file.path().native(), tensor.name);
    file.release_pages(tensor);
  }
}

}  // namespace zoqat::io
