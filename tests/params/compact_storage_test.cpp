// SPDX-License-Identifier: Apache-2.0
#include <zoqat/params/compact_storage.hpp>

#include <doctest/doctest.h>
#include <zoqat/random/stream.hpp>

#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <vector>

using namespace zoqat;
using namespace zoqat::simd;

namespace {

std::vector<float> read(compact_storage& storage) {
  std::vector<float> out(storage.view().size());
  read_masters<default_kernels>({.compact = storage.view()}, 0, out.size(), out.data());
  return out;
}

}  // namespace

TEST_CASE("nothing is stored of nothing") {
  compact_storage none;
  CHECK(none.empty());
  CHECK(none.bytes() == 0);
  CHECK(none.format() == master_format::fp32);
  CHECK(none.view().size() == 0);
  CHECK(compact_storage(master_format::int8, {}).empty());
}

TEST_CASE("bf16 takes 16 bits an element and is the nearest") {
  const std::vector<float> values{0.0f, -0.0f, 1.0f, 0.333f, -1e-30f, 1.00390625f};
  compact_storage storage(master_format::bf16, values);
  CHECK(storage.format() == master_format::bf16);
  CHECK(storage.bytes() == 2 * values.size());
  const auto held = read(storage);
  for (std::size_t i = 0; i != values.size(); ++i) CHECK(held[i] == static_cast<float>(bf16(values[i])));
}

TEST_CASE("fp16 takes 16 bits an element, is the nearest, and saturates") {
  const std::vector<float> values{0.0f, -0.0f, 1.0f, 0.333f, -1e-7f, 1e9f};
  compact_storage storage(master_format::fp16, values);
  CHECK(storage.format() == master_format::fp16);
  CHECK(storage.bytes() == 2 * values.size());
  CHECK_FALSE(storage.empty());
  const auto held = read(storage);
  for (std::size_t i = 0; i + 1 != values.size(); ++i) CHECK(held[i] == static_cast<float>(fp16(values[i])));
  CHECK(held.back() == 65504.0f);
}

TEST_CASE("int8 takes a byte an element and two a block, and is within half a step") {
  rng::engine draw({.seed = 5, .use = rng::purpose::data});
  for (const std::size_t n : std::initializer_list<std::size_t>{1, 127, 128, 129, 1000}) {
    std::vector<float> values(n);
    for (std::size_t i = 0; i != n; ++i)
      values[i] = (2 * draw.uniform() - 1) * (i / compact_masters::block % 2 ? 1.0f : 0.01f);
    compact_storage storage(master_format::int8, values);
    CHECK(storage.format() == master_format::int8);
    CHECK(storage.bytes() == n + 2 * ((n + 127) / 128));
    const auto held = read(storage);
    for (std::size_t i = 0; i != n; ++i) {
      const float scale = static_cast<float>(storage.view().scales[i / compact_masters::block]);
      CHECK(std::abs(held[i] - values[i]) <= 0.5001f * scale);
      CHECK(std::abs(values[i]) <= 114 * scale);  // an eighth of the codes is left to either side
    }
  }
}

TEST_CASE("a block of zeros can move, and a tensor of zeros is one") {
  std::vector<float> values(256, 0.0f);
  values[200] = 2.56f;
  compact_storage mixed(master_format::int8, values);
  CHECK(static_cast<float>(mixed.view().scales[0]) == doctest::Approx(0.01 * 1.125 / 127).epsilon(1e-2));
  for (std::size_t i = 0; i != 128; ++i) CHECK(read(mixed)[i] == 0.0f);
  compact_storage zeros(master_format::int8, std::vector<float>(256, 0.0f));
  for (const float x : read(zeros)) CHECK(x == 0.0f);
}

TEST_CASE("numbers too large or not finite keep the scale a normal number") {
  const std::vector<float> values{std::numeric_limits<float>::infinity(), 1.0f, -std::numeric_limits<float>::max()};
  compact_storage storage(master_format::int8, values);
  CHECK(std::isnormal(static_cast<float>(storage.view().scales[0])));
  CHECK(std::isfinite(read(storage)[0]));
}
