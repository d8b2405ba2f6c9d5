// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json_place.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/records.hpp>
#include <zoqat/tasks/text_template.hpp>
#include <zoqat/tasks/white_space.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::tasks {

/// What becomes of a question of DROP; by default as in MeZO (arXiv 2305.17333, its templates.py).
struct drop_format {
  std::string prompt = "Passage: {context}\nQuestion: {question}\nAnswer:";
  std::string completion = " {answer}\n";  ///< the line end is what a model learns to stop at
};

namespace detail {

/// Makes items of the questions of DROP, whichever form they come in.
class drop_reader {
 public:
  explicit drop_reader(const drop_format& format)
      : prompt_(format.prompt, {"context", "question"}), completion_(format.completion, {"answer"}) {}

  /// `{passage id: {"passage", "qa_pairs": [...]}}`, the official file.
  void read_passages(const io::json_place& all) {
    all.for_each_member([&](const std::string&, const io::json_place& entry) {
      const std::string passage = entry["passage"].text();
      entry["qa_pairs"].for_each([&](const io::json_place& question) {
        std::vector<std::string> answers;
        const io::json_place answer = question["answer"];
        add_answer(answer, answers);
        require<io_error>(!answers.empty(), "{}: neither a number nor a date nor spans", answer.path());
        if (const auto validated = question.find("validated_answers"))
          validated->for_each([&](const io::json_place& more) { add_answer(more, answers); });
        add(passage, question, std::move(answers));
      });
    });
  }
  /// `{"passage", "question", "query_id", "answers_spans": {"spans"}}`, as Hugging Face gives it.
  void read_flat(const io::json_place& record) {
    std::vector<std::string> answers;
    const io::json_place spans = record["answers_spans"]["spans"];
    add_spans(spans, answers);
    require<io_error>(!answers.empty(), "{}: no answer", spans.path());
    add(record["passage"].text(), record, std::move(answers));
  }
  [[nodiscard]] std::vector<answer_item> items() && { return std::move(items_); }

 private:
  void add(const std::string& passage, const io::json_place& question, std::vector<std::string> answers) {
    items_.push_back({.prompt = prompt_({passage, trimmed(question["question"].text())}),
                      .completion = completion_({answers.front()}),
                      .answers = std::move(answers),
                      .id = question["query_id"].text()});
  }
  static void add_spans(const io::json_place& spans, std::vector<std::string>& to) {
    spans.for_each([&](const io::json_place& span) { to.push_back(span.text()); });
  }
  /// An answer is a number, or spans, or a date, whichever is not empty.
  static void add_answer(const io::json_place& answer, std::vector<std::string>& to) {
    if (const std::string number = text_or_nothing(answer, "number"); !number.empty()) return to.push_back(number);
    if (const auto spans = answer.find("spans"); spans && !spans->value().empty()) return add_spans(*spans, to);
    if (const auto date = answer.find("date"))
      if (const std::string text = date_text(*date); !text.empty()) to.push_back(text);
  }
  static std::string date_text(const io::json_place& date) {
    std::string text;
    for (const std::string_view part : {"day", "month", "year"}) {
      const std::string value = text_or_nothing(date, part);
      if (!text.empty() && !value.empty()) text += ' ';
      text += value;
    }
    return text;
  }
  static std::string text_or_nothing(const io::json_place& object, std::string_view key) {
    const auto member = object.find(key);
    return member ? member->text() : std::string();
  }

  text_template prompt_, completion_;
  std::vector<answer_item> items_;
};

}  // namespace detail

/// Reads the official JSON file of DROP, or the flat records of Hugging Face's form, in an array or, where the file's
/// name ends in `.jsonl`, one in a line. Every span counts as an answer of its own, as in MeZO, and so does
/// every validated answer; a date is its day, month and year, as far as they are there.
///
/// Throws io_error with the way to the value and the value for what is no such file, and value_error for templates
/// with other placeholders than {context} and {question}, and {answer}.
[[nodiscard]] inline std::vector<answer_item> read_drop(const std::filesystem::path& path,
                                                        const drop_format& format = {}) {
  detail::drop_reader reader(format);
  const auto read_flat = [&](const io::json_place& record) { reader.read_flat(record); };
  if (path.extension() == ".jsonl") {
    for_each_record(path, read_flat);
  } else {
    with_json(path, [&](const io::json_place& all) {
      if (all.value().is_array()) all.for_each(read_flat);
      else reader.read_passages(all);
    });
  }
  return std::move(reader).items();
}

}  // namespace zoqat::tasks
