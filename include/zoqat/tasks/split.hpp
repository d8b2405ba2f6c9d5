// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/random/stream.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// What happens where a file has fewer items to train and validate with than are asked for.
enum class shortage {
  proportional,  ///< both parts shrink by one factor (what rounding leaves over trains), so that all items are used
  refused,       ///< value_error
};

/// The few-shot protocol of MeZO and the paper (appendix C.3): 1,000 items to train with, 500 to choose a checkpoint
/// by, 1,000 to test with. MeZO draws 150 and 100 from the 250 of CB.
struct few_shot {
  std::size_t train = 1000, validation = 500, test = 1000;
  std::uint64_t seed = 0;       ///< of the items to train and validate with
  std::uint64_t test_seed = 0;  ///< of those to test with: seeds are compared on the same ones
  shortage when_short = shortage::proportional;
};

template <class Item>
struct task_split {
  std::vector<Item> train, validation, test;
};

namespace detail {

/// `count` of the numbers below `all`, each set and order with equal odds.
[[nodiscard]] inline std::vector<std::uint32_t> draw_distinct(std::size_t all, std::size_t count,
                                                              rng::stream stream) {
  rng::engine engine(stream);
  std::vector<std::uint32_t> numbers(all);
  std::iota(numbers.begin(), numbers.end(), 0u);
  for (std::size_t i = 0; i != count; ++i)
    std::swap(numbers[i], numbers[i + engine.below(static_cast<std::uint32_t>(all - i))]);
  numbers.resize(count);
  return numbers;
}

/// The sizes of the training and the validation part that `available` items make.
[[nodiscard]] inline std::pair<std::size_t, std::size_t> part_sizes(std::size_t available, const few_shot& wanted) {
  const std::size_t sum = wanted.train + wanted.validation;
  if (available >= sum) return {wanted.train, wanted.validation};
  require(wanted.when_short == shortage::proportional,
          "split: asked for {} to train and {} to validate with, but there are {}", plural(wanted.train, "item"),
          wanted.validation, available);
  const std::size_t validation = available * wanted.validation / sum, train = available - validation;
  require((train > 0 || wanted.train == 0) && (validation > 0 || wanted.validation == 0),
          "split: cannot train and validate with {} in all", plural(available, "item"));
  return {train, validation};
}

template <class Item>
[[nodiscard]] std::vector<Item> items_at(const std::vector<Item>& items, std::span<const std::uint32_t> which) {
  std::vector<Item> chosen;
  chosen.reserve(which.size());
  for (const std::uint32_t i : which) chosen.push_back(items[i]);
  return chosen;
}

}  // namespace detail

/// Draws the parts of a task: `train` and `validation` from `training`, without overlap, and at most as many `test`
/// items as are asked for from `evaluation`, in their order there. The same seeds draw the same items everywhere.
/// Throws value_error where there are too few to train and validate with, as `when_short` says, and where there are
/// none to test with.
template <class Item>
[[nodiscard]] task_split<Item> split(const std::vector<Item>& training, const std::vector<Item>& evaluation,
                                     const few_shot& wanted = {}) {
  require(!evaluation.empty() || wanted.test == 0,
          "split: there are no items to test with; give a file that has some");
  constexpr std::uint32_t of_training = 1, of_evaluation = 2;  // apart from what data order draws by the same seed
  const auto [train, validation] = detail::part_sizes(training.size(), wanted);
  const auto drawn = detail::draw_distinct(training.size(), train + validation,
                                           {.seed = wanted.seed, .index = of_training, .use = rng::purpose::data});
  auto test = detail::draw_distinct(evaluation.size(), std::min(wanted.test, evaluation.size()),
                                    {.seed = wanted.test_seed, .index = of_evaluation, .use = rng::purpose::data});
  std::ranges::sort(test);
  const std::span<const std::uint32_t> all = drawn;
  return {detail::items_at(training, all.first(train)), detail::items_at(training, all.subspan(train)),
          detail::items_at(evaluation, test)};
}

}  // namespace zoqat::tasks
