// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/io/json_place.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/label.hpp>
#include <zoqat/tasks/labeled_choices.hpp>
#include <zoqat/tasks/lines.hpp>
#include <zoqat/tasks/records.hpp>
#include <zoqat/tasks/text_template.hpp>
#include <zoqat/tasks/white_space.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// What becomes of an item of HellaSwag (arXiv 1905.07830); by default as in hellaswag 1.0 of lm-evaluation-harness.
struct hellaswag_format {
  std::string prompt = "{activity}: {context}";
  std::string choice = " {ending}";
};

namespace detail {

/// A text with every `what` replaced, from the left, as Python's str.replace does.
[[nodiscard]] inline std::string replaced(std::string_view text, std::string_view what, std::string_view by) {
  std::string result;
  for (;;) {
    const std::size_t at = text.find(what);
    result += text.substr(0, at);
    if (at == text.npos) return result;
    result += by;
    text.remove_prefix(at + what.size());
  }
}

/// A text without what stands in brackets that close on their line, from one that opens to the next that closes.
[[nodiscard]] inline std::string without_brackets(std::string_view text) {
  std::string result;
  for (;;) {
    const std::size_t open = text.find('['), close = text.find_first_of("]\n", std::min(open, text.size()));
    result += text.substr(0, open);
    if (open == text.npos || close == text.npos) return result += text.substr(std::min(open, text.size()));
    if (text[close] == '\n') result += text.substr(open, close + 1 - open);
    text.remove_prefix(close + 1);
  }
}

/// A text of HellaSwag without what WikiHow left in it, as the harness cleans it: " [title]" ends a sentence, other
/// words in brackets such as [header] and [step] go, and two spaces become one.
[[nodiscard]] inline std::string clean_hellaswag(std::string_view raw) {
  return replaced(without_brackets(replaced(trimmed(raw), " [title]", ". ")), "  ", " ");
}

/// Python's capitalize() for ASCII: the first letter large, all others small.
[[nodiscard]] inline std::string capitalized(std::string text) {
  const auto is_between = [](char c, char first, char last) { return c >= first && c <= last; };
  for (char& c : text)
    if (is_between(c, 'A', 'Z')) c = static_cast<char>(c + ('a' - 'A'));
  if (!text.empty() && is_between(text.front(), 'a', 'z'))
    text.front() = static_cast<char>(text.front() - ('a' - 'A'));
  return text;
}

inline constexpr std::array<std::string_view, 4> hellaswag_labels{"0", "1", "2", "3"};

/// Makes items of what the files of HellaSwag hold.
class hellaswag_reader {
 public:
  hellaswag_reader(const std::filesystem::path& path, const hellaswag_format& format)
      : prompt_(format.prompt, {"activity", "context"}), ending_(format.choice, {"ending"}), items_(path) {}

  void add(const io::json_place& record) {
    std::vector<std::string> endings;
    record["endings"].for_each([&](const io::json_place& ending) { endings.push_back(ending.text()); });
    const auto first = record.find("ctx_a");
    std::string prompt =
        first ? prompt_({record["activity_label"].text(), first->text() + " " + capitalized(record["ctx_b"].text())})
              : record["ctx"].text();
    add(std::move(prompt), std::move(endings), label_text(record["label"]), record.path());
  }
  void add(std::string_view context, std::vector<std::string> endings, std::string_view label,
           std::string_view place) {
    require<io_error>(endings.size() == hellaswag_labels.size(), "{}: {}, but {} are wanted", place,
                      plural(endings.size(), "ending"), hellaswag_labels.size());
    for (std::string& ending : endings) ending = clean_hellaswag(ending);
    items_.push_back({.prompt = clean_hellaswag(context),
                      .choices = candidates_of(endings, ending_, place),
                      .correct = index_of_label(label, hellaswag_labels, place)});
  }
  [[nodiscard]] std::vector<choice_item> items() && { return std::move(items_).take(); }

 private:
  text_template prompt_, ending_;
  item_list<choice_item> items_;
};

/// The six lines of each item in the file that llama-perplexity --hellaswag reads: context, label, endings.
inline void read_hellaswag_lines(const std::filesystem::path& path, hellaswag_reader& reader) {
  std::vector<std::string> lines;
  std::string begins;
  for_each_line(path, [&](std::string_view line, const std::string& place) {
    if (lines.empty()) begins = place;
    lines.emplace_back(line);
    if (lines.size() < 6) return;
    reader.add(lines[0], {lines.begin() + 2, lines.end()}, trimmed(lines[1]), begins);
    lines.clear();
  });
  require<io_error>(lines.empty(), "{}: the last item has {}, but context, label and four endings are wanted", begins,
                    plural(lines.size(), "line"));
}

}  // namespace detail

/// Reads a file of HellaSwag. In the official JSON lines (`.jsonl`, or an array) a record has `activity_label`,
/// `ctx_a`, `ctx_b`, `endings` and `label`. Files that were made of them have `ctx` alone, "activity: ctx_a ctx_b",
/// or
/// (`.txt`) six lines an item as llama-perplexity --hellaswag reads them: there ctx_b does not begin with a capital
/// as the harness makes it, so that log-likelihoods differ a little from the harness's.
///
/// Throws io_error with the line, the member and the value for what is no such file, and value_error for templates
/// with other placeholders than {activity}, {context} and {ending}.
[[nodiscard]] inline std::vector<choice_item> read_hellaswag(const std::filesystem::path& path,
                                                             const hellaswag_format& format = {}) {
  detail::hellaswag_reader reader(path, format);
  if (path.extension() == ".txt")
    detail::read_hellaswag_lines(path, reader);
  else
    for_each_record(path, [&](const io::json_place& record) { reader.add(record); });
  return std::move(reader).items();
}

}  // namespace zoqat::tasks
