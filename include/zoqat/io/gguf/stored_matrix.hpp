// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/io/gguf/blocks.hpp>
#include <zoqat/io/gguf/content.hpp>
#include <zoqat/io/gguf/decode.hpp>
#include <zoqat/io/gguf/round.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <span>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// A block whose scales are multiples of a number of half precision.
template <class B>
concept scalable_block = block<B> && requires(B& b) {
  { b.d } -> std::same_as<fp16&>;
};

/// Multiplies all that a block stands for by a factor, as well as half precision can: its codes stay.
template <scalable_block B>
void scale_block(B& b, float factor) noexcept {
  const auto scale = [factor](fp16& x) { x = detail::finite_half(static_cast<float>(x) * factor); };
  scale(b.d);
  if constexpr (requires { b.dmin; }) scale(b.dmin);
  if constexpr (requires { b.m; }) scale(b.m);
}

/// Rounds values, times a factor, to the nearest that a block can stand for with the grids that it has: only its
/// codes change. Those of a group whose scale is zero stay, since they all stand for the same.
template <block B>
void recode(B& b, const float* values, float factor = 1) noexcept {
  for (std::size_t g = 0; g != B::elements / B::group; ++g) {
    const float scale = b.scale(g);
    if (scale == 0) continue;
    float minimum = 0;
    if constexpr (B::has_minima) minimum = b.minimum(g);
    for (std::size_t i = g * B::group; i != (g + 1) * B::group; ++i)
      b.set_code(i, detail::nearest<B>(values[i] * factor, scale, minimum));
  }
}

/// A matrix [rows, cols] in the bytes that a file has of it, which it owns: `nn::stored_matrix` says what its members
/// do. Of types that come in blocks a step is a block's `d`, and `dmin` or `m` go with it; floats have none, and
/// become the nearest floats of their type.
class stored_matrix {
 public:
  stored_matrix() = default;
  /// Copies a tensor of two dimensions whose type is_decodable, and whose values are those of the matrix times
  /// `factor`, a power of two.
  explicit stored_matrix(const tensor& from, float factor = 1)
      : type_(from.type),
        factor_(factor),
        rows_(from.shape[0]),
        cols_(from.shape[1]),
        bytes_(from.data.begin(), from.data.end()) {}

  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::size_t cols() const noexcept { return cols_; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] tensor_type type() const noexcept { return type_; }
  [[nodiscard]] std::size_t row_bytes() const noexcept {
    return cols_ / info_of(type_).elements * info_of(type_).bytes;
  }
  [[nodiscard]] std::size_t steps() const noexcept {
    std::size_t count = 0;
    with_block(type_, [&]<block B>() {
      if constexpr (scalable_block<B>) count = cols_ / B::elements;
    });
    return count;
  }
  void read_row(std::size_t r, const float* values, std::span<const float> factors, float* out) const noexcept {
    visit_row(
        r, values, factors, [&](const auto& b, std::size_t i) { decode(b, out + i * b.elements); },
        [&](auto x, std::size_t i) { out[i] = static_cast<float>(x); });
    if (factor_ != 1)
      for (std::size_t i = 0; i != cols_; ++i) out[i] /= factor_;
  }
  void write_row(std::size_t r, const float* values, std::span<const float> factors,
                 std::span<std::byte> out) const noexcept {
    const auto write = [&](const auto& x, std::size_t i) { std::memcpy(out.data() + i * sizeof(x), &x, sizeof(x)); };
    visit_row(r, values, factors, write, write);
  }
  /// Of blocks the mean scale; of floats, whose numbers lie close, what eight bits would have.
  [[nodiscard]] float unit(std::size_t r) const noexcept {
    double scales = 0, greatest = 0;
    std::size_t grids = 0;
    visit_row(
        r, nullptr, {},
        [&]<block B>(const B& b, std::size_t) {
          for (std::size_t g = 0; g != B::elements / B::group; ++g, ++grids) scales += std::abs(b.scale(g));
        },
        [&](auto x, std::size_t) { greatest = std::max(greatest, std::abs(double{static_cast<float>(x)})); });
    const double mean = grids == 0 ? greatest / 128 : scales / static_cast<double>(grids);
    return static_cast<float>(std::max(mean / double{factor_}, double{smallest_unit}));
  }

 private:
  static constexpr float smallest_unit = 0x1p-24f;  ///< of a row that is all zero

  template <class T>
  [[nodiscard]] static T nearest_float(float x) noexcept {
    if constexpr (std::same_as<T, fp16>)
      return detail::finite_half(x);
    else
      return T(x);
  }

  /// Calls of_block(block, index) or of_float(number, index) for what row `r` becomes.
  template <class OfBlock, class OfFloat>
  void visit_row(std::size_t r, const float* values, std::span<const float> factors, OfBlock&& of_block,
                 OfFloat&& of_float) const noexcept {
    const std::byte* const row = bytes_.data() + r * row_bytes();
    const auto floats = [&]<class T>() {
      for (std::size_t i = 0; i != cols_; ++i) {
        T x;
        std::memcpy(&x, row + i * sizeof(T), sizeof(T));
        if (values) x = nearest_float<T>(values[i] * factor_);
        of_float(x, i);
      }
    };
    if (type_ == tensor_type::f32) return floats.template operator()<float>();
    if (type_ == tensor_type::f16) return floats.template operator()<fp16>();
    if (type_ == tensor_type::bf16) return floats.template operator()<bf16>();
    with_block(type_, [&]<block B>() {
      for (std::size_t i = 0; i != cols_ / B::elements; ++i) {
        B b;
        std::memcpy(&b, row + i * sizeof(B), sizeof(B));
        if (values) recode(b, values + i * B::elements, factor_);
        if constexpr (scalable_block<B>)
          if (!factors.empty() && factors[i] != 1) scale_block(b, factors[i]);
        of_block(b, i);
      }
    });
  }

  tensor_type type_ = tensor_type::f32;
  float factor_ = 1;
  std::size_t rows_ = 0, cols_ = 0;
  buffer<std::byte> bytes_;
};

}  // namespace zoqat::io::gguf
