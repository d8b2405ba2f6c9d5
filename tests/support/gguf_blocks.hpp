// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/gguf/tensor_type.hpp>

#include <cmath>
#include <cstdint>
#include <vector>

// Decoders of the tests' own for the block formats of GGUF, byte by byte as the formats are described, in the order
// in which the elements of a super-block are made: none of the library's layouts or accessors.

namespace zoqat::testing {

namespace gguf_blocks {

using bytes = const std::uint8_t*;

inline float half(bytes p) {  // by its definition
  const unsigned bits = unsigned{p[0]} | unsigned{p[1]} << 8, exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == 0) return static_cast<float>(sign * std::ldexp(mantissa, -24));
  return static_cast<float>(sign * std::ldexp(1024 + mantissa, static_cast<int>(exponent) - 25));
}

inline void own_q8_0(bytes p, std::vector<float>& y) {
  for (int j = 0; j < 32; ++j) y.push_back(static_cast<float>(static_cast<std::int8_t>(p[2 + j])) * half(p));
}
inline void own_q4(bytes p, bool minimum, std::vector<float>& y) {
  const float d = half(p), m = minimum ? half(p + 2) : 0;
  p += minimum ? 4 : 2;
  for (int upper = 0; upper < 2; ++upper)
    for (int j = 0; j < 16; ++j) {
      const int q = upper ? p[j] / 16 : p[j] % 16;
      y.push_back(minimum ? static_cast<float>(q) * d + m : static_cast<float>(q - 8) * d);
    }
}
inline void own_q5(bytes p, bool minimum, std::vector<float>& y) {
  const float d = half(p), m = minimum ? half(p + 2) : 0;
  p += minimum ? 4 : 2;
  const std::uint32_t high =
      std::uint32_t{p[0]} | std::uint32_t{p[1]} << 8 | std::uint32_t{p[2]} << 16 | std::uint32_t{p[3]} << 24;
  for (int i = 0; i < 32; ++i) {
    const int low = i < 16 ? p[4 + i] % 16 : p[4 + i - 16] / 16;
    const int q = low + (high >> i & 1 ? 16 : 0);
    y.push_back(minimum ? static_cast<float>(q) * d + m : static_cast<float>(q - 16) * d);
  }
}
inline void own_q2_0(bytes p, std::vector<float>& y) {
  for (int byte = 0; byte < 16; ++byte)
    for (int shift = 0; shift < 8; shift += 2)
      y.push_back(static_cast<float>((p[2 + byte] >> shift & 3) - 1) * half(p));
}
inline void own_q2_k(bytes p, std::vector<float>& y) {
  const float d = half(p + 80), dmin = half(p + 82);
  int sub = 0;
  for (bytes q = p + 16; q != p + 80; q += 32)
    for (int shift = 0; shift < 8; shift += 2)
      for (int part = 0; part < 32; part += 16, ++sub)
        for (int l = part; l < part + 16; ++l)
          y.push_back(d * static_cast<float>(p[sub] % 16) * static_cast<float>(q[l] >> shift & 3) -
                      dmin * static_cast<float>(p[sub] / 16));
}
inline void own_q3_k(bytes p, std::vector<float>& y) {
  int scale[16];
  for (int i = 0; i < 4; ++i) {  // four at a time, as the words of the 12 bytes hold them
    const int a = p[96 + i], b = p[100 + i], c = p[104 + i];
    scale[i] = (a & 15) | (c & 3) << 4;
    scale[4 + i] = (b & 15) | (c >> 2 & 3) << 4;
    scale[8 + i] = a >> 4 | (c >> 4 & 3) << 4;
    scale[12 + i] = b >> 4 | (c >> 6 & 3) << 4;
  }
  const float d = half(p + 108);
  int sub = 0, mask = 1;
  for (bytes q = p + 32; q != p + 96; q += 32)
    for (int shift = 0; shift < 8; shift += 2, mask *= 2)
      for (int part = 0; part < 32; part += 16, ++sub)
        for (int l = part; l < part + 16; ++l) {
          const int code = (q[l] >> shift & 3) - (p[l] & mask ? 0 : 4);
          y.push_back(d * static_cast<float>(scale[sub] - 32) * static_cast<float>(code));
        }
}
inline void scale_and_minimum(int j, bytes q, int& scale, int& minimum) {
  if (j < 4) {
    scale = q[j] & 63, minimum = q[j + 4] & 63;
  } else {
    scale = (q[j + 4] & 15) | q[j - 4] >> 6 << 4;
    minimum = q[j + 4] >> 4 | q[j] >> 6 << 4;
  }
}
inline void own_q45_k(bytes p, bool five, std::vector<float>& y) {
  const float d = half(p), dmin = half(p + 2);
  bytes high = p + 16, q = five ? p + 48 : p + 16;
  int mask = 1;
  for (int sub = 0; sub < 8; ++sub, mask *= 2) {
    int scale = 0, minimum = 0;
    scale_and_minimum(sub, p + 4, scale, minimum);
    for (int l = 0; l < 32; ++l) {
      int code = sub % 2 ? q[l] >> 4 : q[l] & 15;
      if (five && (high[l] & mask)) code += 16;
      y.push_back(d * static_cast<float>(scale) * static_cast<float>(code) - dmin * static_cast<float>(minimum));
    }
    if (sub % 2) q += 32;
  }
}
inline void own_q6_k(bytes p, std::vector<float>& y) {
  const float d = half(p + 208);
  for (int n = 0; n < 2; ++n) {
    bytes low = p + 64 * n, high = p + 128 + 32 * n;
    float part[128];
    for (int l = 0; l < 32; ++l) {
      const int q[4] = {(low[l] & 15) | (high[l] & 3) << 4, (low[l + 32] & 15) | (high[l] >> 2 & 3) << 4,
                        low[l] >> 4 | (high[l] >> 4 & 3) << 4, low[l + 32] >> 4 | high[l] >> 6 << 4};
      for (int k = 0; k < 4; ++k) {
        const auto scale = static_cast<std::int8_t>(p[192 + 8 * n + l / 16 + 2 * k]);
        part[l + 32 * k] = d * static_cast<float>(scale) * static_cast<float>(q[k] - 32);
      }
    }
    y.insert(y.end(), part, part + 128);
  }
}

}  // namespace gguf_blocks

/// Appends the values of the block that lies at `p`.
inline void append_values(io::gguf::tensor_type type, const std::uint8_t* p, std::vector<float>& y) {
  switch (type) {
    case io::gguf::tensor_type::q8_0:
      return gguf_blocks::own_q8_0(p, y);
    case io::gguf::tensor_type::q4_0:
      return gguf_blocks::own_q4(p, false, y);
    case io::gguf::tensor_type::q4_1:
      return gguf_blocks::own_q4(p, true, y);
    case io::gguf::tensor_type::q5_0:
      return gguf_blocks::own_q5(p, false, y);
    case io::gguf::tensor_type::q5_1:
      return gguf_blocks::own_q5(p, true, y);
    case io::gguf::tensor_type::q2_0:
      return gguf_blocks::own_q2_0(p, y);
    case io::gguf::tensor_type::q2_k:
      return gguf_blocks::own_q2_k(p, y);
    case io::gguf::tensor_type::q3_k:
      return gguf_blocks::own_q3_k(p, y);
    case io::gguf::tensor_type::q4_k:
      return gguf_blocks::own_q45_k(p, false, y);
    case io::gguf::tensor_type::q5_k:
      return gguf_blocks::own_q45_k(p, true, y);
    default:
      return gguf_blocks::own_q6_k(p, y);
  }
}

}  // namespace zoqat::testing
