// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/embed/parameter_list.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/failing_new.hpp>
#include <zoqat/zo/log/run_log.hpp>
#include <zoqat/zo/update.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

using namespace zoqat;
using testing::check_mentions;
using testing::message_of;

static_assert(parameter_store<zo::parameter_list> && parameter_store<const zo::parameter_list>);

TEST_CASE("parameters come back in the order in which they were added, with ids that count") {
  std::vector<float> a{1, 2, 3, 4, 5, 6}, b{7};
  const std::vector<float> unit{0.5f, 0.25f};
  zo::parameter_list list;
  list.add("a", a, parameter_group::smoothing, unit);
  list.add("b", b);
  REQUIRE(list.size() == 2);
  CHECK(list[0].id == 0);
  CHECK(list[0].name == "a");
  CHECK(list[0].group == parameter_group::smoothing);
  CHECK(list[0].values.data() == a.data());
  CHECK(list[0].values.size() == 6);
  CHECK(std::ranges::equal(list[0].unit, unit));
  CHECK(list[0].unit.size() == 2);
  CHECK(list[1].id == 1);
  CHECK(list[1].group == parameter_group::weight);
  CHECK(list[1].unit.empty());
  std::string names;
  list.for_each_parameter([&](const parameter& p) { names += p.name; });
  CHECK(names == "ab");
}

TEST_CASE("the list keeps the names, however long it gets") {
  std::vector<float> values(1000);
  zo::parameter_list list;
  for (std::size_t i = 0; i != 1000; ++i) list.add(std::to_string(i), std::span(values).subspan(i, 1));
  for (std::size_t i = 0; i != 1000; ++i) {
    REQUIRE(list[i].name == std::to_string(i));
    REQUIRE(list[i].id == i);
  }
}

TEST_CASE("units that do not make rows, or are not positive numbers, are errors") {
  std::vector<float> values(6);
  zo::parameter_list list;
  const auto adding = [&](std::vector<float> unit) {
    return message_of<value_error>([&] { list.add("blk.0.q", values, parameter_group::weight, unit); });
  };
  check_mentions(adding({1, 1, 1, 1}), "'blk.0.q'", "6 values", "4 rows");
  check_mentions(adding({1, 0}), "'blk.0.q'", "0");
  check_mentions(adding({-1, 1}), "'blk.0.q'", "-1");
  check_mentions(adding({1, std::numeric_limits<float>::quiet_NaN()}), "nan");
  check_mentions(adding({std::numeric_limits<float>::infinity(), 1}), "inf");
  CHECK(list.size() == 0);
}

TEST_CASE("a rule and the call may not put a tensor into different groups") {
  std::vector<float> values(2, 1.0f);
  zo::parameter_list list({{.pattern = "*.norm", .group = parameter_group::norm}});
  check_mentions(message_of<value_error>([&] { list.add("a.norm", values, parameter_group::clipping); }), "'a.norm'",
                 "clipping", "'*.norm'", "norm");
  CHECK_NOTHROW(list.add("b.norm", values));
}

TEST_CASE("units are copied, and a matrix has one for each row or one for all") {
  std::vector<float> values(24, 1.0f);
  zo::parameter_list list;
  list.add("w", matrix_view<float>(values.data(), 2, 6), {}, std::vector<float>{0.5f, 0.25f});
  list.add("v", matrix_view<float>(values.data() + 12, 2, 6), {}, std::vector<float>{2.0f});
  CHECK(list[0].unit[1] == 0.25f);
  CHECK(list[1].unit.size() == 1);
  for (const std::size_t count : {3u, 4u, 6u, 12u})
    check_mentions(message_of<value_error>([&] {
                     zo::parameter_list other;
                     other.add("w", matrix_view<float>(values.data(), 2, 6), {}, std::vector<float>(count, 1.0f));
                   }),
                   "'w'", "units", "[2, 6]");
}

#ifdef NDEBUG  // debug builds stop where such a view is made
TEST_CASE("rows that overlap are refused") {
  std::vector<float> values(24, 1.0f);
  zo::parameter_list list;
  check_mentions(message_of<value_error>([&] { list.add("w", matrix_view<float>(values.data(), 3, 6, 4)); }), "'w'",
                 "every 4 elements", "overlap");
}
#endif

