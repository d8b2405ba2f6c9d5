// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/quantized_model.hpp>
#include <zoqat/io/safetensors.hpp>
#include <zoqat/io/tensor.hpp>
#include <zoqat/quant/packed_matrix.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io {

namespace detail {
/// Refuses grids that are no multiples of what they share, since they would be rounded wherever they are written.
template <class Weight>
void require_multiples(const tensor_view& scales, const quant::packed_matrix<Weight>& packed) {
  std::vector<simd::grid> grids(packed.groups());
  for (std::size_t row = 0; row != packed.rows(); ++row) {
    for (std::size_t g = 0; g != grids.size(); ++g) grids[g] = packed.grid(row, g);
    const std::vector<simd::grid> stored = grids;
    quant::share_scales<Weight>(grids);
    require<io_error>(grids == stored,
                      "{}: tensor '{}': the scales or minima of row {} are no multiples of what they share",
                      scales.source, scales.name, row);
  }
}
}  // namespace detail

/// The packed matrix [rows, cols] of a layer, as `save_quantized` stored it. `layer` is the name of its weight
/// without ".weight". Throws io_error, with the file and the tensor, for one that is missing, of another type or
/// size, for scales and minima that no quantizer makes, such as those that are no multiples of what they share, and
/// for zero points that are no codes.
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
  if constexpr (Weight::shares_scales) detail::require_multiples(file.at(layer + ".scales"), packed);
  return packed;
}

}  // namespace zoqat::io
