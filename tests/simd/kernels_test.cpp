// SPDX-License-Identifier: Apache-2.0
#include <zoqat/simd/kernels.hpp>

#include <zoqat/simd/simd.hpp>

#include <simd/backends.hpp>

#include <cstring>
#include <string>
#include <type_traits>

using namespace zoqat;
using namespace zoqat::simd;
using namespace zoqat::simd::testing;

static_assert(kernels<reference> && kernels<highway_kernels> && kernels<xsimd_kernels> && kernels<default_kernels>);
static_assert(!kernels<int>);

namespace {

// One function too few, and one that may throw, make no kernels.
struct without_relu : reference {
  static void relu() noexcept;
};
struct with_throwing_dot : reference {
  static float dot(const float*, const float*, std::size_t);
};
static_assert(!kernels<without_relu> && !kernels<with_throwing_dot>);

}  // namespace

static_assert(float_panel_size(0) == 0 && float_panel_size(5) == 80);
static_assert(code_panel_size(0) == 0 && code_panel_size(1) == 64 && code_panel_size(4) == 64 &&
              code_panel_size(5) == 128);
static_assert(packed_panel_size(4, 0) == 0 && packed_panel_size(4, 1) == 256 && packed_panel_size(4, 32) == 256 &&
              packed_panel_size(3, 33) == 384);
static_assert(panel_offset(2, 3) == 3 && panel_offset(7, 0) == 0 && panel_offset(8, 0) == 128);

TEST_CASE_TEMPLATE("a backend says what it is", K, reference, ZOQAT_BACKENDS) {
  CHECK(std::strlen(K::name()) > 0);
  CHECK(std::strlen(K::target()) > 0);
  MESSAGE(std::string(K::name()) << " on " << std::string(K::target()));
}

TEST_CASE("an asymmetric grid covers the range and holds zero") {
  for (int bits = 2; bits <= 8; ++bits) {
    auto draw = generator(1);
    for (int i = 0; i != 1000; ++i) {
      const range r{-draw.uniform() * static_cast<float>(i % 7), draw.uniform() * static_cast<float>(i % 5)};
      const grid g = grid_of(r, bits, false);
      const int top = (1 << bits) - 1;
      CHECK(g.zero_point >= 0);
      CHECK(g.zero_point <= top);
      // Both ends are within half a step of a code (and the rounding of the zero point moves them by as much).
      CHECK(g.scale * static_cast<float>(-g.zero_point) <= r.min + 0.501f * g.scale);
      CHECK(g.scale * static_cast<float>(top - g.zero_point) >= r.max - 0.501f * g.scale);
    }
  }
  CHECK(grid_of({0, 15}, 4, false) == grid{1, 0});
  CHECK(grid_of({-15, 0}, 4, false) == grid{1, 15});
  CHECK(grid_of({-7.5f, 7.5f}, 4, false) == grid{1, 8});  // 7.5 rounds to even
}

TEST_CASE("a symmetric grid covers both sides") {
  CHECK(grid_of({-8, 7}, 4, true) == grid{1, 8});
  CHECK(grid_of({-1, 7}, 4, true) == grid{1, 8});
  CHECK(grid_of({-8, 1}, 4, true) == grid{1, 8});
  CHECK(grid_of({-3, 2}, 1, true) == grid{3, 1});
}

TEST_CASE("a grid is normal whatever the range") {
  constexpr float huge = std::numeric_limits<float>::max(), tiny = std::numeric_limits<float>::denorm_min();
  for (const range r : {range{0, 0}, range{-tiny, tiny}, range{-huge, huge}, range{-huge, 0}, range{0, huge},
                        range{-infinity, infinity}, range{-infinity, 0}, range{0, infinity}, range{-1, infinity}})
    for (int bits = 1; bits <= 8; ++bits)
      for (const bool symmetric : {false, true}) {
        const grid g = grid_of(r, bits, symmetric);
        CHECK(std::isnormal(g.scale));
        CHECK(std::isnormal(1 / g.scale));
        CHECK(g.zero_point >= 0);
        CHECK(g.zero_point <= (1 << bits) - (symmetric ? 0 : 1));
      }
  CHECK(grid_of({0, 0}, 4, false) == grid{minimum_scale, 0});
}

TEST_CASE_TEMPLATE("directions are those of the reference, bit for bit", K, ZOQAT_BACKENDS) {
  const rng::stream s{.seed = 3, .step = 5, .index = 1, .tensor = 7};
  for (const std::size_t n : sizes)
    for (const std::uint64_t first : {0u, 1u, 13u, 64u, 1000003u}) {
      std::vector<float> expected(n);
      guarded<float> out(n);
      reference::gaussian(s, first, expected.data(), n);
      K::gaussian(s, first, out.data(), n);
      CHECK(out.content() == expected);
      CHECK(out.intact());
      reference::gaussian_ars(s, first, expected.data(), n);
      K::gaussian_ars(s, first, out.data(), n);
      CHECK(out.content() == expected);
      CHECK(out.intact());
      reference::rademacher(s, first, expected.data(), n);
      K::rademacher(s, first, out.data(), n);
      CHECK(out.content() == expected);
      CHECK(out.intact());

      const auto x = floats(n, 2), u = floats(n, 3, 2);
      guarded<float> in_place(x);
      reference::add_scaled(x.data(), u.data(), 0.3f, expected.data(), n);
      K::add_scaled(x.data(), u.data(), 0.3f, out.data(), n);
      K::add_scaled(in_place.data(), u.data(), 0.3f, in_place.data(), n);
      CHECK(out.content() == expected);
      CHECK(in_place.content() == expected);
      CHECK(out.intact());
      CHECK(in_place.intact());
    }
}
