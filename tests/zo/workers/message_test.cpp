// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/workers/message.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <zoqat/zo/differences/forward.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::workers;
using zoqat::testing::check_mentions;
using zoqat::testing::message_of;

namespace {

measurement some_measurement() {
  measurement m;
  m.step = 70001;
  m.loss = 1.0 / 3;
  m.loss_stddev = 0.25f;
  m.signal_power = 1e-3f;
  m.total_power = 2e-3f;
  m.half_difference = {0.5f, -0.125f, 3};
  return m;
}

}  // namespace

TEST_CASE("what a step came to arrives bit for bit, with what it lacks") {
  for (const std::vector<std::uint32_t>& absent : {std::vector<std::uint32_t>{}, {1, 5}}) {
    measurement m = some_measurement();
    m.absent = absent;
    const auto bytes = message_format::encode(message_format::outcome(m));
    CHECK(bytes.size() == 24 + 4 * 3 + (absent.empty() ? 0 : 4 + 4 * absent.size()));
    CHECK(message_format::size_of(bytes) == bytes.size());
    const auto again = message_format::decode(bytes);
    REQUIRE(again.has_value());
    CHECK(again->is_of(70001));
    CHECK(!again->is_of(70002));
    measurement read;
    REQUIRE(message_format::take_outcome(*again, 3, read));
    CHECK(read.loss == m.loss);
    CHECK(read.loss_stddev == m.loss_stddev);
    CHECK(read.signal_power == m.signal_power);
    CHECK(read.total_power == m.total_power);
    CHECK(read.half_difference == m.half_difference);
    CHECK(read.absent == m.absent);
    CHECK(!message_format::take_outcome(*again, 2, read));
  }
}

TEST_CASE("a rejected step arrives as one") {
  measurement rejected, read;
  const auto again = message_format::decode(message_format::encode(message_format::outcome(rejected)));
  REQUIRE(again.has_value());
  REQUIRE(message_format::take_outcome(*again, 4, read));
  CHECK(read.rejected());
}

TEST_CASE("bytes that are no message are none, wherever they are cut and whatever they count") {
  const auto whole = message_format::encode(message_format::outcome(some_measurement()));
  for (std::size_t size = 0; size != whole.size(); ++size)
    CHECK(!message_format::decode(std::span(whole).first(size)).has_value());
  auto other = whole;
  other[0] |= std::byte{0xf};  // a kind that there is none of
  CHECK(!message_format::decode(other).has_value());
  message lacks{message::kind::sparse, 0, std::vector<std::byte>(12, std::byte{0xff})};  // of more than there is
  measurement read;
  CHECK(!message_format::take_outcome(lacks, 1, read));
  check_mentions(message_of<value_error>([] {
                   (void)message_format::encode({message::kind::log, 0, std::vector<std::byte>(70000)});
                 }),
                 "70000 bytes", "65535");
}

TEST_CASE("terms tell of every setting that changes losses or updates") {
  const estimator<central, rademacher> e{.directions = 2, .micro_batches = 3, .seed = 4};
  const std::uint64_t terms = terms_of(e, "data");
  CHECK(terms_of(e, "data") == terms);
  CHECK(terms_of(e, "other data") != terms);
  auto other = e;
  other.seed = 5;
  CHECK(terms_of(other, "data") != terms);
  other = e, other.directions = 3;
  CHECK(terms_of(other, "data") != terms);
  other = e, other.micro_batches = 2;
  CHECK(terms_of(other, "data") != terms);
  other = e, other.clip = 1;
  CHECK(terms_of(other, "data") != terms);
  other = e, other.median_bound = 4;
  CHECK(terms_of(other, "data") != terms);
  other = e, other.epsilon.norm *= 2;
  CHECK(terms_of(other, "data") != terms);
  CHECK(terms_of(estimator<central, gaussian>{.directions = 2, .micro_batches = 3, .seed = 4}, "data") != terms);
  CHECK(terms_of(estimator<forward, rademacher>{.directions = 2, .micro_batches = 3, .seed = 4}, "data") != terms);
  // As many lanes, elsewhere.
  CHECK(terms_of(estimator<forward, rademacher>{}, "data") != terms_of(estimator<central, rademacher>{}, "data"));
}

TEST_CASE("steps whose messages would be too long are refused, with what is too much of them") {
  const auto ask = [](std::uint32_t directions, std::uint32_t micro_batches, bool leaves_out) {
    message_format::require_messages_fit(
        estimator<central, rademacher>{.directions = directions, .micro_batches = micro_batches}, leaves_out);
  };
  const auto refusal = [&](std::uint32_t directions, std::uint32_t micro_batches, bool leaves_out) {
    return message_of<value_error>([&] { ask(directions, micro_batches, leaves_out); });
  };
  // Of two workers each sends 8 bytes for half of the lanes' losses, and a fingerprint of 8.
  CHECK_NOTHROW(ask(8190, 1, false));
  check_mentions(refusal(8192, 1, false), "8192 directions on 1 micro-batch", "65544 bytes", "65535");
  CHECK_NOTHROW(ask(128, 63, true));
  check_mentions(refusal(128, 64, false), "128 directions on 64 micro-batches", "fewer directions or micro-batches");
  // What a step came to has 4 for each direction, and for each pair that it lacks.
  CHECK_NOTHROW(ask(8188, 1, true));
  check_mentions(refusal(8189, 1, true), "65536 bytes");
  check_mentions(refusal(1u << 16, 1u << 17, false), "65536 directions");  // no count is cut short
}
