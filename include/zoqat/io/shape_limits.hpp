// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::io {

/// Largest width, vocabulary and number of positions that a file may claim.
inline constexpr std::size_t max_extent = std::size_t{1} << 24;
/// Most layers that a file may claim. A matrix of all layers then has at most 2^60 elements: sizes in bytes
/// never overflow 64 bits.
inline constexpr std::size_t max_layers = std::size_t{1} << 12;

namespace detail {

struct shape_limit {
  std::size_t model_shape::*field;
  std::string_view name;
  std::size_t largest;
};

inline constexpr std::array<shape_limit, 8> shape_limits{{
    {&model_shape::hidden, "hidden size", max_extent},
    {&model_shape::intermediate, "intermediate size", max_extent},
    {&model_shape::layers, "number of layers", max_layers},
    {&model_shape::heads, "number of attention heads", max_extent},
    {&model_shape::kv_heads, "number of key/value heads", max_extent},
    {&model_shape::head_size, "head size", max_extent},
    {&model_shape::vocabulary, "vocabulary size", max_extent},
    {&model_shape::positions, "number of positions", max_extent},
}};

}  // namespace detail

/// Throws io_error, with `source` and the value, unless a model can have that shape: every size positive and
/// within the limits, key/value heads dividing the heads, an even head size where positions are rotary, constants
/// finite.
inline void require_plausible(const model_shape& shape, std::string_view source) {
  for (const auto& limit : detail::shape_limits) {
    const std::size_t value = shape.*limit.field;
    require<io_error>(value >= 1 && value <= limit.largest, "{}: {} is {}, but must lie in [1, {}]", source,
                      limit.name, value, limit.largest);
  }
  require<io_error>(shape.heads % shape.kv_heads == 0, "{}: {} attention heads cannot share {} key/value heads",
                    source, shape.heads, shape.kv_heads);
  require<io_error>(shape.head_size % 2 == 0 || shape.kind.family == model_family::opt,
                    "{}: head size {} is odd: rotary embeddings pair up its elements", source, shape.head_size);
  require<io_error>(shape.heads <= max_extent / shape.head_size, "{}: {} heads of size {} are wider than {}", source,
                    shape.heads, shape.head_size, max_extent);
  require<io_error>(std::isfinite(shape.norm_epsilon) && shape.norm_epsilon > 0,
                    "{}: the norm's epsilon is {}, but must be positive", source, shape.norm_epsilon);
  require<io_error>(std::isfinite(shape.rope_theta) && shape.rope_theta > 0,
                    "{}: the theta of the rotary embedding is {}, but must be positive", source, shape.rope_theta);
  const rope_scaling& scaling = shape.rope_scaling;
  require<io_error>(std::isfinite(scaling.factor) && scaling.factor >= 1,
                    "{}: the scaling factor of the rotary embedding is {}, but must be at least 1", source,
                    scaling.factor);
  require<io_error>(
      std::isfinite(scaling.high_frequency_factor) && scaling.low_frequency_factor > 0 &&
          scaling.low_frequency_factor < scaling.high_frequency_factor,
      "{}: the frequency factors of the rotary embedding are {} and {}, but the low one must be positive "
      "and below the high one",
      source, scaling.low_frequency_factor, scaling.high_frequency_factor);
  require<io_error>(scaling.how != rope_scaling::kind::llama3 ||
                        (scaling.original_positions >= 1 && scaling.original_positions <= max_extent),
                    "{}: the original number of positions of the rotary embedding is {}, but must lie in [1, {}]",
                    source, scaling.original_positions, max_extent);
}

}  // namespace zoqat::io
