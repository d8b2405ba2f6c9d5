// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json_place.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/records.hpp>

#include <cstddef>
#include <filesystem>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// Reads choices that are written out, for tasks without a format of their own: JSON lines (`.jsonl`) or an array of
/// objects with `prompt`, `choices` (at least two texts, each with the white space that parts it from the prompt) and
/// `correct`, the number of the right one from 0. Throws io_error with the line or element, the member and the value
/// for what is no such file.
[[nodiscard]] inline std::vector<choice_item> read_choices(const std::filesystem::path& path) {
  item_list<choice_item> items(path);
  for_each_record(path, [&](const io::json_place& record) {
    choice_item item{.prompt = record["prompt"].text(), .choices = {}, .correct = 0};
    const io::json_place choices = record["choices"], correct = record["correct"];
    choices.for_each([&](const io::json_place& choice) {
      item.choices.push_back(choice.text());
      require<io_error>(!item.choices.back().empty(), "{}: the choice is empty; it has no token to be scored by",
                        choice.path());
    });
    require<io_error>(item.choices.size() > 1, "{}: {} choices, but at least two are wanted", choices.path(),
                      item.choices.size());
    item.correct = correct.as<std::size_t>();
    require<io_error>(item.correct < item.choices.size(), "{}: {} is the number of none of the {} choices",
                      correct.path(), item.correct, item.choices.size());
    items.push_back(std::move(item));
  });
  return std::move(items).take();
}

}  // namespace zoqat::tasks
