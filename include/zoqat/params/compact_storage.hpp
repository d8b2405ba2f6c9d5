// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/params/compact_masters.hpp>
#include <zoqat/params/masters.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace zoqat::inline ZOQAT_ABI {

/// Owns compact masters. Made from numbers, of which each becomes the nearest that the format has.
class compact_storage {
 public:
  compact_storage() = default;
  /// `format` is bf16, fp16 or int8. The codes of a block reach an eighth beyond its greatest magnitude, so that
  /// training finds room; a block that is all zero takes its scale from the rest of the tensor.
  compact_storage(master_format format, std::span<const float> values) {
    if (format == master_format::bf16)
      halves_.resize(values.size());
    else if (format == master_format::fp16)
      fp16s_.resize(values.size());
    else
      choose_scales(values);
    round_masters<simd::default_kernels>({.compact = view()}, 0, values.size(), values.data());
  }

  [[nodiscard]] bool empty() const noexcept { return halves_.empty() && codes_.empty() && fp16s_.empty(); }
  [[nodiscard]] master_format format() const noexcept {
    return !codes_.empty()    ? master_format::int8
           : !halves_.empty() ? master_format::bf16
           : !fp16s_.empty()  ? master_format::fp16
                              : master_format::fp32;
  }
  [[nodiscard]] std::size_t bytes() const noexcept {
    return (halves_.size() + fp16s_.size() + scales_.size()) * sizeof(bf16) + codes_.size();
  }
  /// The masters as those who train them see them.
  [[nodiscard]] compact_masters view() noexcept { return {halves_, codes_, scales_, fp16s_}; }

 private:
  void choose_scales(std::span<const float> values) {
    constexpr float room = 1.125f, smallest = 1.0f / 256;
    codes_.resize(values.size());
    scales_.resize(compact_masters::blocks(values.size()));
    const float widest = magnitude(values);
    for (std::size_t b = 0; b != scales_.size(); ++b) {
      const auto block = values.subspan(b * compact_masters::block);
      const float reach = magnitude(block.first(std::min(block.size(), compact_masters::block)));
      scales_[b] = bf16(std::max({reach, smallest * widest, 128 * simd::minimum_scale}) * (room / 127));
    }
  }
  static float magnitude(std::span<const float> values) noexcept {
    const simd::range r = simd::default_kernels::min_max(values.data(), values.size());
    return std::min(std::max(r.max, -r.min), simd::maximum_scale);
  }

  buffer<bf16> halves_;
  buffer<fp16> fp16s_;
  buffer<std::uint8_t> codes_;
  buffer<bf16> scales_;
};

}  // namespace zoqat
