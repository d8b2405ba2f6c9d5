// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json_place.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/records.hpp>
#include <zoqat/text/chat_template.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

namespace detail {

/// The turns of a conversation: [{"role", "content"}, …] or ShareGPT's [{"from", "value"}, …], whose system may stand
/// beside them.
[[nodiscard]] inline std::vector<text::chat_message> read_turns(const io::json_place& record,
                                                                const io::json_place& turns) {
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
[[nodiscard]] inline std::vector<text::chat_message> read_instruction(const io::json_place& record) {
  const auto input = record.find("input");
  const std::string given = input ? input->text() : std::string();
  return {{"user", record["instruction"].text() + (given.empty() ? "" : "\n\n" + given)},
          {"assistant", record["output"].text()}};
}

/// Writes a conversation down. Throws io_error, with the place, for roles that there are not.
[[nodiscard]] inline std::string written(const text::chat_template& how, std::span<const text::chat_message> messages,
                                         bool prompt, const io::json_place& at) {
  try {
    return text::format_chat(how, messages, prompt);
  } catch (const value_error& error) {
    fail<io_error>("{}: {}", at.path(), error.what());
  }
}

}  // namespace detail

/// The turns of a record: a conversation under "messages" or "conversations", or an instruction in Alpaca's form;
/// none for another record. Throws io_error with the way to the value for what is malformed.
[[nodiscard]] inline std::vector<text::chat_message> read_conversation(const io::json_place& record) {
  std::vector<text::chat_message> messages;
  for (const std::string_view key : {"messages", "conversations"})
    if (const auto turns = record.find(key)) messages = detail::read_turns(record, *turns);
  if (messages.empty() && record.find("instruction")) messages = detail::read_instruction(record);
  return messages;
}

/// Reads conversations to be trained on with their prompts masked: an item for each turn of the assistant, whose
/// prompt is all that was said before, written as `how` says, and whose completion is the turn with what ends it.
/// JSON lines
/// (`.jsonl`) or an array of the records of `read_conversation`. Ids are the number of the record from 0 and that of
/// the turn in it, as "3.1". Throws io_error with the way to the record for one that is none, for roles other than
/// system, user and assistant, and where the assistant says nothing.
[[nodiscard]] inline std::vector<answer_item> read_conversations(const std::filesystem::path& path,
                                                                 const text::chat_template& how) {
  item_list<answer_item> items(path);
  std::size_t number = 0;
  for_each_record(path, [&](const io::json_place& record) {
    const std::vector<text::chat_message> messages = read_conversation(record);
    require<io_error>(!messages.empty(),
                      "{}: a record with \"messages\", \"conversations\" or \"instruction\" is wanted",
                      record.path());
    std::size_t turns = 0;
    for (std::size_t i = 1; i < messages.size(); ++i) {
      if (messages[i].role != "assistant") continue;
      const std::string prompt = detail::written(how, std::span(messages).first(i), true, record);
      const std::string with_turn = detail::written(how, std::span(messages).first(i + 1), false, record);
      require<io_error>(with_turn.starts_with(prompt), "{}: turn {} is not written after its prompt", record.path(),
                        i);
      items.push_back({.prompt = prompt,
                       .completion = with_turn.substr(prompt.size()),
                       .answers = {messages[i].content},
                       .id = fmt::format("{}.{}", number, turns++)});
    }
    require<io_error>(turns > 0, "{}: the assistant says nothing after another turn, so there is nothing to learn",
                      record.path());
    ++number;
  });
  return std::move(items).take();
}

}  // namespace zoqat::tasks
