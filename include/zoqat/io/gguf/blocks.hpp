// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/numeric.hpp>
#include <zoqat/io/gguf/tensor_type.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

/// The blocks of quantized tensors, as they lie in files. A block has a code for each of its elements; `group` of
/// them share a grid, and code c of group g stands for
///
///   scale(g) * (c - zero_point)                 where there are no minima,
///   scale(g) * c - minimum(g)                   where there are (zero_point is then 0).
///
/// scale(g) and minimum(g) are products of an fp16 number and an integer of at most 7 bits, and so exact in fp32, as
/// is the scale times a code: compilers may fuse the sum or not, the value is the same.

namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// Where some bits of a code are: a byte of an array, and the place of the lowest of them in it.
struct bit_place {
  std::size_t byte;
  unsigned shift;
};

namespace detail {

/// The bits of a code in a byte of an array.
template <unsigned Bits, std::size_t N>
[[nodiscard]] constexpr unsigned load_bits(const std::uint8_t (&from)[N], bit_place at) noexcept {
  return (from[at.byte] >> at.shift) & ((1u << Bits) - 1);
}
template <unsigned Bits, std::size_t N>
constexpr void store_bits(std::uint8_t (&to)[N], bit_place at, unsigned bits) noexcept {
  constexpr unsigned mask = (1u << Bits) - 1;
  to[at.byte] = static_cast<std::uint8_t>((to[at.byte] & ~(mask << at.shift)) | (bits & mask) << at.shift);
}

/// Blocks with one grid, as older types have it: the two halves of a block share bytes.
[[nodiscard]] constexpr bit_place nibble_of_32(std::size_t i) noexcept { return {i % 16, i < 16 ? 0u : 4u}; }
[[nodiscard]] constexpr bit_place bit_of_32(std::size_t i) noexcept { return {i / 8, static_cast<unsigned>(i % 8)}; }
/// Four elements on end share a byte.
[[nodiscard]] constexpr bit_place pair_of_64(std::size_t i) noexcept {
  return {i / 4, static_cast<unsigned>(i % 4 * 2)};
}
/// Super-blocks of 256: runs of 32 elements share bytes, two of them nibbles, four of them pairs of bits, all eight
/// single bits.
[[nodiscard]] constexpr bit_place nibble_of_256(std::size_t i) noexcept {
  return {i / 64 * 32 + i % 32, i % 64 < 32 ? 0u : 4u};
}
[[nodiscard]] constexpr bit_place pair_of_256(std::size_t i) noexcept {
  return {i / 128 * 32 + i % 32, static_cast<unsigned>(i % 128 / 32 * 2)};
}
[[nodiscard]] constexpr bit_place bit_of_256(std::size_t i) noexcept {
  return {i % 32, static_cast<unsigned>(i / 32)};
}

/// The codes of a block whose lowest bits are in `low`, where `Low` says, and whose others, if there are any, are in
/// `high`, where `High` says. The bytes of `high` come first.
template <std::size_t Elements, unsigned LowBits, auto Low>
struct plain_codes {
  std::uint8_t low[Elements * LowBits / 8];

  static constexpr std::size_t elements = Elements;
  static constexpr int bits = LowBits;
  [[nodiscard]] constexpr unsigned operator[](std::size_t i) const noexcept {
    return load_bits<LowBits>(low, Low(i));
  }
  constexpr void set(std::size_t i, unsigned c) noexcept { store_bits<LowBits>(low, Low(i), c); }
};
template <std::size_t Elements, unsigned LowBits, auto Low, unsigned HighBits, auto High>
struct split_codes {
  std::uint8_t high[Elements * HighBits / 8];
  std::uint8_t low[Elements * LowBits / 8];

  static constexpr std::size_t elements = Elements;
  static constexpr int bits = LowBits + HighBits;
  [[nodiscard]] constexpr unsigned operator[](std::size_t i) const noexcept {
    return load_bits<LowBits>(low, Low(i)) | load_bits<HighBits>(high, High(i)) << LowBits;
  }
  constexpr void set(std::size_t i, unsigned c) noexcept {
    store_bits<LowBits>(low, Low(i), c);
    store_bits<HighBits>(high, High(i), c >> LowBits);
  }
};
/// In two's complement.
struct signed_bytes_of_32 {
  std::uint8_t bytes[32];

