// SPDX-License-Identifier: Apache-2.0
#include <zoqat/quant/scheme.hpp>

#include <doctest/doctest.h>
#include <zoqat/simd/packing.hpp>

#include <cstddef>
#include <type_traits>

using namespace zoqat;
using namespace zoqat::quant;

namespace {

using w = weight<4, group<32>, symmetric, clip::range, fp16_scale>;
using a = activation<8, per_token, symmetric>;
using blocks = activation<8, group<32>, symmetric, fp16_scale>;
using qkv = attention<6>;

template <class Scheme>
constexpr bool has_all_parts =
    std::is_same_v<typename Scheme::weight_type, w> && std::is_same_v<typename Scheme::activation_type, a> &&
    std::is_same_v<typename Scheme::attention_type, qkv>;

}  // namespace

// --- Parts of a scheme ---------------------------------------------------------------------------------------------

static_assert(has_all_parts<scheme<w, a, qkv>> && has_all_parts<scheme<w, qkv, a>>);
static_assert(has_all_parts<scheme<a, w, qkv>> && has_all_parts<scheme<a, qkv, w>>);
static_assert(has_all_parts<scheme<qkv, w, a>> && has_all_parts<scheme<qkv, a, w>>);

static_assert(std::is_same_v<scheme<a, w>::weight_type, w> && std::is_void_v<scheme<a, w>::attention_type>);
static_assert(std::is_void_v<scheme<w>::activation_type> && std::is_same_v<scheme<qkv, w>::attention_type, qkv>);

static_assert(scheme<w>::quantizes_weights && !scheme<w>::quantizes_activations && !scheme<w>::quantizes_attention);
static_assert(scheme<a, w>::quantizes_activations && !scheme<a, w>::quantizes_attention);
static_assert(!scheme<qkv, w>::quantizes_activations && scheme<qkv, w>::quantizes_attention);
static_assert(scheme<a, w>::smooths_inputs && !scheme<a, w>::shifts_inputs && !scheme<w>::smooths_inputs);
static_assert(scheme<blocks, w>::quantizes_activations && !scheme<blocks, w>::smooths_inputs);
static_assert(scheme<a, w, shift>::shifts_inputs && scheme<shift, w, a>::smooths_inputs);
static_assert(!full_precision::smooths_inputs && !full_precision::shifts_inputs);
static_assert(!full_precision::quantizes_weights && !full_precision::quantizes_activations &&
              !full_precision::quantizes_attention);

// --- What a part says ----------------------------------------------------------------------------------------------

static_assert(w::bits == 4 && w::symmetric && !w::whole_tensor);
static_assert(std::is_same_v<w::clipping, clip::range> && std::is_same_v<w::scale_type, fp16>);
static_assert(
    std::is_same_v<w::with_clipping<clip::codes>, weight<4, group<32>, symmetric, clip::codes, fp16_scale>>);
static_assert(std::is_same_v<weight<2>, weight<2, per_channel, asymmetric, clip::none, fp32_scale>>);
static_assert(!a::grouped && a::group_size(70) == 70 && a::groups(70) == 1 && a::groups(0) == 0);
static_assert(blocks::grouped && blocks::group_size(70) == 32 && blocks::group_size(20) == 20 &&
              blocks::groups(70) == 3 && !blocks::stores_sums);
static_assert(activation<8, group<32>, symmetric, fp16_scale_and_sum>::stores_sums);
static_assert(weight<4, group<32>, with_minimum, clip::none, fp16_scale>::has_minima && !w::has_minima);
static_assert(a::bits == 8 && a::symmetric && !activation<4>::symmetric && qkv::bits == 6);

// --- Packed sizes: nothing but the bits, in whole blocks of 32 codes of 16 rows ------------------------------------

static_assert(simd::packed_panel_size(2, 128) == 16 * 32 && simd::packed_panel_size(3, 128) == 16 * 48 &&
              simd::packed_panel_size(4, 128) == 16 * 64);
static_assert(simd::packed_panel_size(5, 128) == 16 * 80 && simd::packed_panel_size(6, 128) == 16 * 96 &&
              simd::packed_panel_size(7, 128) == 16 * 112);
static_assert(simd::packed_panel_size(8, 128) == 16 * 128 && simd::packed_panel_size(4, 0) == 0);
static_assert(simd::packed_panel_size(2, 1) == 16 * 8 && simd::packed_panel_size(3, 33) == 16 * 24);

TEST_CASE("groups cut a row of any length") {
  for (const std::size_t in : {0u, 1u, 2u, 3u, 31u, 32u, 33u, 128u, 172u}) {
    CAPTURE(in);
    CHECK(weight<4, per_channel>::groups(in) == (in == 0 ? 0 : 1));
    CHECK(weight<4, per_tensor>::groups(in) == (in == 0 ? 0 : 1));
    CHECK(weight<4, group<1>>::groups(in) == in);
    CHECK(weight<4, group<3>>::groups(in) == (in + 2) / 3);
    CHECK(weight<4, group<128>>::groups(in) == (in + 127) / 128);
    CHECK(weight<4, group<32>>::group_size(in) == (in < 32 ? in : 32));
    CHECK(weight<4, per_channel>::group_size(in) == in);
  }
  CHECK(weight<4, per_tensor>::whole_tensor);
  CHECK(!weight<4, per_channel>::whole_tensor);
}
