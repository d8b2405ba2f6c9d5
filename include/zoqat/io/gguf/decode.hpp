// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/io/gguf/blocks.hpp>
#include <zoqat/io/gguf/content.hpp>
#include <zoqat/io/tensor.hpp>

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// The values of a block; `out` has room for its elements.
template <block B>
void decode(const B& from, float* out) noexcept {
  for (std::size_t g = 0; g != B::elements / B::group; ++g) {
    const float scale = from.scale(g);
    for (std::size_t i = g * B::group; i != (g + 1) * B::group; ++i) {
      out[i] = scale * static_cast<float>(static_cast<int>(from.code(i)) - B::zero_point);
      if constexpr (B::has_minima) out[i] -= from.minimum(g);
    }
  }
}

/// Calls `f.operator()<B>()` with the block type of a quantized tensor type, and returns whether there is one.
template <class F>
bool with_block(tensor_type type, F&& f) {
  const auto attempt = [&]<block B>() {
    if (type != B::type) return false;
    f.template operator()<B>();
    return true;
  };
  return attempt.template operator()<q8_0_block>() || attempt.template operator()<q4_0_block>() ||
         attempt.template operator()<q4_1_block>() || attempt.template operator()<q5_0_block>() ||
         attempt.template operator()<q5_1_block>() || attempt.template operator()<q2_0_block>() ||
         attempt.template operator()<q2_k_block>() || attempt.template operator()<q3_k_block>() ||
         attempt.template operator()<q4_k_block>() || attempt.template operator()<q5_k_block>() ||
         attempt.template operator()<q6_k_block>();
}

/// Whether tensors of that type can be read as floats.
[[nodiscard]] inline bool is_decodable(tensor_type type) {
  return type == tensor_type::f32 || type == tensor_type::f16 || type == tensor_type::bf16 ||
         with_block(type, []<block B>() {});
}

/// The values of elements [first, first + out.size()) of a tensor: exactly what they stand for. Both are multiples of
/// the elements of a block. Throws io_error, with `source` and the tensor, for a type that is not read.
inline void decode(const tensor& from, std::size_t first, std::span<float> out, std::string_view source) {
  const tensor_type_info& type = info_of(from.type);
  require(first % type.elements == 0 && out.size() % type.elements == 0,
          "{}: tensor '{}': elements [{}, {}) are no whole blocks of {}", source, from.name, first,
          first + out.size(), type.elements);
  const auto bytes = from.data.subspan(first / type.elements * type.bytes, out.size() / type.elements * type.bytes);
  if (from.type == tensor_type::f32) {
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
  } else if (from.type == tensor_type::f16) {
    io::detail::widen<fp16>(bytes, out);
  } else if (from.type == tensor_type::bf16) {
    io::detail::widen<bf16>(bytes, out);
  } else {
    const bool known = with_block(from.type, [&]<block B>() {
      for (std::size_t i = 0; i != out.size() / B::elements; ++i) {
        B b;
        std::memcpy(&b, bytes.data() + i * sizeof(B), sizeof(B));
        decode(b, out.data() + i * B::elements);
      }
    });
    require<io_error>(known, "{}: tensor '{}': is stored as {}, which this version of the library does not read",
                      source, from.name, type.name);
  }
}

}  // namespace zoqat::io::gguf
