// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/json_place.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/records.hpp>
#include <zoqat/tasks/text_template.hpp>
#include <zoqat/tasks/white_space.hpp>

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
      : prompt_(format.prompt, {"context", "question"}), completion_(format.completion, {"answer"}), items_(path) {}

  /// `{passage id: {"passage", "qa_pairs": [...]}}`, the official file.
  void read_passages(const io::json_place& all) {
    all.for_each_member([&](const std::string&, const io::json_place& entry) {
      const std::string passage = entry["passage"].text();
      entry["qa_pairs"].for_each([&](const io::json_place& question) { add(passage, question, golds_of(question)); });
    });
  }
  /// `{"passage", "question", "query_id", "answers_spans": {"spans"}}`, as Hugging Face gives it.
  void read_flat(const io::json_place& record) {
    add(record["passage"].text(), record, texts_of(record["answers_spans"]["spans"]));
  }
  /// Questions without golds.
  [[nodiscard]] std::size_t left_out() const noexcept { return left_out_; }
  [[nodiscard]] std::vector<answer_item> items() && { return std::move(items_).take(); }

 private:
  using strings = std::vector<std::string>;

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

  text_template prompt_, completion_;
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
    with_json(path, [&](const io::json_place& all) {
      if (all.value().is_array())
        all.for_each(read_flat);
      else
        reader.read_passages(all);
    });
  }
  if (left_out) *left_out = reader.left_out();
  return std::move(reader).items();
}

}  // namespace zoqat::tasks
