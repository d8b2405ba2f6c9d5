// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/update.hpp>

#include <doctest/doctest.h>
#include <support/failing_new.hpp>
#include <zo/problems.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/numeric.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

namespace {

tensors large() {
  tensors t = assorted();
  t.add(parameter_group::weight, floats(40000, 7), floats(8, 8));  // several tasks, rows that do not end with them
  return t;
}

planned_update some_update() {
  planned_update u{
      .seed = 3, .step = 11, .gain = per_group<float>::all(0.01f), .half_difference = {0.5f, -2.25f, 1e-3f}};
  u.gain.weight = 0.3f;
  u.gain.norm = 0;
  return u;
}

// θ ← θ − gain / q · slope · unit ⊙ u, one direction after the other.
template <class Distribution>
std::vector<float> expected(const Distribution& elements, const planned_update& u, tensors store) {
  store.for_each_parameter([&](const parameter& p) {
    if (u.gain[p.group] == 0) return;
    for (std::uint32_t q = 0; q != u.half_difference.size(); ++q) {
      const auto along = elements_of(elements, {u.seed, u.step, q}, p.id, p.values.size());
      const float scale = -(u.gain[p.group] / static_cast<float>(u.half_difference.size())) * u.half_difference[q];
      for (std::size_t i = 0; i != p.values.size(); ++i) {
        const float unit = p.unit.empty() ? 1.0f : p.unit[i / (p.values.size() / p.unit.size())];
        p.values[i] = add_product(p.values[i], scale * unit, along[i]);
      }
    }
  });
  return store.values();
}

}  // namespace

TEST_CASE_TEMPLATE("an update is the formula, bit for bit, for any number of threads", Distribution, gaussian,
                   gaussian_ars, rademacher, runtime_distribution) {
  const planned_update u = some_update();
  const auto wanted = bits_of(expected(Distribution(), u, large()));
  REQUIRE(wanted != bits_of(large().values()));
  tensors alone = large();
  apply(update{u, Distribution()}, alone);
  CHECK(bits_of(alone.values()) == wanted);
  for (const std::size_t threads : {1u, 2u, 3u}) {
    thread_pool pool(threads);
    tensors store = large();
    apply(update{u, Distribution()}, store, pool);
    CHECK(bits_of(store.values()) == wanted);
  }
}

TEST_CASE("the two kinds of `runtime_distribution` are the two distributions") {
  for (const bool is_gaussian : {false, true}) {
    tensors chosen_at_run_time = assorted(), by_type = assorted();
    apply(update{some_update(), runtime_distribution{is_gaussian}}, chosen_at_run_time);
    if (is_gaussian)
      apply(update{some_update(), gaussian()}, by_type);
    else
      apply(update{some_update(), rademacher()}, by_type);
    CHECK(bits_of(chosen_at_run_time.values()) == bits_of(by_type.values()));
  }
}

TEST_CASE("an update by signs is the formula too, for rows of any size") {
  for (const std::size_t rows : {0u, 1u, 5u, 30u, 1200u}) {  // rows of 19200, 3840, 640 and 16
    tensors store;
    store.add(parameter_group::weight, floats(19200, 3), rows == 0 ? std::vector<float>() : floats(rows, 8));
    store.add(parameter_group::weight, floats(19200, 4), floats(768, 9));  // of 25
    planned_update u = some_update();
    u.half_difference.push_back(0);
    const auto wanted = bits_of(expected(rademacher(), u, store));
    thread_pool threads(2);
    tensors chosen = store;
    apply(update{u, rademacher()}, store, threads);
    CHECK(bits_of(store.values()) == wanted);
    apply(update{u, runtime_distribution{.is_gaussian = false}}, chosen, threads);
    CHECK(bits_of(chosen.values()) == wanted);
  }
}