TEST_CASE("scales of codes may not train, nor may what trains become scales") {
  std::vector<std::int8_t> codes(8, 3);
  std::vector<float> scales(2, 0.5f), other(2, 1.0f);
  zo::parameter_list list;
  list.add("codes", zo::int8_codes{matrix_view<std::int8_t>(codes.data(), 2, 4), scales});
  check_mentions(message_of<value_error>([&] { list.add("scales", scales); }), "'scales'", "must stay");
  list.add("other", other);
  std::vector<std::int8_t> more(8, 3);
  check_mentions(message_of<value_error>([&] {
                   list.add("more", zo::int8_codes{matrix_view<std::int8_t>(more.data(), 2, 4), other});
                 }),
                 "'more'", "'other'");
}

TEST_CASE("rows of one value") {
  std::vector<float> three{1, 2, 3};
  const std::vector<float> unit{1, 2, 3};
  zo::parameter_list list;
  CHECK_NOTHROW(list.add("three", three, parameter_group::weight, unit));
  CHECK(list.size() == 1);
}

TEST_CASE("masters in bf16 are listed beside those in fp32, and trained") {
  std::vector<float> full(3, 1.0f);
  std::vector<bf16> halves(4000, bf16(1.0f));
  const std::vector<float> units(2, 0.5f);
  zo::parameter_list list;
  list.add("full", std::span(full));
  list.add("half", std::span(halves), parameter_group::norm, units);
  CHECK(list[1].size() == 4000);
  CHECK(list[1].values.empty());
  CHECK(list[1].compact.halves.data() == halves.data());
  CHECK(list[1].group == parameter_group::norm);
  CHECK_THROWS_WITH_AS(list.add("ragged", std::span(halves).first(3), parameter_group::norm, units),
                       "parameter 'ragged': 3 values do not make 2 rows, one for each unit", value_error);
  const auto before = zo::fingerprint(list);
  zo::apply(zo::update{zo::planned_update{.seed = 1, .gain = per_group<float>::all(0.1f), .half_difference = {1.0f}},
                       zo::gaussian()},
            list);
  CHECK(zo::fingerprint(list) != before);
  CHECK(std::ranges::count(halves, bf16(1.0f)) < 1000);
}

namespace {

/// A seventh of a walk in every element: what all formats of a test hold.
const zo::update<zo::gaussian> a_step{{.seed = 1, .gain = per_group<float>::all(0.01f), .half_difference = {}}};
void step(zo::parameter_list& list) {
  auto u = a_step;
  u.half_difference = {1.0f};
  zo::apply(u, list);
}
std::vector<float> numbers(const parameter& p) {
  std::vector<float> out(p.size());
  read_masters<simd::default_kernels>(p, 0, out.size(), out.data());
  return out;
}

}  // namespace

TEST_CASE("a tensor without values is an error in every format") {
  zo::parameter_list list;
  const auto adding = [&](auto values) { return message_of<value_error>([&] { list.add("w", values); }); };
  check_mentions(adding(std::span<float>()), "'w'", "no values");
  check_mentions(adding(std::span<bf16>()), "'w'", "no values");
  check_mentions(adding(std::span<fp16>()), "'w'", "no values");
  check_mentions(adding(matrix_view<float>()), "'w'", "no values");
  check_mentions(adding(zo::int8_codes{}), "'w'", "no values");
  CHECK(list.size() == 0);
}

