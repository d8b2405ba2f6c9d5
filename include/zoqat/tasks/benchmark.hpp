// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/name_pattern.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/tasks/arc.hpp>
#include <zoqat/tasks/boolq.hpp>
#include <zoqat/tasks/gsm8k.hpp>
#include <zoqat/tasks/hellaswag.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/mmlu.hpp>
#include <zoqat/tasks/openbookqa.hpp>
#include <zoqat/tasks/piqa.hpp>
#include <zoqat/tasks/rte.hpp>
#include <zoqat/tasks/shots.hpp>
#include <zoqat/tasks/winogrande.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// The items of a benchmark, whichever kind they are.
using benchmark_items = std::variant<std::vector<choice_item>, std::vector<cloze_item>, std::vector<answer_item>>;

/// A task as lm-evaluation-harness defines it, and the files that it is read from.
struct benchmark {
  std::string_view name;    ///< in the harness
  double version;           ///< of its definition there (release 0.4)
  bool normalized;          ///< whether it has `acc_norm` beside `acc`
  std::size_t shots;        ///< examples before a question, unless a user says otherwise
  std::string_view folder;  ///< where its files lie in a folder of all tasks
  /// Names of the file that is scored and of that with examples, by patterns of the shell, the best first.
  std::array<std::string_view, 4> scored, examples;
  benchmark_items (*read)(const std::filesystem::path&);
};

namespace detail {

/// What a reader reads, in its format unless another is asked for.
template <auto Read>
[[nodiscard]] benchmark_items items_of(const std::filesystem::path& path) {
  if constexpr (requires { Read(path); })
    return Read(path);
  else
    return Read(path, {});
}

}  // namespace detail

// A line or two for each.
// clang-format off

/// The benchmarks of the paper's tables and of those like it. MMLU stands for one subject: `find_benchmarks` makes as
/// many of it as there are.
inline constexpr std::array<benchmark, 10> benchmarks{{
    {"piqa", 1, true, 0, "piqa", {"valid.jsonl", "*valid*.json*"}, {"train.jsonl"}, detail::items_of<read_piqa>},
    {"arc_easy", 1, true, 0, "arc", {"*Easy*Test*.json*"}, {"*Easy*Train*.json*"}, detail::items_of<read_arc>},
    {"arc_challenge", 1, true, 0, "arc", {"*Chall*Test*.json*"}, {"*Chall*Train*.json*"}, detail::items_of<read_arc>},
    {"hellaswag", 1, true, 0, "hellaswag", {"hellaswag_val.jsonl", "*val*.json*", "*val*.txt"}, {"*train*.json*"},
     detail::items_of<read_hellaswag>},
    {"winogrande", 1, false, 0, "winogrande", {"dev.jsonl", "*valid*.json*"}, {"train_xl.jsonl", "*train*xl*.json*"},
     detail::items_of<read_winogrande>},
    {"mmlu", 1, false, 5, "mmlu", {}, {}, detail::items_of<read_mmlu>},
    {"boolq", 2, false, 0, "boolq", {"val.jsonl", "dev.jsonl", "*val*.json*", "*test*.json"}, {"train.jsonl"},
     detail::items_of<read_boolq>},
    {"openbookqa", 1, true, 0, "openbookqa", {"test.jsonl", "*test*.json"}, {"train.jsonl"},
     detail::items_of<read_openbookqa>},
    {"rte", 1, false, 0, "rte", {"dev.tsv", "val.jsonl", "*val*.json*"}, {"train.tsv", "train.jsonl"},
     detail::items_of<read_rte>},
    {"gsm8k", 3, false, 5, "gsm8k", {"test.jsonl", "*test*.json*"}, {"train.jsonl", "*train*.json*"},
     detail::items_of<read_gsm8k>},
}};

// clang-format on

/// A benchmark with its files.
struct found_benchmark {
  const benchmark* what;
  std::string name;                                 ///< that of `what`, or of a subject, as mmlu_astronomy
  std::filesystem::path scored;                     ///< its items
  std::optional<std::filesystem::path> examples{};  ///< those that go before them
  std::string description{};                        ///< begins its prompts

  /// Whether it is a part of `what`, whose accuracy is the mean over all items of the parts.
  [[nodiscard]] bool is_part() const noexcept { return name != what->name; }
};

namespace detail {

/// The files that an iterator over a folder finds, by name. One that cannot be read has none: whoever misses a file
/// says where it was looked for.
template <class Iterator>
[[nodiscard]] std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code ignored;
  for (Iterator at(folder.empty() ? "." : folder, ignored); at != Iterator(); at.increment(ignored))
    if (at->is_regular_file(ignored)) files.push_back(at->path());
  std::ranges::sort(files);
  return files;
}
[[nodiscard]] inline std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder) {
  return files_in<std::filesystem::recursive_directory_iterator>(folder);
}
[[nodiscard]] inline std::vector<std::filesystem::path> files_beside(const std::filesystem::path& file) {
  return files_in<std::filesystem::directory_iterator>(file.parent_path());
}

/// The file whose name matches the first of the patterns that any matches. Throws io_error where several do.
[[nodiscard]] inline std::optional<std::filesystem::path> file_like(std::span<const std::filesystem::path> files,
                                                                    std::span<const std::string_view> patterns,
                                                                    std::string_view task) {
  for (const std::string_view pattern : patterns) {
    std::vector<std::filesystem::path> found;
    for (const auto& file : files)
      if (matches_pattern(std::string(pattern), file.filename().native())) found.push_back(file);
    if (found.size() > 1)
      fail<io_error>("{}: both {} and {} may be meant; say which, as {}=FILE", task, found.front().native(),
                     found.back().native(), task);
    if (!found.empty()) return found.front();
  }
  return std::nullopt;
}

