// SPDX-License-Identifier: Apache-2.0
#include <common/model_parts.hpp>

#include <zoqat/core/error.hpp>         // require
#include <zoqat/core/name_pattern.hpp>  // matches_pattern
#include <zoqat/io/tensor.hpp>          // checked_product
#include <zoqat/io/tensor_source.hpp>   // for_each_tensor, is_linear_weight

#include <common/settings_text.hpp>  // parts_of

#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace zoqat::programs {

void require_layers(std::string_view option, const std::string& patterns, const model_shape& shape) {
  std::vector<std::string> layers, kinds;
  io::for_each_tensor(shape, [&](const std::string& name, std::span<const std::size_t> extents) {
    if (!io::is_linear_weight(name, extents)) return;
    layers.push_back(name.substr(0, name.rfind('.')));  // without ".weight"
    const std::string kind = "*" + layers.back().substr(layers.back().rfind('.'));
    if (std::ranges::find(kinds, kind) == kinds.end()) kinds.push_back(kind);
  });
  const auto is_layer = [&](const std::string& pattern) {
    return std::ranges::any_of(layers, [&](const auto& layer) { return matches_pattern(pattern, layer); });
  };
  std::vector<std::string> all = parts_of(patterns);
  if (all.empty()) all.emplace_back();
  for (const std::string& pattern : all)
    require(is_layer(pattern),
            "{} '{}': no layer of the model has a name like '{}'; there are {}, and in one layer such as {}; "
            "name several by commas",
            option, patterns, pattern, fmt::join(kinds, ", "), layers.front());
}

std::uintmax_t packed_bytes(const model_shape& shape, unsigned bits) {
  std::uintmax_t sum = 0;
  io::for_each_tensor(shape, [&](const std::string& name, std::span<const std::size_t> extents) {
    sum += *io::checked_product(extents) * (io::is_linear_weight(name, extents) ? bits : 16u);
  });
  return sum / 8;
}

}  // namespace zoqat::programs
