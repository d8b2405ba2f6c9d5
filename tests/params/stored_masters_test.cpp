// SPDX-License-Identifier: Apache-2.0
#include <zoqat/params/stored_masters.hpp>

#include <doctest/doctest.h>
#include <zoqat/core/aligned.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <vector>

using namespace zoqat;

namespace {

/// Numbered bytes, in which a tensor of 3 rows of 4 elements lies, rows 6 apart or joined.
struct memory {
  alignas(alignment) std::byte bytes[18 * 4];

  memory() {
    for (std::size_t i = 0; i != sizeof bytes; ++i) bytes[i] = static_cast<std::byte>(i);
  }
  template <class T>
  std::span<T> of(std::size_t n) {
    return {reinterpret_cast<T*>(bytes), n};
  }
};

std::vector<parameter> all_formats(memory& m, bool apart) {
  const std::size_t n = apart ? 2 * 6 + 4 : 12, cols = apart ? 4 : 0, stride = apart ? 6 : 0;
  std::vector<parameter> tensors(4);
  if (apart)
    tensors[0].compact.floats = m.of<float>(n);
  else
    tensors[0].values = m.of<float>(n);
  tensors[1].compact.halves = m.of<bf16>(n);
  tensors[2].compact.codes = m.of<std::uint8_t>(n);
  tensors[3].compact.fp16s = m.of<fp16>(n);
  for (parameter& p : tensors) p.compact.cols = cols, p.compact.stride = stride;
  return tensors;
}

}  // namespace

TEST_CASE("the masters of every format are copied away and back, and nothing between their rows") {
  constexpr std::size_t sizes[] = {4, 2, 1, 2};
  for (const bool apart : {false, true}) {
    memory m;
    const memory before = m;
    const auto tensors = all_formats(m, apart);
    for (std::size_t i = 0; i != tensors.size(); ++i) {
      const parameter& p = tensors[i];
      REQUIRE(p.size() == 12);
      CHECK(stored_bytes(p) == 12 * sizes[i]);
      std::vector<std::byte> seen;
      for_each_stored_run(p,
                          [&](std::span<const std::byte> run) { seen.insert(seen.end(), run.begin(), run.end()); });
      REQUIRE(seen.size() == 12 * sizes[i]);
      for (std::size_t row = 0; row != 3; ++row)
        CHECK(seen[row * 4 * sizes[i]] == before.bytes[row * (apart ? 6 : 4) * sizes[i]]);

      buffer<std::byte> room(stored_bytes(p));
      const parameter copy = stored_in(p, room.data());
      REQUIRE(copy.size() == 12);
      copy_masters(p, copy, 0, p.size());
      CHECK(std::ranges::equal(room, seen));
      for_each_stored_run(p, [&](std::span<const std::byte> run) {
        std::memset(const_cast<std::byte*>(run.data()), 0xff, run.size());
      });
      CHECK(std::memcmp(m.bytes, before.bytes, sizeof m.bytes) != 0);
      copy_masters(copy, p, 0, p.size());
      CHECK(std::memcmp(m.bytes, before.bytes, sizeof m.bytes) == 0);
    }
  }
}
