// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/numeric.hpp>
#include <zoqat/quant/clipping.hpp>

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace zoqat::inline ZOQAT_ABI::quant {

// --- Which weights share a grid ------------------------------------------------------------------------------------

/// One grid for the whole matrix.
struct per_tensor {
  static constexpr bool whole_tensor = true;
  static constexpr std::size_t group_size(std::size_t in_features) noexcept { return in_features; }
};
/// One grid for each output channel (row): "W4" in the paper.
struct per_channel {
  static constexpr bool whole_tensor = false;
  static constexpr std::size_t group_size(std::size_t in_features) noexcept { return in_features; }
};
/// One grid for each `Size` consecutive weights of a row, the last group taking what is left: "W2g128".
template <std::size_t Size>
struct group {
  static_assert(Size > 0, "quant::group: the group size must be positive; for one grid per row use per_channel");
  static constexpr bool whole_tensor = false;
  static constexpr std::size_t group_size(std::size_t in_features) noexcept {
    return in_features < Size ? in_features : Size;
  }
};
/// One grid for each token (row) of an activation, derived when the token is seen.
struct per_token {
  static constexpr std::size_t group_size(std::size_t in_features) noexcept { return in_features; }
};

// --- The shape of a grid -------------------------------------------------------------------------------------------

/// The zero point is free in [0, 2^bits - 1]; the grid spans [min, max], zero included.
struct asymmetric {
  static constexpr auto zeros = zero_points::any;
  static constexpr std::string_view name = "asymmetric";
};
/// The zero point is the middle code and takes no storage.
struct symmetric {
  static constexpr auto zeros = zero_points::middle;
  static constexpr std::string_view name = "symmetric";
};
/// The zero point is one of the two codes in the middle: what a format with a signed scale and no zero point can say.
/// The side on which the weights reach further gets the code that there is more of.
struct signed_symmetric {
  static constexpr auto zeros = zero_points::near_middle;
  static constexpr std::string_view name = "signed symmetric";
};

/// Zero need not be on the grid: code c stands for scale * c - minimum. The minimum is stored as the scale is: a
/// number of half precision of either sign (fp16_scale: ggml's Q4_1 and Q5_1), or an integer from 0 on times a number
/// that groups share (shared_scale: Q2_K, Q4_K, Q5_K).
struct with_minimum {
  static constexpr auto zeros = zero_points::none;
  static constexpr std::string_view name = "with minima";
};

/// Storage of scales. What is stored is what the forward pass of training uses: `rounded` leads there.
struct fp32_scale {
  using type = float;
  static constexpr std::string_view name = "fp32";
  [[nodiscard]] static float rounded(float scale) noexcept { return scale; }
};
/// Half precision keeps to its normal numbers, so that 1 / scale stays exact to half an ulp.
struct fp16_scale {
  using type = fp16;
  static constexpr std::string_view name = "fp16";
  [[nodiscard]] static float rounded(float scale) noexcept {
    return static_cast<float>(fp16(std::clamp(scale, 0x1p-14f, 65504.0f)));
  }
};
/// Of activations: half precision, and the sum of the group in half precision too.
struct fp16_scale_and_sum {
  using type = fp16;
  static constexpr std::string_view name = "fp16 with sums";
};
/// The steps of `Groups` groups on end are multiples of one number of half precision: integers from 1 to `Greatest`
/// times it. So are their minima, where they have any, of another number (see share_scales in row.hpp).
template <int Greatest, std::size_t Groups = 16>
struct shared_scale {
  static_assert(Greatest >= 3 && Greatest < 128 && Groups > 1,
                "quant::shared_scale: factors are integers of up to 7 bits, shared by two groups or more");
  using type = float;
  static constexpr std::string_view name = "two-level fp16";
  static constexpr int greatest = Greatest;
  static constexpr std::size_t groups = Groups;
  [[nodiscard]] static float rounded(float scale) noexcept { return scale; }
};

namespace detail {
template <class Format>
inline constexpr bool is_shared = false;
template <int Greatest, std::size_t Groups>
inline constexpr bool is_shared<shared_scale<Greatest, Groups>> = true;
/// Whether every scale times every code of `bits` bits is a number of fp32: half precision has 11 bits, fp32 has 24.
template <class Format>
[[nodiscard]] consteval bool is_exact(int bits) {
  if constexpr (is_shared<Format>)
    return 11 + static_cast<int>(std::bit_width(static_cast<unsigned>(Format::greatest))) + bits <= 24;
  else
    return 11 + bits <= 24;
}
template <class Granularity>
inline constexpr bool is_group = false;
template <std::size_t Size>
inline constexpr bool is_group<group<Size>> = true;
}  // namespace detail

// --- Parts of a scheme ---------------------------------------------------------------------------------------------

/// Weights of `Bits` bits.
template <int Bits, class Granularity = per_channel, class Symmetry = asymmetric, class Clipping = clip::none,
          class ScaleFormat = fp32_scale>
struct weight {
  static_assert(Bits >= 2 && Bits <= 8,
                "quant::weight: weights take 2 to 8 bits; leave them alone with full_precision");
  static constexpr int bits = Bits;
  static constexpr bool symmetric = Symmetry::zeros == zero_points::middle;
  static constexpr zero_points zeros = Symmetry::zeros;
  static constexpr bool whole_tensor = Granularity::whole_tensor;
  using clipping = Clipping;
  using symmetry = Symmetry;
  using scale_format = ScaleFormat;
  /// Whether groups of a row share what their steps are multiples of.
  static constexpr bool shares_scales = detail::is_shared<ScaleFormat>;
  static_assert(!shares_scales || !whole_tensor, "quant::weight: one grid has nobody to share its scale with");
  /// Whether grids have a minimum in place of a zero point.
  static constexpr bool has_minima = zeros == zero_points::none;
  static_assert(!has_minima || (Bits < 8 && !whole_tensor),
                "quant::weight: minima are for weights of less than 8 bits, and not per_tensor");
  static_assert(
      !has_minima || shares_scales || std::same_as<ScaleFormat, fp16_scale>,
      "quant::weight: a minimum is stored as its scale is, for which there are fp16_scale and shared_scale");
  static_assert(
      !has_minima || detail::is_exact<ScaleFormat>(Bits),
      "quant::weight: a number of half precision times a factor times a code must be exact in fp32 where "
      "grids have minima, which are taken off it: give quant::shared_scale a lesser factor or take fewer bits");
  using scale_type = typename ScaleFormat::type;
  /// The same weights with another clipping policy.
  template <class Other>
  using with_clipping = weight<Bits, Granularity, Symmetry, Other, ScaleFormat>;

  [[nodiscard]] static constexpr std::size_t group_size(std::size_t in) noexcept {
    return Granularity::group_size(in);
  }
  /// Grids in one row of `in` weights.
  [[nodiscard]] static constexpr std::size_t groups(std::size_t in) noexcept {
    return in == 0 ? 0 : (in + group_size(in) - 1) / group_size(in);
  }
};

/// Inputs of the linear layers of `Bits` bits, quantized as they come: token by token, or `group<Size>` by group of a
/// token, as the engines that read GGUF do (quant/activation_codes.hpp). Groups are symmetric, and their scales are
/// stored as `ScaleFormat` says: fp32_scale (ggml's Q8_K, in groups of 256), fp16_scale (Q8_0, of 32), or
/// fp16_scale_and_sum (Q8_1).
template <int Bits, class Granularity = per_token, class Symmetry = asymmetric, class ScaleFormat = fp32_scale>
struct activation {
  static_assert(Bits >= 2 && Bits <= 8,
                "quant::activation: activations take 2 to 8 bits; leave the part out for A16");
  static_assert(std::same_as<Granularity, per_token> || detail::is_group<Granularity>,
                "quant::activation: activations are quantized per_token or in a quant::group");
  static_assert(Symmetry::zeros != zero_points::near_middle,
                "quant::activation: the grids of activations are asymmetric or symmetric");
  static constexpr int bits = Bits;
  static constexpr bool symmetric = Symmetry::zeros == zero_points::middle;
  /// Whether a token has many grids, not one.
  static constexpr bool grouped = detail::is_group<Granularity>;
  static_assert(!grouped || symmetric, "quant::activation: groups of activations are symmetric");
  static_assert(grouped || std::same_as<ScaleFormat, fp32_scale>,
                "quant::activation: the scales of tokens are fp32_scale; other formats go with a quant::group");
  using scale_format = ScaleFormat;
  /// Whether the sum of a group is stored beside its scale, rounded on its own: what minima of weights multiply.
  static constexpr bool stores_sums = std::same_as<ScaleFormat, fp16_scale_and_sum>;

  [[nodiscard]] static constexpr std::size_t group_size(std::size_t in) noexcept {
    return Granularity::group_size(in);
  }
  /// Grids in one row of `in` activations.
  [[nodiscard]] static constexpr std::size_t groups(std::size_t in) noexcept {
    return in == 0 ? 0 : (in + group_size(in) - 1) / group_size(in);
  }
};

/// Queries, keys and values of `Bits` bits, quantized per token and head after the position encoding.
template <int Bits>
struct attention {
  static_assert(Bits >= 2 && Bits <= 8, "quant::attention: queries, keys and values take 2 to 8 bits");
  static constexpr int bits = Bits;
};

/// The inputs of linear layers are shifted before they are scaled and quantized, by a δ for each channel that their
/// biases take back (eq. 4): what lies to one side of zero then takes the whole grid. Costs each pass a product of δ
/// and the weights that still train.
struct shift {};

namespace detail {

template <class T>
struct is_weight : std::false_type {};
template <int B, class... P>
struct is_weight<weight<B, P...>> : std::true_type {};
template <class T>
struct is_activation : std::false_type {};
template <int B, class... P>
struct is_activation<activation<B, P...>> : std::true_type {};
template <class T>
struct is_attention : std::false_type {};
template <int B>
struct is_attention<attention<B>> : std::true_type {};

template <class T>
struct is_shift : std::is_same<T, shift> {};

/// Whether activations are quantized, and in groups, not tokens. `Activation` is void where they are not quantized.
template <class Activation>
inline constexpr bool is_grouped = false;
template <class Activation>
  requires Activation::grouped
inline constexpr bool is_grouped<Activation> = true;
/// Whether what is added to each output for the minima of weights is a product with the stored sums of inputs.
template <class Activation>
inline constexpr bool stores_sums = false;
template <class Activation>
  requires Activation::stores_sums
inline constexpr bool stores_sums<Activation> = true;

/// Whether groups of weights consist of whole groups of activations, or the other way round.
/// Activations that store sums have one for each group of weights or several.
template <class Weight, class Activation>
[[nodiscard]] consteval bool groups_nest() {
  if constexpr (is_grouped<Activation>) {
    constexpr std::size_t row = std::size_t{1} << 40, weights = Weight::group_size(row),
                          inputs = Activation::group_size(row);
    return weights == row || weights % inputs == 0 || (inputs % weights == 0 && !stores_sums<Activation>);
  }
  return true;
}

template <template <class> class Is, class... Parts>
inline constexpr int count = (0 + ... + int{Is<Parts>::value});

template <template <class> class Is, class... Parts>
struct find {
  using type = void;
};
template <template <class> class Is, class First, class... Rest>
struct find<Is, First, Rest...> {
  using type = typename std::conditional_t<Is<First>::value, std::type_identity<First>, find<Is, Rest...>>::type;
};

}  // namespace detail

/// What is quantized, and how: one `weight`, at most one `activation`, at most one `attention`, and `shift` or not,
/// in any order.
///   using w4a4      = scheme<weight<4, per_channel, asymmetric>, activation<4, per_token>>;
///   using w2a16g128 = scheme<weight<2, group<128>, asymmetric>>;
template <class... Parts>
struct scheme {
  static_assert(((detail::is_weight<Parts>::value || detail::is_activation<Parts>::value ||
                  detail::is_attention<Parts>::value || detail::is_shift<Parts>::value) &&
                 ...),
                "quant::scheme: a scheme is made of quant::weight, quant::activation, quant::attention and "
                "quant::shift only");
  static_assert(
      detail::count<detail::is_weight, Parts...> == 1,
      "quant::scheme: name exactly one quant::weight; a model without quantized weights uses full_precision");
  static_assert(detail::count<detail::is_activation, Parts...> <= 1,
                "quant::scheme: name at most one quant::activation");
  static_assert(detail::count<detail::is_attention, Parts...> <= 1,
                "quant::scheme: name at most one quant::attention");
  static_assert(detail::count<detail::is_shift, Parts...> == 0 ||
                    (detail::count<detail::is_shift, Parts...> == 1 &&
                     detail::count<detail::is_activation, Parts...> == 1),
                "quant::scheme: quant::shift goes once, and with a quant::activation: inputs in full precision "
                "need none");

  using weight_type = typename detail::find<detail::is_weight, Parts...>::type;
  using activation_type = typename detail::find<detail::is_activation, Parts...>::type;
  using attention_type = typename detail::find<detail::is_attention, Parts...>::type;
  static_assert(detail::groups_nest<weight_type, activation_type>(),
                "quant::scheme: the size of a group of weights must divide that of a group of activations, or be a "
                "multiple of it");
  static_assert(
      !detail::stores_sums<activation_type> || weight_type::has_minima,
      "quant::scheme: activations with fp16_scale_and_sum are for weights quant::with_minimum, which multiply "
      "the sums");
  static_assert(!weight_type::has_minima || std::is_void_v<activation_type> || detail::is_grouped<activation_type>,
                "quant::scheme: weights quant::with_minimum go with activations in a quant::group, or in full "
                "precision");
  static_assert(detail::count<detail::is_shift, Parts...> == 0 || !detail::is_grouped<activation_type>,
                "quant::scheme: quant::shift is for activations per_token; groups of activations are symmetric");

  static constexpr bool quantizes_weights = true;
  static constexpr bool quantizes_activations = !std::is_void_v<activation_type>;
  static constexpr bool quantizes_attention = !std::is_void_v<attention_type>;
  /// Inputs of linear layers are smoothed: scaled by 1 / s. What is quantized in groups does without.
  static constexpr bool smooths_inputs = quantizes_activations && !detail::is_grouped<activation_type>;
  /// And shifted by −δ.
  static constexpr bool shifts_inputs = detail::count<detail::is_shift, Parts...> == 1;
};

/// Nothing is quantized: the model as it was trained, and the teacher of the quantized one.
struct full_precision {
  static constexpr bool quantizes_weights = false;
  static constexpr bool quantizes_activations = false;
  static constexpr bool quantizes_attention = false;
  static constexpr bool smooths_inputs = false;
  static constexpr bool shifts_inputs = false;
};

}  // namespace zoqat::quant
