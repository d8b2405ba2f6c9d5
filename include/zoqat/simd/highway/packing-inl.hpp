// SPDX-License-Identifier: Apache-2.0

// Bit-packed storage (layout: simd/packing.hpp).

#if defined(ZOQAT_SIMD_HIGHWAY_PACKING_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_PACKING_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_PACKING_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_PACKING_INL_HPP
#endif

#include <zoqat/simd/highway/vectors-inl.hpp>
#include <zoqat/simd/packing.hpp>

HWY_BEFORE_NAMESPACE();
namespace zoqat::simd::HWY_NAMESPACE {

struct packing_kernels {
  template <int Bits>
  static void pack(const std::uint8_t* codes, std::size_t n, std::uint8_t* bytes) noexcept {
    pack_row<Bits>(codes, n, bytes,
                   [](const std::uint8_t* from, std::uint8_t* to) HWY_ATTR { pack_one<Bits>(from, to); });
  }
  template <int Bits>
  static void unpack(const std::uint8_t* bytes, std::size_t n, std::uint8_t* codes) noexcept {
    unpack_row<Bits>(bytes, n, codes,
                     [](const std::uint8_t* from, std::uint8_t* to) HWY_ATTR { unpack_one<Bits>(from, to); });
  }

 private:
#if HWY_TARGET == HWY_SCALAR
  template <int Bits>
  static constexpr auto pack_one = pack_block<Bits>;
  template <int Bits>
  static constexpr auto unpack_one = unpack_block<Bits>;
#else
  // A plane of `Width` bits holds its fields at a stride of 4 * Width codes: one vector of that many bytes.
  template <int Width>
  using plane = hn::FixedTag<std::uint8_t, std::size_t{4} * Width>;

  template <int Bits>
  static void pack_one(const std::uint8_t* codes, std::uint8_t* block) noexcept {
    for_each_plane<Bits>([=]<int Width, int Shift, int Offset>() HWY_ATTR {
      constexpr plane<Width> d;
      const auto mask = hn::Set(d, (1 << Width) - 1);
      auto bytes = hn::Zero(d);
      unroll<8 / Width>([&](auto i) ZOQAT_INLINE_LAMBDA {
        const auto field = hn::And(hn::ShiftRight<Shift>(hn::LoadU(d, codes + i * 4 * Width)), mask);
        bytes = hn::Or(bytes, hn::ShiftLeft<static_cast<int>(i) * Width>(field));
      });
      hn::StoreU(bytes, d, block + Offset);
    });
  }

  template <int Bits>
  static void unpack_one(const std::uint8_t* block, std::uint8_t* codes) noexcept {
    for_each_plane<Bits>([=]<int Width, int Shift, int Offset>() HWY_ATTR {
      constexpr plane<Width> d;
      const auto mask = hn::Set(d, (1 << Width) - 1);
      const auto bytes = hn::LoadU(d, block + Offset);
      unroll<8 / Width>([&](auto i) ZOQAT_INLINE_LAMBDA {
        std::uint8_t* const to = codes + i * 4 * Width;
        const auto field = hn::And(hn::ShiftRight<static_cast<int>(i) * Width>(bytes), mask);
        if constexpr (Shift == 0) {
          hn::StoreU(field, d, to);
        } else {
          hn::StoreU(hn::Or(hn::LoadU(d, to), hn::ShiftLeft<Shift>(field)), d, to);
        }
      });
    });
  }
#endif
};

}  // namespace zoqat::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
