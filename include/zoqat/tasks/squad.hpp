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

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// What becomes of a question of SQuAD; by default as in MeZO (arXiv 2305.17333, its templates.py).
struct squad_format {
  std::string prompt = "Title: {title}\nContext: {context}\nQuestion: {question}\nAnswer:";
  std::string completion = " {answer}\n";  ///< the line end is what a model learns to stop at
  /// The answer to questions that the text does not answer (version 2.0), such as "no answer"; without one they are
  /// left out.
  std::optional<std::string> unanswerable{};
};

namespace detail {

/// The golds of a question; none for one without an answer.
[[nodiscard]] inline std::vector<std::string> squad_answers(const io::json_place& question) {
  const auto impossible = question.find("is_impossible");
  if (impossible && impossible->as<bool>()) return {};
  std::vector<std::string> answers;
  const io::json_place all = question["answers"];
  all.for_each([&](const io::json_place& answer) { answers.push_back(answer["text"].text()); });
  require<io_error>(!answers.empty(), "{}: no answer, though the question is not marked as impossible", all.path());
  return answers;
}

}  // namespace detail

/// Reads a JSON file of SQuAD 1.1 or 2.0. Throws io_error with the way to the value and the value for what is no such
/// file, and value_error for templates with other placeholders than {title}, {context} and {question}, and {answer}.
[[nodiscard]] inline std::vector<answer_item> read_squad(const std::filesystem::path& path,
                                                         const squad_format& format = {}) {
  const text_template prompt(format.prompt, {"title", "context", "question"});
  const text_template completion(format.completion, {"answer"});
  item_list<answer_item> items(path);
  const auto read_question = [&](const std::string& title, const std::string& context,
                                 const io::json_place& question) {
    std::vector<std::string> answers = detail::squad_answers(question);
    if (answers.empty() && !format.unanswerable) return;
    if (answers.empty()) answers.push_back(*format.unanswerable);
    items.push_back({.prompt = prompt({title, context, trimmed(question["question"].text())}),
                     .completion = completion({answers.front()}),
                     .answers = std::move(answers),
                     .id = question["id"].text()});
  };
  const auto read_article = [&](const io::json_place& article) {
    const std::string title = article["title"].text();
    article["paragraphs"].for_each([&](const io::json_place& paragraph) {
      const std::string context = paragraph["context"].text();
      paragraph["qas"].for_each([&](const io::json_place& question) { read_question(title, context, question); });
    });
  };
  const io::json rest = with_parts(path, {"/data"}, [&](const io::json_part& part) {
    if (!part.in_object)
      read_article(io::json_place(part.value, fmt::format("{}: data[{}]", path.native(), part.index)));
  });
  io::json_place(rest, path.native() + ": ")["data"].for_each(read_article);  // an array, which is empty
  return std::move(items).take();
}

}  // namespace zoqat::tasks
