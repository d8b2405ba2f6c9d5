// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/zo/direction.hpp>
#include <zoqat/zo/directions/element_words.hpp>

#include <cstddef>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::zo {

/// u uniform on [−√3, √3]ᵈ, in 2²⁴ steps. Kurtosis 9/5: E‖ĝ‖² = (d + 4/5)‖g‖² for one direction on a linear loss,
/// between Rademacher and Gaussian directions; no element is further from the masters than 1.74 ε.
struct uniform {
  static constexpr const char* name() noexcept { return "uniform"; }
  template <class Kernels>
  static void fill(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
    // Odd integers in (−2²⁴, 2²⁴): exact in a float, and symmetric. Their variance is (1 − 2⁻⁴⁸) 2⁴⁸ / 3.
    constexpr std::int32_t center = (1 << 24) - 1;
    constexpr float scale = 1.7320508075688772f * 0x1p-24f;
    detail::for_each_element_words<Kernels>(
        s, first, n, [out](std::size_t at, std::size_t count, const std::uint32_t* words) {
          for (std::size_t i = 0; i != count; ++i)
            out[at + i] = static_cast<float>(static_cast<std::int32_t>(words[i] >> 8) * 2 - center) * scale;
        });
  }
};

static_assert(elementwise_distribution<uniform>);

}  // namespace zoqat::zo