TEST_CASE("a buffer listed twice, whole or in part, is an error that names both tensors") {
  std::vector<float> fused(60);
  const std::span<float> all(fused);
  zo::parameter_list list;
  list.add("q", matrix_view<float>(fused.data(), 5, 4, 12));
  CHECK_NOTHROW(list.add("k", matrix_view<float>(fused.data() + 4, 5, 4, 12)));  // between the rows of q
  const auto adding = [&](auto values) { return message_of<value_error>([&] { list.add("again", values); }); };
  check_mentions(adding(matrix_view<float>(fused.data(), 5, 4, 12)), "'again'", "'q'");
  check_mentions(adding(matrix_view<float>(fused.data() + 7, 5, 4, 12)), "'again'", "'k'");
  check_mentions(adding(all), "'again'", "'q'");
  check_mentions(adding(all.subspan(54, 3)), "'again'", "'k'");
  check_mentions(adding(std::span(reinterpret_cast<bf16*>(fused.data() + 24), 1)), "'again'", "'q'");
  CHECK_NOTHROW(list.add("v", matrix_view<float>(fused.data() + 8, 5, 4, 12)));
  CHECK(list.size() == 3);
}

TEST_CASE("masters that are no numbers are refused with name and index") {
  std::vector<float> values(10000, 1.0f);
  std::vector<fp16> halves(10, fp16(1.0f));
  zo::parameter_list list;
  values[9001] = std::numeric_limits<float>::quiet_NaN();
  check_mentions(message_of<value_error>([&] { list.add("w", values); }), "'w'", "value 9001", "nan");
  values[9001] = -std::numeric_limits<float>::infinity();
  check_mentions(message_of<value_error>([&] { list.add("w", values); }), "'w'", "value 9001", "-inf");
  halves[3] = fp16(1e6f);
  check_mentions(message_of<value_error>([&] { list.add("h", std::span(halves)); }), "'h'", "value 3", "inf");
  values[9001] = std::numeric_limits<float>::max();
  CHECK_NOTHROW(list.add("w", values));
}

TEST_CASE("a step moves rows that lie apart as it moves those that do not, bit for bit") {
  std::vector<float> dense(20 * 30, 0.5f), apart(20 * 40, 0.5f);
  zo::parameter_list one, other;
  one.add("w", dense);
  other.add("w", matrix_view<float>(apart.data(), 20, 30, 40));
  step(one);
  step(other);
  CHECK(numbers(other[0]) == dense);
  for (std::size_t row = 0; row != 20; ++row)
    for (std::size_t k = 30; k != 40; ++k) CHECK(apart[row * 40 + k] == 0.5f);
  const auto before = zo::fingerprint(other);
  apart[35] = 7;  // between rows
  CHECK(zo::fingerprint(other) == before);
  apart[45] += 1;
  CHECK(zo::fingerprint(other) != before);
}

TEST_CASE("masters of all formats take the same step, up to their rounding") {
  constexpr std::size_t rows = 10, cols = 64, n = rows * cols;
  std::vector<float> full(n, 0.5f);
  std::vector<bf16> bf(n, bf16(0.5f));
  std::vector<fp16> halves(n, fp16(0.5f));
  std::vector<std::int8_t> by_row(n, 50), by_group(n, 50);
  const std::vector<float> row_scales(rows, 0.01f), group_scales(n / 32, 0.01f);
  const auto moved = [&](auto values) {
    zo::parameter_list list;
    list.add("w", values);
    step(list);
    return numbers(list[0]);
  };
  const auto expected = moved(std::span(full));
  const auto check = [&](const std::vector<float>& found, float grain) {
    double mean = 0;
    for (std::size_t i = 0; i != n; ++i) {
      const float off = found[i] - expected[i];
      REQUIRE(std::abs(off) <= grain);
      mean += double{off} / n;
    }
    CHECK(std::abs(mean) < 4 * double{grain} / std::sqrt(12.0 * n) * 2);
  };
  check(moved(std::span(bf)), 0x1p-8f);
  check(moved(std::span(halves)), 0x1p-11f);
  check(moved(zo::int8_codes{{by_row.data(), rows, cols}, row_scales}), 0.01001f);
  check(moved(zo::int8_codes{{by_group.data(), rows, cols}, group_scales}), 0.01001f);
  CHECK(by_row == by_group);
}

