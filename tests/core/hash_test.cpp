// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/hash.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string_view>
#include <vector>

using namespace zoqat;

namespace {

std::uint64_t hash_of(std::string_view text) { return hash_bytes(std::as_bytes(std::span(text))); }

// 0, 1, 2, ...
std::vector<std::byte> counting(std::size_t n) {
  std::vector<std::byte> bytes(n);
  for (std::size_t i = 0; i != n; ++i) bytes[i] = static_cast<std::byte>(i);
  return bytes;
}

}  // namespace

TEST_CASE("the golden hashes hold") {
  // Computed by a second implementation, in another language. A change here orphans every file that stores a hash.
  CHECK(hash_of("") == 0xf8bb92ce26585846u);
  CHECK(hash_of("zoqat") == 0x81b5b6c290c67a5au);
  CHECK(hash_bytes(counting(40)) == 0xa6451cb856061b2au);
  const std::string_view abc = "abc";
  CHECK(hash_bytes(std::as_bytes(std::span(abc)), 5) == 0xe8cf53c140f57747u);
}

TEST_CASE("every bit counts, at every place of every length") {
  for (std::size_t n = 0; n != 34; ++n) {
    auto bytes = counting(n);
    const std::uint64_t original = hash_bytes(bytes);
    for (std::byte& byte : bytes)
      for (unsigned bit = 0; bit != 8; ++bit) {
        byte ^= std::byte{1} << bit;
        REQUIRE(hash_bytes(bytes) != original);
        byte ^= std::byte{1} << bit;
      }
    REQUIRE(hash_bytes(bytes) == original);
  }
}

TEST_CASE("the length counts, where all bytes are zero and where nothing is read beyond the end") {
  std::set<std::uint64_t> seen;
  for (std::size_t n = 0; n != 100; ++n) seen.insert(hash_bytes(std::vector<std::byte>(n)));
  CHECK(seen.size() == 100);
}

TEST_CASE("the order of words counts, and so does where chained calls are cut") {
  CHECK(hash_of("12345678abcdefgh") != hash_of("abcdefgh12345678"));
  const auto bytes = counting(32);
  const std::span<const std::byte> all(bytes);
  std::set<std::uint64_t> seen{hash_bytes(all)};
  for (std::size_t cut = 0; cut <= all.size(); ++cut)
    seen.insert(hash_bytes(all.subspan(cut), hash_bytes(all.first(cut))));
  CHECK(seen.size() == all.size() + 2);
}

TEST_CASE("bytes need no alignment") {
  const auto bytes = counting(41);
  const std::span<const std::byte> all(bytes);
  std::vector<std::byte> shifted(1);
  shifted.insert(shifted.end(), bytes.begin(), bytes.end());
  CHECK(hash_bytes(std::span<const std::byte>(shifted).subspan(1)) == hash_bytes(all));
}
