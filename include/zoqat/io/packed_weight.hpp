// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/quantized_model.hpp>
#include <zoqat/io/safetensors.hpp>
#include <zoqat/io/tensor.hpp>
#include <zoqat/quant/packed_matrix.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace zoqat::inline ZOQAT_ABI::io {

/// The packed matrix [rows, cols] of a layer, as `save_quantized` stored it. `layer` is the name of its weight
/// without ".weight". Throws io_error, with the file and the tensor, for one that is missing, of another type or
/// size, for scales and minima that no quantizer makes and for zero points that are no codes.
template <class Weight>
[[nodiscard]] quant::packed_matrix<Weight> read_packed(const safetensors_file& file, const std::string& layer,
                                                       std::size_t rows, std::size_t cols) {
  quant::packed_matrix<Weight> packed(rows, cols);
  copy_to<std::uint8_t>(file.at(layer + ".codes"), packed.code_storage());
  copy_to<typename Weight::scale_type>(file.at(layer + ".scales"), packed.scales());
  detail::require_scales<typename Weight::scale_type>(file.at(layer + ".scales"), packed.scales());
  if (!packed.zero_points().empty()) {
    copy_to<std::uint8_t>(file.at(layer + ".zero_points"), packed.zero_points());
    detail::require_zero_points(file.at(layer + ".zero_points"), packed.zero_points(), Weight::bits);
  }
  if (!packed.minima().empty()) {
    copy_to<typename Weight::scale_type>(file.at(layer + ".minima"), packed.minima());
    detail::require_minima<Weight, typename Weight::scale_type>(file.at(layer + ".minima"), packed.minima());
  }
  return packed;
}

}  // namespace zoqat::io
