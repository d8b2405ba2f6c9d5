// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/python_random.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// The examples that go before a question, as lm-evaluation-harness puts them there.
struct shots {
  std::size_t count = 0;
  bool first = false;         ///< the first ones of their file for every question, instead of drawn ones for each
  std::uint32_t seed = 1234;  ///< of the draws: the harness's `--seed` of few-shot examples
  std::string description{};  ///< begins every prompt, also where there are no examples
  std::string delimiter = "\n\n";  ///< after each example
};

/// A question with its answer, as text.
[[nodiscard]] inline std::string solved(const choice_item& item) { return item.prompt + item.choices[item.correct]; }
[[nodiscard]] inline std::string solved(const cloze_item& item) {
  return item.prompts[item.correct] + item.completion;
}
[[nodiscard]] inline std::string solved(const answer_item& item) { return item.prompt + item.completion; }

namespace detail {

inline void put_before(choice_item& item, const std::string& text) { item.prompt.insert(0, text); }
inline void put_before(answer_item& item, const std::string& text) { item.prompt.insert(0, text); }
inline void put_before(cloze_item& item, const std::string& text) {
  for (std::string& prompt : item.prompts) prompt.insert(0, text);
}

}  // namespace detail

/// Puts examples before the questions, in the order in which the harness draws them for these questions one after the
/// other: so `items` begin with the first question of the task, and examples are as many and in the order as they are
/// in its file. Throws value_error where there are fewer examples than wanted.
template <class Item>
void add_shots(std::vector<Item>& items, const std::vector<Item>& examples, const shots& how) {
  require(how.count <= examples.size(), "{} before each question are wanted, but there are {}",
          plural(how.count, "example"), examples.size());
  python_random draw(how.seed);
  std::vector<std::size_t> chosen(how.count);
  std::iota(chosen.begin(), chosen.end(), std::size_t{0});
  for (Item& item : items) {
    if (!how.first && how.count > 0) chosen = draw.sample(static_cast<std::uint32_t>(examples.size()), how.count);
    std::string before = how.description;
    for (const std::size_t i : chosen) before.append(solved(examples[i])).append(how.delimiter);
    detail::put_before(item, before);
  }
}

}  // namespace zoqat::tasks