  static constexpr std::size_t elements = 32;
  static constexpr int bits = 8;
  [[nodiscard]] constexpr unsigned operator[](std::size_t i) const noexcept { return bytes[i] ^ 0x80u; }
  constexpr void set(std::size_t i, unsigned c) noexcept { bytes[i] = static_cast<std::uint8_t>(c ^ 0x80u); }
};
using nibbles_of_32 = plain_codes<32, 4, nibble_of_32>;
using fives_of_32 = split_codes<32, 4, nibble_of_32, 1, bit_of_32>;
using pairs_of_64 = plain_codes<64, 2, pair_of_64>;
using pairs_of_256 = plain_codes<256, 2, pair_of_256>;
using nibbles_of_256 = plain_codes<256, 4, nibble_of_256>;
using fives_of_256 = split_codes<256, 4, nibble_of_256, 1, bit_of_256>;
using threes_of_256 = split_codes<256, 2, pair_of_256, 1, bit_of_256>;

/// Eight scales and eight minima of 6 bits in 12 bytes (Q4_K, Q5_K). The first four of either are in bytes of their
/// own, whose upper two bits hold those of the last four.
struct scales_and_minima {
  std::uint8_t bytes[12];

  [[nodiscard]] constexpr unsigned scale(std::size_t g) const noexcept { return get(g, 0); }
  [[nodiscard]] constexpr unsigned minimum(std::size_t g) const noexcept { return get(g, 4); }
  constexpr void set(std::size_t g, unsigned scale, unsigned minimum) noexcept {
    put(g, 0, scale);
    put(g, 4, minimum);
  }

 private:
  [[nodiscard]] constexpr unsigned get(std::size_t g, unsigned of) const noexcept {
    if (g < 4) return load_bits<6>(bytes, {g + of, 0});
    return load_bits<4>(bytes, {g + 4, of}) | load_bits<2>(bytes, {g - 4 + of, 6}) << 4;
  }
  constexpr void put(std::size_t g, unsigned of, unsigned x) noexcept {
    if (g < 4) return store_bits<6>(bytes, {g + of, 0}, x);
    store_bits<4>(bytes, {g + 4, of}, x);
    store_bits<2>(bytes, {g - 4 + of, 6}, x >> 4);
  }
};

}  // namespace detail

/// One grid, its scale of half precision: Q8_0, Q4_0, Q5_0, Q2_0.
template <tensor_type Type, class Codes, int ZeroPoint>
struct scaled_block {
  fp16 d;
  Codes codes;

  static constexpr auto type = Type;
  static constexpr std::size_t elements = Codes::elements, group = elements;
  static constexpr int bits = Codes::bits, zero_point = ZeroPoint;
  static constexpr bool has_minima = false;
  [[nodiscard]] constexpr unsigned code(std::size_t i) const noexcept { return codes[i]; }
  constexpr void set_code(std::size_t i, unsigned c) noexcept { codes.set(i, c); }
  [[nodiscard]] constexpr float scale(std::size_t) const noexcept { return static_cast<float>(d); }
};
using q8_0_block = scaled_block<tensor_type::q8_0, detail::signed_bytes_of_32, 128>;
using q4_0_block = scaled_block<tensor_type::q4_0, detail::nibbles_of_32, 8>;
using q5_0_block = scaled_block<tensor_type::q5_0, detail::fives_of_32, 16>;
/// Codes 0 to 3 stand for -1 to 2 steps.
using q2_0_block = scaled_block<tensor_type::q2_0, detail::pairs_of_64, 1>;

/// One grid, its scale and the value of code 0 of half precision: Q4_1, Q5_1.
template <tensor_type Type, class Codes>
struct shifted_block {
  fp16 d, m;
  Codes codes;

