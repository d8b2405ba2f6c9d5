// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>     // model_shape
#include <zoqat/io/gguf/tensor_type.hpp>  // gguf::tensor_type
#include <zoqat/io/safetensors.hpp>       // safetensors_file

#include <cstddef>
#include <map>
#include <optional>
#include <string>

namespace zoqat::programs {

/// What `zeroqat export --gguf` makes of a trained model without other options.
struct exported_bytes {
  io::gguf::tensor_type type;                ///< the one that holds those of the model's scheme exactly
  std::map<std::string, std::size_t> bytes;  ///< of tensors, by the names that they have in full precision

  /// Bits of linear layers, for each of the weights that the model has.
  [[nodiscard]] double bits_of_linear_layers(const model_shape& shape) const;
};
/// The same of a file. Nothing for a scheme whose weights no type of GGUF holds, and for a model that engines have no
/// architecture for.
[[nodiscard]] std::optional<exported_bytes> exported_bytes_of(const io::safetensors_file& trained);

}  // namespace zoqat::programs