TEST_CASE("groups without a gain keep every bit") {
  tensors store;
  store.add(parameter_group::clipping, fragile());
  store.add(parameter_group::weight, {1, 2, 3});
  planned_update u = some_update();
  u.gain.clipping = 0;
  apply(update{u, gaussian()}, store);
  CHECK(bits_of(store[0]) == bits_of(fragile()));
  CHECK(store[1] != std::vector<float>{1, 2, 3});
}

TEST_CASE("an update without slopes, or with slopes of zero, keeps every bit") {
  planned_update rejected = some_update(), flat = some_update();
  rejected.half_difference.clear();
  flat.half_difference = {0.0f, -0.0f};
  for (const planned_update& u : {rejected, flat}) {
    tensors store;
    store.add(parameter_group::weight, fragile());
    apply(update{u, gaussian()}, store);
    CHECK(bits_of(store[0]) == bits_of(fragile()));
  }
}

TEST_CASE("a step down the slope goes down") {
  // One value, one direction: θ − gain · slope · u.
  tensors store;
  store.add(parameter_group::weight, {1.0f});
  apply(update{planned_update{.seed = 1, .step = 0, .gain = per_group<float>::all(0.5f), .half_difference = {0.25f}},
               rademacher()},
        store);
  const float u = elements_of(rademacher(), {1, 0, 0}, 5, 1)[0];
  CHECK(store[0][0] == 1.0f - 0.125f * u);
}

TEST_CASE("no parameters, and none that moves") {
  tensors nothing;
  thread_pool pool(2);
  CHECK_NOTHROW(apply(update{some_update(), gaussian()}, nothing, pool));
  tensors empty;
  empty.add(parameter_group::weight, {});
  CHECK_NOTHROW(apply(update{some_update(), gaussian()}, empty, pool));
}

TEST_CASE("updates are equal when all they say is") {
  const planned_update u = some_update();
  CHECK(u == some_update());
  for (int change = 0; change != 6; ++change) {
    planned_update other = u;
    if (change == 0) ++other.seed;
    if (change == 1) ++other.step;
    if (change == 2) other.gain.norm = 1;
    if (change == 3) other.half_difference.pop_back();
    if (change == 4) other.signal_power = 1;
    if (change == 5) other.total_power = 1;
    CHECK(other != u);
  }
}

TEST_CASE_TEMPLATE("compact masters move along all directions and are rounded once", Distribution, gaussian,
                   rademacher) {
  const planned_update u = some_update();
  for (const master_format format : {master_format::bf16, master_format::int8}) {
    tensors start = large();
    compact_tensors wanted(start, format);
    tensors moved = wanted.widened();
    apply(update{u, Distribution()}, moved);  // in fp32
    std::size_t i = 0;
    wanted.for_each_parameter([&](const parameter& p) {
      const std::vector<float>& values = moved[i++];
      if (u.gain[p.group] != 0)
        store_masters<simd::default_kernels>(
            p, {.seed = u.seed, .step = u.step, .tensor = p.id, .use = rng::purpose::rounding}, 0, values.size(),
            values.data());
    });
    REQUIRE(wanted.widened().values() != compact_tensors(start, format).widened().values());
    for (const std::size_t threads : {1u, 2u, 3u}) {
      thread_pool pool(threads);
      compact_tensors store(start, format);
      apply(update{u, Distribution()}, store, pool);
      CHECK(store.widened().values() == wanted.widened().values());
    }
  }
}

TEST_CASE("an update for which memory runs out moves nothing, and can be made again") {
  const update u{some_update(), gaussian()};
  const auto before = bits_of(large().values());
  tensors store = large();
  std::size_t moved = 0;
  const std::size_t failures = zoqat::testing::fail_each_allocation(
      [&] { apply(u, store); }, [&] { moved += bits_of(store.values()) != before; });
  CHECK(failures > 1);
  CHECK(moved == 0);
  CHECK(bits_of(store.values()) == bits_of(expected(gaussian(), some_update(), large())));
}