  static constexpr auto type = Type;
  static constexpr std::size_t elements = Codes::elements, group = elements;
  static constexpr int bits = Codes::bits, zero_point = 0;
  static constexpr bool has_minima = true;
  [[nodiscard]] constexpr unsigned code(std::size_t i) const noexcept { return codes[i]; }
  constexpr void set_code(std::size_t i, unsigned c) noexcept { codes.set(i, c); }
  [[nodiscard]] constexpr float scale(std::size_t) const noexcept { return static_cast<float>(d); }
  [[nodiscard]] constexpr float minimum(std::size_t) const noexcept { return -static_cast<float>(m); }
};
using q4_1_block = shifted_block<tensor_type::q4_1, detail::nibbles_of_32>;
using q5_1_block = shifted_block<tensor_type::q5_1, detail::fives_of_32>;

struct q2_k_block {
  std::uint8_t scales[16];  ///< 4 bits of scale, 4 bits of minimum
  detail::pairs_of_256 codes;
  fp16 d, dmin;

  static constexpr auto type = tensor_type::q2_k;
  static constexpr std::size_t elements = 256, group = 16;
  static constexpr int bits = 2, zero_point = 0;
  static constexpr bool has_minima = true;
  [[nodiscard]] constexpr unsigned code(std::size_t i) const noexcept { return codes[i]; }
  constexpr void set_code(std::size_t i, unsigned c) noexcept { codes.set(i, c); }
  [[nodiscard]] constexpr float scale(std::size_t g) const noexcept {
    return static_cast<float>(d) * static_cast<float>(scales[g] & 0xf);
  }
  [[nodiscard]] constexpr float minimum(std::size_t g) const noexcept {
    return static_cast<float>(dmin) * static_cast<float>(scales[g] >> 4);
  }
  constexpr void set_factors(std::size_t g, unsigned scale, unsigned minimum) noexcept {
    scales[g] = static_cast<std::uint8_t>(scale | minimum << 4);
  }
};

struct q3_k_block {
  detail::threes_of_256 codes;
  std::uint8_t scales[12];  ///< 16 scales of 6 bits, each less 32: 8 bytes with their lower bits, 4 with their upper
  fp16 d;

  static constexpr auto type = tensor_type::q3_k;
  static constexpr std::size_t elements = 256, group = 16;
  static constexpr int bits = 3, zero_point = 4;
  static constexpr bool has_minima = false;
  [[nodiscard]] constexpr unsigned code(std::size_t i) const noexcept { return codes[i]; }
  constexpr void set_code(std::size_t i, unsigned c) noexcept { codes.set(i, c); }
  [[nodiscard]] constexpr float scale(std::size_t g) const noexcept {
    return static_cast<float>(d) * static_cast<float>(factor(g));
  }
  /// The integer that the step size is a multiple of.
  [[nodiscard]] constexpr int factor(std::size_t g) const noexcept {
    return static_cast<int>(detail::load_bits<4>(scales, lower(g)) | detail::load_bits<2>(scales, upper(g)) << 4) -
           32;
  }
  constexpr void set_factor(std::size_t g, int x) noexcept {
    const auto stored = static_cast<unsigned>(x + 32);
    detail::store_bits<4>(scales, lower(g), stored);
    detail::store_bits<2>(scales, upper(g), stored >> 4);
  }

 private:
  [[nodiscard]] static constexpr bit_place lower(std::size_t g) noexcept { return {g % 8, g < 8 ? 0u : 4u}; }
  [[nodiscard]] static constexpr bit_place upper(std::size_t g) noexcept {
    return {8 + g % 4, static_cast<unsigned>(g / 4 * 2)};
  }
};

/// Eight grids, their scales and minima of 6 bits: Q4_K, Q5_K.
template <tensor_type Type, class Codes>
struct super_block {
  fp16 d, dmin;
  detail::scales_and_minima scales;
  Codes codes;

  static constexpr auto type = Type;
  static constexpr std::size_t elements = Codes::elements, group = elements / 8;
  static constexpr int bits = Codes::bits, zero_point = 0;
  static constexpr bool has_minima = true;
  [[nodiscard]] constexpr unsigned code(std::size_t i) const noexcept { return codes[i]; }
  constexpr void set_code(std::size_t i, unsigned c) noexcept { codes.set(i, c); }
  [[nodiscard]] constexpr float scale(std::size_t g) const noexcept {
    return static_cast<float>(d) * static_cast<float>(scales.scale(g));
  }
  [[nodiscard]] constexpr float minimum(std::size_t g) const noexcept {
    return static_cast<float>(dmin) * static_cast<float>(scales.minimum(g));
  }
  constexpr void set_factors(std::size_t g, unsigned scale, unsigned minimum) noexcept {
    scales.set(g, scale, minimum);
  }
};
using q4_k_block = super_block<tensor_type::q4_k, detail::nibbles_of_256>;
using q5_k_block = super_block<tensor_type::q5_k, detail::fives_of_256>;

