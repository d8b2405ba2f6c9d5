// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/embed/in_place.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/failing_new.hpp>
#include <zo/problems.hpp>
#include <zoqat/zo/embed/parameter_list.hpp>
#include <zoqat/zo/estimator.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;
using zoqat::testing::check_mentions;
using zoqat::testing::message_of;

namespace {

double sum(const std::vector<float>& values) {
  double total = 0, weight = 0;
  for (const float x : values) total += double{x} * ++weight;
  return total;
}

std::vector<perturbation> two_points() {
  const perturbation forward{{3, 1, 4}, per_group<float>::all(0.125f)};
  return {forward, -forward};
}

}  // namespace

TEST_CASE_TEMPLATE("the engine sees what lanes would read, point after point", Distribution, gaussian, rademacher) {
  tensors store = assorted();
  std::vector<std::vector<std::uint32_t>> seen, expected;
  auto objective = in_place(store, [&] {
    seen.push_back(bits_of(store.values()));
    return 0;
  });
  std::vector<double> losses(2);
  objective(lane_points<Distribution>{two_points(), {}}, 0, losses);
  const auto by_lanes = objective_of(store, Distribution(), [&](std::span<const float> x, std::size_t) {
    expected.push_back(bits_of(x));
    return 0.0;
  });
  by_lanes({two_points(), {}}, 0, losses);
  REQUIRE(seen.size() == 2);
  CHECK(seen == expected);
  CHECK(seen[0] != seen[1]);
}

TEST_CASE("an estimate in place is the estimate through lanes") {
  tensors store = assorted();
  const estimator<> e{.directions = 3, .micro_batches = 2, .seed = 4};
  const auto through_lanes = e(5, objective_of(store, gaussian(), [](std::span<const float> x, std::size_t m) {
                                 return sum({x.begin(), x.end()}) * static_cast<double>(m + 1);
                               }));
  const auto placed =
      e(5, in_place(store, [&](std::size_t m) { return sum(store.values()) * static_cast<double>(m + 1); }));
  CHECK(placed.half_difference == through_lanes.half_difference);
  CHECK(placed.loss == through_lanes.loss);
}

TEST_CASE("the masters come back, bit for bit") {
  tensors store = assorted();
  store.add(parameter_group::weight, fragile());
  const auto before = bits_of(store.values());
  std::vector<double> losses(2);
  bool moved = false;
  auto objective = in_place(store, [&] {
    moved = moved || bits_of(store.values()) != before;
    return 1.0f;
  });
  for (int round = 0; round != 3; ++round) {
    objective(lane_points<gaussian>{two_points(), {}}, 0, losses);
    CHECK(bits_of(store.values()) == before);
  }
  CHECK(moved);
  CHECK(losses == std::vector<double>{1, 1});
}

TEST_CASE("the masters come back even when the engine throws") {
  tensors store = assorted();
  store.add(parameter_group::weight, fragile());
  const auto before = bits_of(store.values());
  for (const int failing : {1, 2}) {
    int calls = 0;
    auto objective = in_place(store, [&] {
      if (++calls == failing) throw std::runtime_error("the engine");
      return 0.0;
    });
    std::vector<double> losses(2);
    CHECK_THROWS_AS(objective(lane_points<gaussian>{two_points(), {}}, 0, losses), std::runtime_error);
    CHECK(calls == failing);
    CHECK(bits_of(store.values()) == before);
  }
}

TEST_CASE("a loss that takes the micro-batch gets it") {
  tensors store = assorted();
  auto objective = in_place(store, [](std::size_t micro_batch) { return static_cast<double>(micro_batch); });
  std::vector<double> losses(2);
  objective(lane_points<gaussian>{two_points(), {}}, 7, losses);
  CHECK(losses == std::vector<double>{7, 7});
}

TEST_CASE("masters that the engine itself changes between evaluations are the new masters") {
  tensors store;
  store.add(parameter_group::weight, {1, 2, 3});
  auto objective = in_place(store, [&] { return sum(store.values()); });
  std::vector<double> losses(2);
  objective(lane_points<gaussian>{two_points(), {}}, 0, losses);
  store[0] = {4, 5, 6};
  objective(lane_points<gaussian>{two_points(), {}}, 0, losses);
  CHECK(store[0] == std::vector<float>{4, 5, 6});
  CHECK(losses[0] + losses[1] == doctest::Approx(2 * (4 + 10 + 18)));
}