/// The file among these that examples before questions come from; never the one of the questions, which would show
/// their answers.
[[nodiscard]] inline std::optional<std::filesystem::path> examples_like(std::vector<std::filesystem::path> files,
                                                                        const benchmark& what,
                                                                        const std::filesystem::path& scored) {
  std::error_code ignored;
  std::erase_if(files, [&](const auto& file) { return std::filesystem::equivalent(file, scored, ignored); });
  return file_like(files, what.examples, what.name);
}

[[nodiscard]] inline found_benchmark find_in(const benchmark& what, const std::filesystem::path& folder) {
  const auto files = files_below(folder);
  const auto scored = file_like(files, what.scored, what.name);
  std::vector<std::string_view> names(what.scored.begin(), std::ranges::find(what.scored, std::string_view{}));
  require<io_error>(scored.has_value(), "{}: there is no file of a name like {} in {}; name one as {}=FILE",
                    what.name, fmt::join(names, " or "), folder.native(), what.name);
  return {&what, std::string(what.name), *scored, examples_like(files, what, *scored)};
}

/// The subjects of MMLU: those of all files SUBJECT_test.csv, with the examples in SUBJECT_dev.csv.
[[nodiscard]] inline std::vector<found_benchmark> find_subjects(const benchmark& what, std::string_view wanted,
                                                                const std::filesystem::path& folder) {
  constexpr std::string_view ending = "_test.csv";
  const auto files = files_below(folder);
  std::vector<found_benchmark> subjects;
  for (const auto& file : files) {
    std::string subject = file.filename().native();
    if (!subject.ends_with(ending)) continue;
    subject.resize(subject.size() - ending.size());
    const std::string name = fmt::format("{}_{}", what.name, subject), dev = subject + "_dev.csv";
    if (wanted != what.name && wanted != name) continue;
    subjects.push_back(
        {&what, name, file, file_like(files, std::array{std::string_view(dev)}, name), mmlu_description(subject)});
  }
  require<io_error>(!subjects.empty(),
                    "{}: there is no file SUBJECT_test.csv of it in {}; name the folder as {}=FOLDER", wanted,
                    folder.native(), wanted);
  return subjects;
}

[[nodiscard]] inline const benchmark& benchmark_of(std::string_view name) {
  const auto has = [&](const benchmark& b) {
    return name == b.name || (b.name == "mmlu" && name.starts_with("mmlu_"));
  };
  const auto found = std::ranges::find_if(benchmarks, has);
  std::vector<std::string_view> all;
  for (const benchmark& b : benchmarks) all.push_back(b.name);
  require(found != benchmarks.end(), "there is no task '{}'; there are {} and mmlu_SUBJECT", name,
          fmt::join(all, ", "));
  return *found;
}

/// Throws value_error, with its files, for a task that is there twice: its items would count twice in a group.
inline void require_once_each(std::span<const found_benchmark> found) {
  for (auto one = found.begin(); one != found.end(); ++one) {
    const auto other = std::find_if(found.begin(), one, [&](const auto& f) { return f.name == one->name; });
    require(other == one, "{}: comes twice, from {} and {}; name it once, or keep one file", one->name,
            other->scored.native(), one->scored.native());
  }
}

}  // namespace detail

/// Finds the files of tasks, each given as NAME, whose files lie in a folder below `folder` or deeper, or as
/// NAME=PATH with its file, or its folder. Throws value_error for a name that is none and for a task that comes
/// twice, and io_error, with the names that were looked for, where a file is not there or several may be meant.
[[nodiscard]] inline std::vector<found_benchmark> find_benchmarks(std::span<const std::string> wanted,
                                                                  const std::filesystem::path& folder) {
  std::vector<found_benchmark> found;
  for (const std::string& one : wanted) {
    const std::string name = one.substr(0, one.find('='));
    const benchmark& what = detail::benchmark_of(name);
    const std::filesystem::path path =
        name.size() < one.size() ? std::filesystem::path(one.substr(name.size() + 1)) : folder / what.folder;
    std::error_code ignored;
    if (what.scored.front().empty())
      std::ranges::move(detail::find_subjects(what, name, path), std::back_inserter(found));
    else if (std::filesystem::is_regular_file(path, ignored))
      found.push_back({&what, name, path, detail::examples_like(detail::files_beside(path), what, path)});
    else
      found.push_back(detail::find_in(what, path));
  }
  detail::require_once_each(found);
  return found;
}

/// Reads the items of a benchmark, the first `limit` of them if that is not 0, with `count` examples before each.
/// Throws as its reader does, and io_error where there is no file that examples could come from.
[[nodiscard]] inline benchmark_items read_benchmark(const found_benchmark& from, std::size_t count,
                                                    std::size_t limit = 0) {
  require<io_error>(count == 0 || from.examples.has_value(),
                    "{}: the {} before each question come from another file, and beside {} there is none; get it, or "
                    "ask for no examples",
                    from.name, plural(count, "example"), from.scored.native());
  benchmark_items all = from.what->read(from.scored);
  std::visit(
      [&]<class Item>(std::vector<Item>& items) {
        require<io_error>(!items.empty(), "{}: holds no items", from.scored.native());
        if (limit > 0 && limit < items.size()) items.resize(limit);
        std::vector<Item> examples;
        if (count > 0) examples = std::get<std::vector<Item>>(from.what->read(*from.examples));
        require<io_error>(count <= examples.size(), "{}: {} before each question are wanted, but it holds {}",
                          count > 0 ? from.examples->native() : "", plural(count, "example"), examples.size());
        add_shots(items, examples,
                  {.count = count, .first = from.what->name == "mmlu", .description = from.description});
      },
      all);
  return all;
}

}  // namespace zoqat::tasks
