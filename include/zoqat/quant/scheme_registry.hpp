// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/quant/scheme.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>

namespace zoqat::inline ZOQAT_ABI::quant {

/// A string as a template argument.
template <std::size_t N>
struct fixed_string {
  char characters[N]{};
  consteval fixed_string(const char (&text)[N]) { std::copy_n(text, N, characters); }
  [[nodiscard]] constexpr std::string_view view() const noexcept { return {characters, N - 1}; }
};

/// A scheme with the name by which programs offer it.
template <fixed_string Name, class Scheme>
struct named {
  using scheme = Scheme;
  static constexpr std::string_view name = Name.view();
};

namespace detail {
/// The first of some named schemes that has that name.
template <fixed_string Name, class... Named>
struct find_named {
  static_assert(sizeof...(Named) != 0, "quant::scheme_registry: there is no scheme of that name");
};
template <fixed_string Name, class First, class... Rest>
struct find_named<Name, First, Rest...>
    : std::conditional_t<First::name == Name.view(), std::type_identity<First>, find_named<Name, Rest...>> {};
}  // namespace detail

/// Schemes to choose from when a program runs.
template <class... Named>
struct scheme_registry {
  /// The scheme of that name, when the program is compiled.
  template <fixed_string Name>
  using scheme_of = typename detail::find_named<Name, Named...>::type::scheme;
  /// Some of the schemes, by their names: each costs a program compile time and size.
  template <fixed_string... Names>
  using only = scheme_registry<typename detail::find_named<Names, Named...>::type...>;

  /// The names, separated by commas.
  [[nodiscard]] static std::string names() {
    std::string all;
    ((all += (all.empty() ? "" : ", "), all += Named::name), ...);
    return all;
  }
  /// Returns `f.template operator()<Scheme>()` for the scheme of that name; all calls return the same type. Throws
  /// value_error, with the names there are, for another name.
  template <class F>
  static decltype(auto) with(std::string_view name, F&& f) {
    return find<F, Named...>(name, f);
  }

 private:
  template <class F, class First, class... Rest>
  static decltype(auto) find(std::string_view name, F& f) {
    if (name == First::name) return f.template operator()<typename First::scheme>();
    if constexpr (sizeof...(Rest) > 0)
      return find<F, Rest...>(name, f);
    else
      fail("scheme '{}' is not among {}", name, names());
  }
};

namespace detail {
template <int Bits, class Granularity = per_channel>
using trained_weight = weight<Bits, Granularity, asymmetric, clip::codes>;
/// Weights whose values are those of another engine's blocks, and inputs as that engine rounds them before it
/// multiplies: groups with an fp16 step, and zero near the middle (inputs are Q8_0), or an fp16 minimum (Q8_1).
template <int Bits, std::size_t Size>
using signed_blocks = scheme<weight<Bits, group<Size>, signed_symmetric, clip::codes, fp16_scale>,
                             activation<8, group<32>, symmetric, fp16_scale>>;
template <int Bits, std::size_t Size>
using shifted_blocks = scheme<weight<Bits, group<Size>, with_minimum, clip::codes, fp16_scale>,
                              activation<8, group<32>, symmetric, fp16_scale_and_sum>>;
/// The same in super-blocks of 256 weights (inputs are Q8_K).
template <int Bits, std::size_t Size, class Symmetry, int GreatestFactor>
using super_blocks =
    scheme<weight<Bits, group<Size>, Symmetry, clip::codes, shared_scale<GreatestFactor, 256 / Size>>,
           activation<8, group<256>, symmetric>>;
}  // namespace detail

/// The schemes of the paper and their neighbors: w<bits>a<bits> with g<group size> for groups (else per output
/// channel), b<block size> where inputs are quantized in blocks of a token's channels, kv<bits> where queries, keys
/// and values are quantized too, and shift where inputs are shifted. a16 leaves activations alone. Those named
/// q<bits>_<kind> have the values of GGUF's types of these names, and round inputs to blocks of 8 bits as llama.cpp
/// does on CPUs: what is trained so is exported without loss (io/gguf/encode.hpp), and computes there what it
/// computed here. A weight takes there, in bits: q2_0 2.25, q2_k 2.625, q3_k 3.4375, q4_0 and q4_k 4.5, q4_1 5, q5_0
/// and q5_k 5.5, q5_1 6, q6_k 6.5625, q8_0 8.5. Here scales and minima that are shared lie in products' own layout,
/// in fp32.
using standard_schemes = scheme_registry<
    named<"w2a16", scheme<detail::trained_weight<2>>>, named<"w3a16", scheme<detail::trained_weight<3>>>,
    named<"w4a16", scheme<detail::trained_weight<4>>>,
    named<"w2a16g32", scheme<detail::trained_weight<2, group<32>>>>,
    named<"w2a16g64", scheme<detail::trained_weight<2, group<64>>>>,
    named<"w2a16g128", scheme<detail::trained_weight<2, group<128>>>>,
    named<"w3a16g32", scheme<detail::trained_weight<3, group<32>>>>,
    named<"w3a16g128", scheme<detail::trained_weight<3, group<128>>>>,
    named<"w4a16g32", scheme<detail::trained_weight<4, group<32>>>>,
    named<"w4a16g128", scheme<detail::trained_weight<4, group<128>>>>,
    named<"w4a4", scheme<detail::trained_weight<4>, activation<4>>>,
    named<"w4a4shift", scheme<detail::trained_weight<4>, activation<4>, shift>>,
    named<"w4a4b32", scheme<detail::trained_weight<4>, activation<4, group<32>, symmetric>>>,
    named<"w4a4kv4", scheme<detail::trained_weight<4>, activation<4>, attention<4>>>,
    named<"w4a8", scheme<detail::trained_weight<4>, activation<8>>>,
    named<"w6a6", scheme<detail::trained_weight<6>, activation<6>>>,
    named<"w6a6kv6", scheme<detail::trained_weight<6>, activation<6>, attention<6>>>,
    named<"w8a8", scheme<detail::trained_weight<8>, activation<8>>>, named<"q2_0", detail::signed_blocks<2, 64>>,
    named<"q4_0", detail::signed_blocks<4, 32>>, named<"q4_1", detail::shifted_blocks<4, 32>>,
    named<"q5_0", detail::signed_blocks<5, 32>>, named<"q5_1", detail::shifted_blocks<5, 32>>,
    named<"q8_0", detail::signed_blocks<8, 32>>, named<"q2_k", detail::super_blocks<2, 16, with_minimum, 15>>,
    named<"q3_k", detail::super_blocks<3, 16, signed_symmetric, 31>>,
    named<"q4_k", detail::super_blocks<4, 32, with_minimum, 63>>,
    named<"q5_k", detail::super_blocks<5, 32, with_minimum, 63>>,
    named<"q6_k", detail::super_blocks<6, 16, signed_symmetric, 127>>>;

}  // namespace zoqat::quant
