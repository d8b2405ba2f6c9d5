// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/split.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <numeric>
#include <set>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using numbers = std::vector<int>;

numbers count_to(int n) {
  numbers all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace

TEST_CASE("training and validation items are drawn without overlap, test items in the order of their file") {
  const auto parts = tasks::split(count_to(2000), count_to(1500));
  CHECK(parts.train.size() == 1000);
  CHECK(parts.validation.size() == 500);
  CHECK(parts.test.size() == 1000);
  std::set<int> drawn(parts.train.begin(), parts.train.end());
  drawn.insert(parts.validation.begin(), parts.validation.end());
  CHECK(drawn.size() == 1500);
  CHECK(*drawn.rbegin() < 2000);
  CHECK(!std::ranges::is_sorted(parts.train));
  CHECK(std::ranges::is_sorted(parts.test));
  CHECK(std::ranges::adjacent_find(parts.test) == parts.test.end());
  CHECK(parts.test.back() >= 1000);
  CHECK(tasks::split(count_to(1500), count_to(872)).test == count_to(872));
}

// The numbers come from an independent implementation of the generator and of the draw.
TEST_CASE("the draw follows from the seeds alone, the same on every machine") {
  const tasks::few_shot wanted{.train = 4, .validation = 2, .test = 3, .seed = 7};
  const auto parts = tasks::split(count_to(20), count_to(10), wanted);
  CHECK(parts.train == numbers{12, 3, 13, 15});
  CHECK(parts.validation == numbers{1, 17});
  CHECK(parts.test == numbers{4, 5, 6});

  auto other = wanted;
  other.seed = 8;
  const auto by_other = tasks::split(count_to(20), count_to(10), other);
  CHECK(by_other.train != parts.train);
  CHECK(by_other.test == parts.test);  // so that seeds are compared on the same items
  other.test_seed = 1;
  CHECK(tasks::split(count_to(20), count_to(10), other).test != parts.test);
}

TEST_CASE("every item has the same odds") {
  std::map<int, int> trained, tested;
  for (std::uint64_t seed = 0; seed != 3000; ++seed) {
    const auto parts = tasks::split(count_to(10), count_to(10),
                                    {.train = 3, .validation = 2, .test = 4, .seed = seed, .test_seed = seed});
    for (const int i : parts.train) ++trained[i];
    for (const int i : parts.test) ++tested[i];
  }
  for (int i = 0; i != 10; ++i) {  // six standard deviations of a binomial
    CHECK(std::abs(trained[i] - 900) < 6 * 25);
    CHECK(std::abs(tested[i] - 1200) < 6 * 27);
  }
}

TEST_CASE("too few items make smaller parts, or an error, as one wishes") {
  const auto parts = tasks::split(count_to(250), count_to(56));
  CHECK(parts.train.size() == 167);
  CHECK(parts.validation.size() == 83);
  CHECK(parts.test.size() == 56);
  const auto mezo = tasks::split(count_to(250), count_to(56), {.train = 150, .validation = 100});
  CHECK(mezo.train.size() == 150);
  CHECK(mezo.validation.size() == 100);
  CHECK(tasks::split(count_to(3), count_to(1)).train.size() == 2);
  CHECK(tasks::split(count_to(1), count_to(1), {.train = 5, .validation = 0}).train.size() == 1);
  CHECK(tasks::split(count_to(0), count_to(0), {.train = 0, .validation = 0, .test = 0}).train.empty());

  const auto failure = [](int items, const tasks::few_shot& wanted, int tests = 1) {
    return message_of<value_error>(
        [&] { static_cast<void>(tasks::split(count_to(items), count_to(tests), wanted)); });
  };
  check_mentions(failure(250, {.when_short = tasks::shortage::refused}), "1000", "500", "there are 250");
  check_mentions(failure(2, {}), "with 2 items in all");
  check_mentions(failure(0, {}), "with 0 items in all");
  check_mentions(failure(2000, {}, 0), "no items to test with");
}
