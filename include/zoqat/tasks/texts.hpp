// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json_place.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/records.hpp>
#include <zoqat/text/chat_template.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// Where the text of a record is, and how conversations become text.
struct text_records {
  std::string field = "text";
  std::optional<text::chat_template> chat = std::nullopt;
};

namespace detail {

/// The turns of a conversation: [{"role", "content"}, …] or ShareGPT's [{"from", "value"}, …], whose system may stand
/// beside them.
inline std::vector<text::chat_message> read_turns(const io::json_place& record, const io::json_place& turns) {
  std::vector<text::chat_message> messages;
  if (const auto system = record.find("system"); system && !system->text().empty())
    messages.push_back({"system", system->text()});
  turns.for_each([&](const io::json_place& turn) {
    const auto from = turn.find("from");
    std::string role = (from ? *from : turn["role"]).text();
    for (const auto& [other, usual] : {std::pair{"human", "user"}, {"gpt", "assistant"}})
      if (role == other) role = usual;
    messages.push_back({std::move(role), turn[from ? "value" : "content"].text()});
  });
  return messages;
}

/// An instruction in Alpaca's form as a conversation of two turns.
inline std::vector<text::chat_message> read_instruction(const io::json_place& record) {
  const auto input = record.find("input");
  const std::string given = input ? input->text() : std::string();
  return {{"user", record["instruction"].text() + (given.empty() ? "" : "\n\n" + given)},
          {"assistant", record["output"].text()}};
}

}  // namespace detail

/// The texts of a data set, one for each record of a `.json` or `.jsonl` file: what stands under "text" or another
/// `field`, a conversation under "messages" or "conversations", or an instruction in Alpaca's form; conversations and
/// instructions are written as `chat` says. Throws io_error, with the way to the record, where it holds none of
/// these, and where there is no `chat` for what needs it.
[[nodiscard]] inline std::vector<std::string> read_texts(const std::filesystem::path& path,
                                                         const text_records& how = {}) {
  item_list<std::string> texts(path);
  for_each_record(path, [&](const io::json_place& record) {
    if (const auto text = record.find(how.field)) return texts.push_back(text->text());
    std::vector<text::chat_message> messages;
    for (const std::string_view key : {"messages", "conversations"})
      if (const auto turns = record.find(key)) messages = detail::read_turns(record, *turns);
    if (messages.empty() && record.find("instruction")) messages = detail::read_instruction(record);
    require<io_error>(!messages.empty(),
                      "{}: a record with \"{}\", \"messages\", \"conversations\" or \"instruction\" is wanted",
                      record.path(), how.field);
    require<io_error>(
        how.chat.has_value(),
        "{}: a conversation, but the model has no chat template: name the format to write it in, such as "
        "chatml",
        record.path());
    try {
      texts.push_back(text::format_chat(*how.chat, messages, false));
    } catch (const value_error& error) {
      fail<io_error>("{}: {}", record.path(), error.what());
    }
  });
  return std::move(texts).take();
}

}  // namespace zoqat::tasks
