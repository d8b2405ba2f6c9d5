// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/encode.hpp>

#include <zoqat/io/gguf/decode.hpp>
#include <zoqat/quant/packed_matrix.hpp>
#include <zoqat/quant/scheme_registry.hpp>

#include <doctest/doctest.h>
#include <support/gguf_blocks.hpp>

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string_view>
#include <tuple>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
namespace gguf = zoqat::io::gguf;

namespace {

template <quant::fixed_string Name>
using weight_of = typename quant::standard_schemes::scheme_of<Name>::weight_type;

// Calls f.operator()<Weight, B>() for each scheme whose values are a block's.
template <class F>
void for_each_format(F&& f) {
  f.template operator()<weight_of<"q8_0">, gguf::q8_0_block>();
  f.template operator()<weight_of<"q5_0">, gguf::q5_0_block>();
  f.template operator()<weight_of<"q5_1">, gguf::q5_1_block>();
  f.template operator()<weight_of<"q4_0">, gguf::q4_0_block>();
  f.template operator()<weight_of<"q4_1">, gguf::q4_1_block>();
  f.template operator()<weight_of<"q2_0">, gguf::q2_0_block>();
  f.template operator()<weight_of<"q6_k">, gguf::q6_k_block>();
  f.template operator()<weight_of<"q3_k">, gguf::q3_k_block>();
  f.template operator()<weight_of<"q2_k">, gguf::q2_k_block>();
  f.template operator()<weight_of<"q4_k">, gguf::q4_k_block>();
  f.template operator()<weight_of<"q5_k">, gguf::q5_k_block>();
}

static_assert(gguf::type_of<weight_of<"q4_0">>() == gguf::tensor_type::q4_0);
static_assert(gguf::type_of<weight_of<"q5_1">>() == gguf::tensor_type::q5_1);
static_assert(gguf::type_of<weight_of<"q2_0">>() == gguf::tensor_type::q2_0);
static_assert(gguf::type_of<weight_of<"q3_k">>() == gguf::tensor_type::q3_k);
static_assert(gguf::type_of<weight_of<"q2_k">>() == gguf::tensor_type::q2_k);
static_assert(gguf::type_of<weight_of<"q4_k">>() == gguf::tensor_type::q4_k);
static_assert(gguf::type_of<weight_of<"q5_k">>() == gguf::tensor_type::q5_k);
template <quant::fixed_string Name>
constexpr double bits_per_weight = gguf::info_of(*gguf::type_of<weight_of<Name>>()).bits_per_weight();
static_assert(bits_per_weight<"q4_1"> == 5 && bits_per_weight<"q5_1"> == 6 && bits_per_weight<"q2_k"> == 2.625 &&
              bits_per_weight<"q4_k"> == 4.5 && bits_per_weight<"q5_k"> == 5.5);
static_assert(!gguf::type_of<weight_of<"w4a16g32">>());  // scales of fp32, any zero point
static_assert(!gguf::type_of<quant::weight<4, quant::group<32>, quant::asymmetric, quant::clip::codes,
                                           quant::fp16_scale>>());  // any zero point
static_assert(
    !gguf::type_of<quant::weight<4, quant::group<64>, quant::symmetric, quant::clip::codes, quant::fp16_scale>>());

// Rows of any length, with groups that lie to one side of zero, that are all zero and that are tiny.
matrix<float> weights(std::size_t rows, std::size_t cols) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  matrix<float> w(rows, cols);
  for (std::size_t r = 0; r != rows; ++r)
    for (std::size_t c = 0; c != cols; ++c) {
      const float x = normal(random);
      w(r, c) = r % 5 == 1 ? std::abs(x) : r % 5 == 2 ? -std::abs(x) : r % 5 == 3 ? 0.0f : r % 5 == 4 ? 1e-7f * x : x;
    }
  return w;
}

}  // namespace

TEST_CASE("blocks hold the values of a scheme bit for bit, whatever the length of a row") {
  for_each_format([]<class Weight, gguf::block B>() {
    CAPTURE(gguf::info_of(B::type).name);
    for (const std::size_t cols : {1u, 31u, 64u, 172u, 256u, 600u}) {
      const matrix<float> w = weights(17, cols);
      std::vector<float> clipping;
      for (std::size_t r = 0; r != w.rows(); ++r)
        quant::for_each_group<Weight>(cols, [&](std::size_t, std::size_t first, std::size_t count) {
          float p[4];
          const simd::range range = simd::default_kernels::min_max(w.row(r).data() + first, count);
          Weight::clipping::init(range, Weight::bits, Weight::zeros, 0.9f, 0.8f, p);
          clipping.insert(clipping.end(), p, p + 4);
        });
      const auto packed = quant::quantize<Weight>(w, clipping);
      const matrix<float> trained = quant::dequantize(packed);

      const std::size_t blocks = (cols + B::elements - 1) / B::elements + 1;  // one more than it takes
      std::vector<std::byte> bytes(blocks * sizeof(B));
      std::vector<std::uint8_t> codes(cols);
      for (std::size_t r = 0; r != w.rows(); ++r) {
        packed.codes(r, codes.data());
        std::vector<simd::grid> grids;
        for (std::size_t g = 0; g != packed.groups(); ++g) grids.push_back(packed.grid(r, g));
        gguf::encode_row<Weight, B>(codes, grids, bytes);
        std::vector<float> values;
        for (std::size_t b = 0; b != blocks; ++b)
          append_values(B::type, reinterpret_cast<const std::uint8_t*>(bytes.data()) + b * sizeof(B), values);
        for (std::size_t c = 0; c != values.size(); ++c)
          if (c < cols || c / B::group >= grids.size() || !B::has_minima)
            REQUIRE(values[c] == (c < cols ? trained(r, c) : 0.0f));  // −0 = 0
          else  // what a grid with a minimum has nearest to zero
            REQUIRE(std::abs(values[c]) <= std::max(0.51f * grids.back().scale, -grids.back().minimum));
      }
    }
  });
}
