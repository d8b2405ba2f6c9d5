// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json_place.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/records.hpp>
#include <zoqat/tasks/text_template.hpp>
#include <zoqat/tasks/white_space.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// What becomes of a question of DROP; by default as in MeZO (arXiv 2305.17333, its templates.py).
struct drop_format {
  std::string prompt = "Passage: {context}\nQuestion: {question}\nAnswer:";
  std::string completion = " {answer}\n";  ///< the line end is what a model learns to stop at
};

namespace detail {

/// Makes items of the questions of DROP, whichever form they come in.
class drop_reader {
 public:
  drop_reader(const std::filesystem::path& path, const drop_format& format)
      : path_(path),
        prompt_(format.prompt, {"context", "question"}),
        completion_(format.completion, {"answer"}),
        items_(path) {}

  /// A member of `{passage id: {"passage", "qa_pairs": [...]}}`, the official file.
  void read_passage(std::string_view id, const io::json_place& entry) {
    const std::size_t first = items_.size();
    const std::string passage = entry["passage"].text();
    entry["qa_pairs"].for_each([&](const io::json_place& question) { add(passage, question, golds_of(question)); });
    if (items_.size() != first) passages_.push_back({std::string(id), first, items_.size() - first});
  }
  /// `{"passage", "question", "query_id", "answers_spans": {"spans"}}`, as Hugging Face gives it.
  void read_flat(const io::json_place& record) {
    add(record["passage"].text(), record, texts_of(record["answers_spans"]["spans"]));
  }
  /// Questions without golds.
  [[nodiscard]] std::size_t left_out() const noexcept { return left_out_; }
  /// All items; passages are in the order of their ids, whatever theirs in the file is. Throws io_error where two
  /// have the same.
  [[nodiscard]] std::vector<answer_item> items() && {
    std::vector<answer_item> read = std::move(items_).take();
    if (passages_.empty()) return read;
    std::ranges::sort(passages_, {}, &passage_items::id);
    const auto twice = std::ranges::adjacent_find(passages_, {}, &passage_items::id);
    if (twice != passages_.end()) fail<io_error>("{}: JSON key \"{}\" comes twice", path_.native(), twice->id);
    std::vector<answer_item> sorted;
    sorted.reserve(read.size());
    for (const passage_items& p : passages_)
      for (std::size_t i = p.first; i != p.first + p.count; ++i) sorted.push_back(std::move(read[i]));
    return sorted;
  }

 private:
  using strings = std::vector<std::string>;
  struct passage_items {
    std::string id;
    std::size_t first = 0, count = 0;
  };

  void add(const std::string& passage, const io::json_place& question, strings golds) {
    if (golds.empty()) {
      ++left_out_;
      return;
    }
    items_.push_back({.prompt = prompt_({passage, trimmed(question["question"].text())}),
                      .completion = completion_({golds.front()}),
                      .answers = std::move(golds),
                      .id = question["query_id"].text()});
  }
  /// What validators answered, or where nobody did, the answer itself. None where one of these answers is of two
  /// kinds at once, so that nobody can say which is meant, or all are empty.
  static strings golds_of(const io::json_place& question) {
    strings golds;
    bool clear = true;
    const auto add = [&](const io::json_place& answer) { clear &= add_answer(answer, golds); };
    const auto validated = question.find("validated_answers");
    if (validated && !validated->value().empty())
      validated->for_each(add);
    else
      add(question["answer"]);
    return clear ? golds : strings{};
  }
  /// Adds the texts of an answer, which is a number, a date or spans, or empty; false where it is several of these.
  static bool add_answer(const io::json_place& answer, strings& to) {
    const std::string number = text_or_nothing(answer, "number");
    const auto date = answer.find("date"), spans = answer.find("spans");
    std::size_t kinds = 0;
    for (const strings& texts : {number.empty() ? strings{} : strings{number}, date ? date_of(*date) : strings{},
                                 spans ? texts_of(*spans) : strings{}}) {
      kinds += !texts.empty();
      to.insert(to.end(), texts.begin(), texts.end());
    }
    return kinds <= 1;
  }
  static strings texts_of(const io::json_place& spans) {
    strings texts;
    spans.for_each([&](const io::json_place& span) { texts.push_back(span.text()); });
    return texts;
  }
  static strings date_of(const io::json_place& date) {
    std::string text;
    for (const std::string_view part : {"day", "month", "year"}) {
      const std::string value = text_or_nothing(date, part);
      if (!text.empty() && !value.empty()) text += ' ';
      text += value;
    }
    return text.empty() ? strings{} : strings{text};
  }
  static std::string text_or_nothing(const io::json_place& object, std::string_view key) {
    const auto member = object.find(key);
    return member ? member->text() : std::string();
  }

  const std::filesystem::path& path_;
  text_template prompt_, completion_;
  std::vector<passage_items> passages_;  // that have items
  item_list<answer_item> items_;
  std::size_t left_out_ = 0;
};

}  // namespace detail

/// Reads the official JSON file of DROP, or the flat records of Hugging Face's form, in an array or, where the file's
/// name ends in `.jsonl`, one in a line. Golds are those of Hugging Face's reader, and so MeZO's:
/// `validated_answers` where there are any (in the dev file), else `answer`; every span is a gold of its own; a date
/// is its day, month and year, as far as they are there. Questions that this reader skips are left out here too:
/// those whose answer is empty or of two kinds, a few in each official file. `left_out`, if given, gets how many they
/// were.
///
/// Throws io_error with the way to the value and the value for what is no such file, and value_error for templates
/// with other placeholders than {context} and {question}, and {answer}.
[[nodiscard]] inline std::vector<answer_item> read_drop(const std::filesystem::path& path,
                                                        const drop_format& format = {},
                                                        std::size_t* left_out = nullptr) {
  detail::drop_reader reader(path, format);
  const auto read_flat = [&](const io::json_place& record) { reader.read_flat(record); };
  if (path.extension() == ".jsonl") {
    for_each_record(path, read_flat);
  } else {
    const io::json rest = with_parts(path, {""}, [&](const io::json_part& part) {
      if (part.in_object)
        reader.read_passage(part.name, io::json_place(part.value, fmt::format("{}: {}", path.native(), part.name)));
      else
        read_flat(io::json_place(part.value, fmt::format("{}: [{}]", path.native(), part.index)));
    });
    require<io_error>(rest.is_structured(), "{}: an object or an array is wanted, but there is {}", path.native(),
                      io::detail::shown(rest));
  }
  if (left_out) *left_out = reader.left_out();
  return std::move(reader).items();
}

}  // namespace zoqat::tasks
