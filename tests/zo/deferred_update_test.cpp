// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/deferred_update.hpp>

#include <doctest/doctest.h>
#include <support/failing_new.hpp>
#include <zo/problems.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/params/lanes.hpp>
#include <zoqat/zo/update.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

namespace {

/// Tensors of which those with units are swept.
struct swept_tensors : tensors {
  swept_tensors() : tensors(assorted()) { add(parameter_group::weight, floats(600, 7), floats(8, 8)); }

  template <class F>
  void for_each_parameter(F&& f) {
    tensors::for_each_parameter([&](parameter p) {
      if (!p.unit.empty()) p.row_size = p.values.size() / p.unit.size();
      f(p);
    });
  }
};

/// A tensor of twelve rows, swept.
struct rows_of_one_tensor : tensors {
  explicit rows_of_one_tensor(std::size_t row_size) : row_size_(row_size) {
    add(parameter_group::weight, floats(12 * row_size, 7), floats(12, 8));
  }
  template <class F>
  void for_each_parameter(F&& f) {
    tensors::for_each_parameter([&](parameter p) {
      p.row_size = p.granularity = row_size_;
      f(p);
    });
  }

 private:
  std::size_t row_size_;
};

planned_update some_update(std::uint32_t step) {
  planned_update u{.seed = 3, .step = step, .gain = per_group<float>::all(0.01f), .half_difference = {0.5f, -2.25f}};
  u.gain.weight = 0.3f;
  u.gain.norm = 0;
  return u;
}

std::vector<std::uint32_t> eagerly(std::uint32_t updates) {
  swept_tensors store;
  for (std::uint32_t step = 0; step != updates; ++step) apply(update{some_update(step), gaussian()}, store);
  return bits_of(store.values());
}

/// Reads every `every`-th row as a pass would.
void sweep(swept_tensors& store, deferred_update<>& pending, std::size_t every) {
  const perturbation point{{3, 9, 0}, per_group<float>::all(0.1f)};
  const lanes<gaussian, simd::default_kernels, deferred_update<>> all({{&point, 1}, {}}, &pending);
  sweep_scratch scratch;
  store.for_each_parameter([&](const parameter& p) {
    if (p.row_size == 0) return;
    for (std::size_t row = 0; row < p.values.size() / p.row_size; row += every)
      all.sweep_rows(p, row, 1, scratch, [](std::size_t, std::size_t, std::span<const lane_values>) {});
  });
}

}  // namespace

TEST_CASE("an update on the way gives the bits of one at once, however far the pass came") {
  thread_pool threads(2);
  for (const std::size_t every : {1u, 2u, 3u, 1000u}) {
    swept_tensors store;
    deferred_update<> pending;
    for (std::uint32_t step = 0; step != 3; ++step) {
      pending.defer(update{some_update(step), gaussian()}, store, threads);  // finishes the one before
      sweep(store, pending, every);
      sweep(store, pending, every);  // a second micro-batch finds nothing left to do
    }
    pending.flush(store, threads);
    CHECK(bits_of(store.values()) == eagerly(3));
    pending.flush(store, threads);
    CHECK(bits_of(store.values()) == eagerly(3));
  }
}

TEST_CASE("swept parameters wait for their pass, the others do not") {
  sequential threads;
  swept_tensors store, before;
  deferred_update<> pending;
  pending.defer(update{some_update(0), gaussian()}, store, threads);
  std::size_t swept = 0, others = 0;
  std::vector<std::vector<std::uint32_t>> masters;
  before.for_each_parameter([&](const parameter& p) { masters.push_back(bits_of(p.values)); });
  std::size_t i = 0;
  store.for_each_parameter([&](const parameter& p) {
    const bool same = bits_of(p.values) == masters[i++];
    if (p.row_size != 0) {
      CHECK(same);
      ++swept;
    } else if (some_update(0).gain[p.group] != 0 && !p.values.empty()) {
      CHECK_FALSE(same);
      ++others;
    }
  });
  CHECK(swept > 1);
  CHECK(others > 1);
}