TEST_CASE("parts of matrices in 16 and 8 bits are listed where they lie") {
  std::vector<bf16> bf(100, bf16(1.0f));
  std::vector<fp16> halves(100, fp16(1.0f));
  std::vector<std::int8_t> codes(100, 4);
  const std::vector<float> scales(10, 0.25f);
  zo::parameter_list list;
  list.add("b", matrix_view<bf16>(bf.data() + 2, 10, 5, 10));
  list.add("h", matrix_view<fp16>(halves.data() + 2, 10, 5, 10));
  list.add("c", zo::int8_codes{{codes.data() + 2, 10, 5, 10}, scales});
  for (std::size_t i = 0; i != 3; ++i) CHECK(numbers(list[i]) == std::vector<float>(50, 1.0f));
  auto u = a_step;
  u.gain = per_group<float>::all(0.5f);
  u.half_difference = {1.0f};
  zo::apply(u, list);
  for (std::size_t i = 0; i != 100; ++i) {
    if (i % 10 >= 2 && i % 10 < 7) continue;
    CHECK(bf[i] == bf16(1.0f));
    CHECK(halves[i] == fp16(1.0f));
    CHECK(codes[i] == 4);
  }
  CHECK(numbers(list[2]) != std::vector<float>(50, 1.0f));
}

TEST_CASE("scales that do not fit, or are no scales, are errors") {
  std::vector<std::int8_t> codes(12);
  zo::parameter_list list;
  const auto adding = [&](std::vector<float> scales) {
    return message_of<value_error>([&] { list.add("q", zo::int8_codes{{codes.data(), 3, 4}, scales}); });
  };
  check_mentions(adding({1, 1}), "'q'", "2 scales", "[3, 4]");
  check_mentions(adding({}), "'q'", "0 scales", "[3, 4]");
  check_mentions(adding(std::vector<float>(9, 1.0f)), "'q'", "9 scales");
  check_mentions(adding({1, 0, 1}), "'q'", "scale 1 is 0");
  check_mentions(adding({1, 1, -2}), "'q'", "scale 2 is -2");
  check_mentions(adding({std::numeric_limits<float>::quiet_NaN(), 1, 1}), "'q'", "scale 0 is nan");
}

TEST_CASE("of weights that may only be read, a copy trains") {
  const std::vector<float> base(10, 1.0f);
  zo::parameter_list list({{.pattern = "frozen", .trains = false}});
  const std::span<float> copy = list.add_copy("w", base, parameter_group::norm);
  REQUIRE(copy.size() == 10);
  CHECK(copy.data() != base.data());
  CHECK(list[0].values.data() == copy.data());
  CHECK(list[0].group == parameter_group::norm);
  step(list);
  CHECK(copy[0] != 1.0f);
  CHECK(base == std::vector<float>(10, 1.0f));
  CHECK(list.add_copy("frozen", base).empty());
  check_mentions(message_of<value_error>([&] { static_cast<void>(list.add_copy("frozen", base)); }), "'frozen'");
  const std::vector<float> another(10, 1.0f);  // may take memory that a dropped copy had
  CHECK_NOTHROW(static_cast<void>(list.add_copy("another", another)));
  CHECK_THROWS_AS(static_cast<void>(list.add_copy("none", {})), value_error);
  CHECK(list.size() == 2);
}

TEST_CASE("rules give groups, units and what trains by patterns of names") {
  std::vector<float> q(6, 1.0f), norm(3, 1.0f), embedding(4, 1.0f), other(2, 1.0f);
  zo::parameter_list list({{.pattern = "layers.*.norm", .group = parameter_group::norm, .unit = 0.5f},
                           {.pattern = "embedding", .trains = false},
                           {.pattern = "layers.*", .unit = 0.25f},
                           {.pattern = "layer.*", .trains = false}});
  const std::vector<float> own{2, 3};
  list.add("embedding", embedding);
  list.add("layers.0.q", q);
  list.add("layers.0.norm", norm);
  list.add("other", other);
  std::vector<float> more(2, 1.0f);
  list.add("layers.1.norm", more, parameter_group::norm, own);
  REQUIRE(list.size() == 4);
  CHECK(list[0].id == 1);  // the one left out has an id too
  CHECK(list[0].group == parameter_group::weight);
  CHECK(list[0].unit[0] == 0.25f);
  CHECK(list[1].group == parameter_group::norm);
  CHECK(list[1].unit.size() == 1);
  CHECK(list[1].unit[0] == 0.5f);
  CHECK(list[2].unit.empty());
  CHECK(list[3].id == 4);
  CHECK(list[3].group == parameter_group::norm);
  CHECK(std::ranges::equal(list[3].unit, own));
  CHECK(list.unmatched_patterns() == std::vector<std::string>{"layer.*"});
  check_mentions(message_of<value_error>([&] { list.add("again", embedding); }), "'again'", "'embedding'");
}