struct q6_k_block {
  std::uint8_t low[128];
  std::uint8_t high[64];
  std::int8_t factors[16];
  fp16 d;

  static constexpr auto type = tensor_type::q6_k;
  static constexpr std::size_t elements = 256, group = 16;
  static constexpr int bits = 6, zero_point = 32;
  static constexpr bool has_minima = false;
  [[nodiscard]] constexpr unsigned code(std::size_t i) const noexcept {
    return detail::load_bits<4>(low, place(i)) | detail::load_bits<2>(high, detail::pair_of_256(i)) << 4;
  }
  constexpr void set_code(std::size_t i, unsigned c) noexcept {
    detail::store_bits<4>(low, place(i), c);
    detail::store_bits<2>(high, detail::pair_of_256(i), c >> 4);
  }
  [[nodiscard]] constexpr float scale(std::size_t g) const noexcept {
    return static_cast<float>(d) * static_cast<float>(factor(g));
  }
  [[nodiscard]] constexpr int factor(std::size_t g) const noexcept { return factors[g]; }
  constexpr void set_factor(std::size_t g, int x) noexcept { factors[g] = static_cast<std::int8_t>(x); }

 private:
  // Unlike those of the other super-blocks, the two nibbles of a byte are 64 elements apart.
  [[nodiscard]] static constexpr bit_place place(std::size_t i) noexcept {
    return {i / 128 * 64 + i % 64, i % 128 < 64 ? 0u : 4u};
  }
};

/// A block of a quantized tensor.
template <class B>
concept block = std::is_trivially_copyable_v<B> && requires(const B& b, B& changed, std::size_t i) {
  { b.code(i) } -> std::same_as<unsigned>;
  { changed.set_code(i, 0u) };
  { b.scale(i) } -> std::same_as<float>;
  { B::has_minima } -> std::convertible_to<bool>;
};

/// The greatest magnitude of the integers that a super-block's scales are multiples of.
template <block B>
inline constexpr int greatest_factor = B::type == tensor_type::q3_k   ? 31
                                       : B::type == tensor_type::q6_k ? 127
                                       : B::type == tensor_type::q2_k ? 15
                                                                      : 63;

namespace detail {
/// A block takes what the table of types says, which is `bits` per weight.
template <block B>
inline constexpr bool has_size = sizeof(B) == info_of(B::type).bytes && B::elements == info_of(B::type).elements;
}  // namespace detail
static_assert(detail::has_size<q8_0_block> && info_of(tensor_type::q8_0).bits_per_weight() == 8.5);
static_assert(detail::has_size<q4_0_block> && info_of(tensor_type::q4_0).bits_per_weight() == 4.5);
static_assert(detail::has_size<q4_1_block> && info_of(tensor_type::q4_1).bits_per_weight() == 5.0);
static_assert(detail::has_size<q5_0_block> && info_of(tensor_type::q5_0).bits_per_weight() == 5.5);
static_assert(detail::has_size<q5_1_block> && info_of(tensor_type::q5_1).bits_per_weight() == 6.0);
static_assert(detail::has_size<q2_0_block> && info_of(tensor_type::q2_0).bits_per_weight() == 2.25);
static_assert(detail::has_size<q2_k_block> && info_of(tensor_type::q2_k).bits_per_weight() == 2.625);
static_assert(detail::has_size<q3_k_block> && info_of(tensor_type::q3_k).bits_per_weight() == 3.4375);
static_assert(detail::has_size<q4_k_block> && info_of(tensor_type::q4_k).bits_per_weight() == 4.5);
static_assert(detail::has_size<q5_k_block> && info_of(tensor_type::q5_k).bits_per_weight() == 5.5);
static_assert(detail::has_size<q6_k_block> && info_of(tensor_type::q6_k).bits_per_weight() == 6.5625);

}  // namespace zoqat::io::gguf
