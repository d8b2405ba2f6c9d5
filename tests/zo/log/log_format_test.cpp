// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/log/log_format.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using zoqat::testing::check_mentions;
using zoqat::testing::message_of;
using ending = log_format::content::ending;

namespace {

/// A log of that many steps in memory.
std::vector<std::byte> log_of(std::uint32_t steps, const run_header& header) {
  std::uint64_t chain = 0;
  std::vector<std::byte> bytes = log_format::encode(header, chain);
  for (std::uint32_t step = 0; step != steps; ++step) {
    const planned_update u{.seed = header.seed, .step = step, .half_difference = {float(step), 1}};
    const auto record = log_format::encode(u, chain);
    bytes.insert(bytes.end(), record.begin(), record.end());
  }
  return bytes;
}
const run_header any{
    .seed = 3, .start = 4, .settings = "s", .distribution = "d", .inputs = {{"a", "b=c"}, {"e", ""}}};

}  // namespace

TEST_CASE("a log is read from memory as it was encoded") {
  const auto log = log_format::parse(log_of(5, any), "memory");
  CHECK(log.header == any);
  CHECK(log.end == ending::whole);
  CHECK(log.damage.empty());
  REQUIRE(log.updates.size() == 5);
  CHECK(log.updates[3] == planned_update{.seed = 3, .step = 3, .half_difference = {3, 1}});
  CHECK(log.intact == log_of(5, any).size());
}

TEST_CASE("a torn end is told from damage before whole records") {
  auto bytes = log_of(5, any);
  const std::size_t record = log_format::record_bytes(2);
  auto torn = bytes;
  torn.resize(torn.size() - 1);
  CHECK(log_format::parse(torn, "memory").end == ending::torn);
  check_mentions(log_format::parse(torn, "memory").damage, "after step 3", "no whole record");
  bytes[bytes.size() - 2 * record] ^= std::byte{1};
  CHECK(log_format::parse(bytes, "memory").end == ending::damaged);
  CHECK(log_format::parse(bytes, "memory").intact == bytes.size() - 2 * record);
}

TEST_CASE("bytes that begin like a log, and those that end before a header does") {
  const auto bytes = log_of(0, any);
  for (std::size_t size = 0; size != bytes.size(); ++size) {
    const auto start = std::span(bytes).first(size);
    CHECK(log_format::begins_like_a_log(start));
    CHECK(log_format::ends_within_header(start));
  }
  CHECK_FALSE(log_format::ends_within_header(bytes));
  CHECK_FALSE(log_format::begins_like_a_log(std::span(bytes).subspan(1)));
}

TEST_CASE("of a file that is no log only the start is read, whatever would be the lengths of texts in it") {
  struct counted {
    log_format::bytes_in_memory all;
    std::size_t& most;
    [[nodiscard]] std::size_t size() const { return all.size(); }
    [[nodiscard]] std::span<const std::byte> at(std::size_t first, std::size_t count) const {
      most = std::max(most, all.at(first, count).size());
      return all.at(first, count);
    }
  };
  const std::vector<std::byte> other(100000, std::byte{1});  // texts of 16,843,009 bytes each
  std::size_t most = 0;
  check_mentions(message_of<io_error>([&] {
                   (void)log_format::parse_from(counted{log_format::bytes_in_memory(other), most}, "other");
                 }),
                 "other: not a run log");
  CHECK(most < 200);
}

TEST_CASE("records that overlap cost no more than their bytes") {
  // Eight bytes that say, at each place: a record of 4,000 directions begins here.
  auto bytes = log_of(1, any);
  const std::size_t whole = bytes.size();
  const std::uint32_t claim[2]{4000, 4000};
  bytes.resize(whole + 100'000 * sizeof(claim));
  for (std::size_t at = whole; at != bytes.size(); at += sizeof(claim))
    std::memcpy(bytes.data() + at, claim, sizeof(claim));
  const auto since = std::chrono::steady_clock::now();
  const auto log = log_format::parse(bytes, "memory");
  CHECK(log.intact == whole);
  CHECK(log.end == ending::damaged);  // taken for damage, so that nothing is cut
  CHECK(std::chrono::steady_clock::now() - since < std::chrono::seconds(5));  // the square takes minutes
}