namespace {

/// Buffers of every format, and what hands them over one by one.
struct assorted_buffers {
  std::vector<float> plain = std::vector<float>(6, 1.0f), apart = std::vector<float>(12, 2.0f),
                     scales = std::vector<float>(2, 0.5f);
  const std::vector<float> constant = std::vector<float>(4, 3.0f), unit{2, 3};
  std::vector<bf16> halves = std::vector<bf16>(6, bf16(1.0f));
  std::vector<std::int8_t> codes = std::vector<std::int8_t>(6, std::int8_t{5});
  static constexpr std::size_t count = 5;

  void give(zo::parameter_list& list, std::size_t which) {
    if (which == 0) list.add("layers.0.plain, whose name is long", plain, {}, unit);
    if (which == 1) list.add("layers.1.apart, whose name is long", matrix_view<float>(apart.data(), 3, 2, 4));
    if (which == 2) list.add("layers.2.halves, whose name is long", halves, parameter_group::norm);
    if (which == 3) list.add("layers.3.codes, whose name is long", {{codes.data(), 2, 3}, scales});
    if (which == 4) static_cast<void>(list.add_copy("layers.4.copy, whose name is long", constant));
  }
};

}  // namespace

TEST_CASE("an add for which memory runs out, or which is refused, leaves the list as it was") {
  assorted_buffers buffers;
  zo::parameter_list list({{.pattern = "layers.[01].*"}, {.pattern = "layers.*"}}), whole;
  std::size_t failures = 0, changed = 0;
  for (std::size_t which = 0; which != assorted_buffers::count; ++which) {
    const std::size_t size = list.size();
    const auto unmatched = list.unmatched_patterns();
    failures += zoqat::testing::fail_each_allocation(
        [&] { buffers.give(list, which); },
        [&] { changed += list.size() != size || list.unmatched_patterns() != unmatched; });
    CHECK_THROWS_AS(buffers.give(list, which == 4 ? 0 : which), value_error);  // it is there
    buffers.give(whole, which);
  }
  CHECK(failures > 20);
  CHECK(changed == 0);
  REQUIRE(list.size() == whole.size());
  for (std::size_t i = 0; i != list.size(); ++i) {
    CHECK(list[i].id == whole[i].id);
    CHECK(list[i].name == whole[i].name);
    CHECK(list[i].group == whole[i].group);
    CHECK(list[i].size() == whole[i].size());
    CHECK(std::ranges::equal(list[i].unit, whole[i].unit));
  }
  // Scales that were named in an add that was refused may train.
  std::vector<float> scales(2, 0.5f);
  std::vector<std::int8_t> codes(6);
  CHECK_THROWS_AS(list.add("codes", {{codes.data(), 2, 3}, scales}, {}, std::vector<float>{-1}), value_error);
  CHECK_NOTHROW(list.add("scales", scales));
}

TEST_CASE("tensors that are added together are all listed or none") {
  std::vector<float> one(4, 1.0f), other(4, 2.0f);
  zo::parameter_list list({{.pattern = "o*"}});
  const auto both = [&](std::vector<float>& second) {
    list.all_or_none([&] {
      list.add("one", one);
      list.add("other", second);
    });
  };
  CHECK_THROWS_AS(both(one), value_error);
  CHECK(list.size() == 0);
  CHECK(list.unmatched_patterns().size() == 1);
  both(other);
  REQUIRE(list.size() == 2);
  CHECK(list[0].id == 0);
  CHECK(list[1].id == 1);
  CHECK(list.unmatched_patterns().empty());
}