TEST_CASE("a row is perturbed around what the update made of it") {
  sequential threads;
  swept_tensors store, updated;
  apply(update{some_update(0), gaussian()}, updated);
  deferred_update<> pending;
  pending.defer(update{some_update(0), gaussian()}, store, threads);
  const perturbation point{{3, 9, 0}, per_group<float>::all(0.1f)};
  const lanes<gaussian, simd::default_kernels, deferred_update<>> all({{&point, 1}, {}}, &pending);
  sweep_scratch scratch;
  std::vector<std::vector<std::uint32_t>> wanted;
  updated.for_each_parameter([&](const parameter& p) { wanted.push_back(bits_of(p.values)); });
  std::size_t i = 0;
  store.for_each_parameter([&](const parameter& p) {
    const auto& master = wanted[i++];
    if (p.row_size == 0) return;
    all.sweep_rows(p, 0, p.values.size() / p.row_size, scratch,
                   [&](std::size_t r, std::size_t, std::span<const lane_values> v) {
                     const std::span<const std::uint32_t> of_row(master.data() + r * p.row_size, p.row_size);
                     CHECK(std::ranges::equal(bits_of(std::span(v[0].values, p.row_size)), of_row));
                   });
  });
}

TEST_CASE("an empty update moves nothing and finishes the one before") {
  sequential threads;
  swept_tensors store;
  deferred_update<> pending;
  pending.defer(update{some_update(0), gaussian()}, store, threads);
  pending.defer(update<gaussian>{}, store, threads);
  CHECK(bits_of(store.values()) == eagerly(1));
  pending.flush(store, threads);
  CHECK(bits_of(store.values()) == eagerly(1));
}

TEST_CASE("an update for which memory runs out anywhere moves nothing, and can be made again") {
  sequential threads;
  swept_tensors store;
  deferred_update<> pending;
  pending.defer(update{some_update(0), gaussian()}, store, threads);
  pending.flush(store, threads);
  REQUIRE(bits_of(store.values()) == eagerly(1));
  const update next{some_update(1), gaussian()};
  deferred_update<> fresh;
  std::size_t moved = 0;
  const std::size_t failures = zoqat::testing::fail_each_allocation([&] { fresh.defer(next, store, threads); },
                                                                    [&] {
                                                                      fresh.flush(store, threads);
                                                                      moved += bits_of(store.values()) != eagerly(1);
                                                                    });
  CHECK(failures > 5);
  CHECK(moved == 0);
  fresh.flush(store, threads);
  CHECK(bits_of(store.values()) == eagerly(2));
}

TEST_CASE("an update by signs on the way, row by row, gives the bits of one at once") {
  sequential threads;
  for (const std::size_t row_size : {16u, 25u, 640u, 768u, 2064u}) {
    CAPTURE(row_size);
    rows_of_one_tensor at_once(row_size), on_the_way(row_size);
    apply(update{some_update(4), rademacher()}, at_once);
    deferred_update<> pending;
    pending.defer(update{some_update(4), rademacher()}, on_the_way, threads);
    on_the_way.for_each_parameter([&](const parameter& p) {
      pending.apply_rows(p, 3, 1);
      pending.apply_rows(p, 1, 6);  // goes around row 3
    });
    pending.flush(on_the_way, threads);
    CHECK(bits_of(on_the_way.values()) == bits_of(at_once.values()));
  }
}

TEST_CASE("compact masters get a deferred update as they get an eager one") {
  for (const master_format format : {master_format::bf16, master_format::int8}) {
    tensors start = assorted();
    start.add(parameter_group::weight, floats(600, 7), floats(8, 8));
    compact_tensors eager(start, format), late(start, format);
    deferred_update<> deferred;
    sequential threads;
    for (std::uint32_t step = 0; step != 3; ++step) {
      apply(update{some_update(step), gaussian()}, eager);
      deferred.defer(update{some_update(step), gaussian()}, late, threads);
      const std::vector<perturbation> points{{{1, 2, 3}, per_group<float>::all(0.5f)}};
      const lanes<gaussian, simd::default_kernels, deferred_update<>> all({points, {}}, &deferred);
      sweep_scratch scratch;
      late.for_each_parameter([&](const parameter& p) {  // a pass reads some of the rows, with the update made
        if (p.row_size != 0)
          all.sweep_rows(p, 0, 2, scratch, [](std::size_t, std::size_t, std::span<const lane_values>) {});
      });
    }
    deferred.flush(late, threads);
    CHECK(bits_of(late.widened().values()) == bits_of(eager.widened().values()));
  }
}