TEST_CASE("an engine's buffers of fewer bits hold the nearest to each point, and come back") {
  for (const master_format format : {master_format::bf16, master_format::int8}) {
    tensors start = assorted();
    compact_tensors store(start, format);
    tensors masters = store.widened();
    std::vector<std::vector<float>> seen;
    auto objective = in_place(store, [&] {
      seen.push_back(store.widened().values());
      return 0;
    });
    std::vector<double> losses(2);
    objective(lane_points<gaussian>{two_points(), {}}, 0, losses);
    CHECK(store.widened().values() == masters.values());
    REQUIRE(seen.size() == 2);
    CHECK(seen[0] != seen[1]);
    std::vector<std::vector<float>> points;
    objective_of(masters, gaussian(), [&](std::span<const float> x, std::size_t) {
      points.emplace_back(x.begin(), x.end());
      return 0.0;
    })({two_points(), {}}, 0, losses);
    if (format == master_format::bf16)
      for (std::size_t i = 0; i != points[0].size(); ++i)
        if (seen[0][i] != static_cast<float>(bf16(points[0][i]))) FAIL("not the nearest");
  }
}

TEST_CASE("the masters come back and the points are the same with any number of threads") {
  tensors store = assorted();
  store.add(parameter_group::weight, floats(200'000, 9), floats(8, 10));  // several pieces
  const auto before = bits_of(store.values());
  std::vector<std::vector<std::uint32_t>> alone;
  for (const std::size_t count : {1u, 2u, 3u}) {
    thread_pool threads(count);
    std::vector<std::vector<std::uint32_t>> seen;
    auto objective = in_place(
        store,
        [&] {
          seen.push_back(bits_of(store.values()));
          return 0;
        },
        threads);
    std::vector<double> losses(2);
    objective(lane_points<rademacher>{two_points(), {}}, 0, losses);
    CHECK(bits_of(store.values()) == before);
    if (alone.empty()) alone = seen;
    CHECK(seen == alone);
  }
}

TEST_CASE("an objective that is evaluated within its own loss is refused, and the masters come back") {
  tensors store = assorted();
  const auto before = bits_of(store.values());
  std::function<void()> inner = [] {};
  auto objective = in_place(store, [&] {
    inner();
    return 1.0;
  });
  std::vector<double> losses(2), others(2);
  inner = [&] { objective(lane_points<gaussian>{two_points(), {}}, 0, others); };
  check_mentions(message_of<value_error>([&] {
                   objective(lane_points<gaussian>{two_points(), {}}, 0, losses);
                 }),
                 "in_place", "calls it");
  CHECK(bits_of(store.values()) == before);
}

TEST_CASE("parts of buffers, and an engine's codes, come back bit by bit whatever the loss does") {
  std::vector<float> fused(300, 0.25f);
  std::vector<fp16> halves(300, fp16(0.25f));
  std::vector<std::int8_t> codes(300, 25);
  const std::vector<float> scales(10, 0.01f);
  zo::parameter_list list;
  list.add("floats", matrix_view<float>(fused.data() + 3, 10, 20, 30));
  list.add("halves", matrix_view<fp16>(halves.data() + 3, 10, 20, 30));
  list.add("codes", zo::int8_codes{{codes.data() + 3, 10, 20, 30}, scales});
  const auto before_floats = fused;
  const auto before_halves = halves;
  const auto before_codes = codes;
  auto objective = in_place(list, [&]() -> double {
    for (std::size_t row = 0; row != 10; ++row) {
      CHECK(fused[row * 30] == 0.25f);  // what is between the rows
      CHECK(fused[row * 30 + 3] != 0.25f);
    }
    CHECK(halves != before_halves);
    CHECK(codes != before_codes);
    throw std::runtime_error("a loss that fails");
  });
  std::vector<double> losses(2);
  CHECK_THROWS_AS(objective(lane_points<gaussian>{two_points(), {}}, 0, losses), std::runtime_error);
  CHECK(fused == before_floats);
  CHECK(halves == before_halves);
  CHECK(codes == before_codes);
}

TEST_CASE("the masters come back wherever memory runs out, in the loss too") {
  const auto points = two_points();
  for (const master_format format : {master_format::bf16, master_format::int8}) {
    tensors plain = assorted();
    compact_tensors compact(plain, format);
    const auto plain_before = bits_of(plain.values()), compact_before = bits_of(compact.widened().values());
    std::vector<double> losses(points.size()), again(points.size());
    const auto check = [&](auto& store) {
      auto objective = in_place(store, [&] { return sum(compact.widened().values()) + sum(plain.values()); });
      std::size_t moved = 0;
      const auto evaluate = [&] { objective(lane_points<gaussian>{points, {}}, 0, std::span(losses)); };
      const std::size_t failures = zoqat::testing::fail_each_allocation(evaluate, [&] {
        moved += bits_of(plain.values()) != plain_before || bits_of(compact.widened().values()) != compact_before;
      });
      CHECK(failures > 20);
      CHECK(moved == 0);
      auto fresh = in_place(store, [&] { return sum(compact.widened().values()) + sum(plain.values()); });
      fresh(lane_points<gaussian>{points, {}}, 0, std::span(again));
      CHECK(losses == again);
      CHECK(losses[0] != losses[1]);
    };
    check(plain);
    check(compact);
  }
}
