// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json_place.hpp>
#include <zoqat/tasks/conversations.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/records.hpp>
#include <zoqat/text/chat_template.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// Where the text of a record is, and how conversations become text.
struct text_records {
  std::string field = "text";
  std::optional<text::chat_template> chat = std::nullopt;
};

/// The texts of a data set, one for each record of a `.json` or `.jsonl` file: what stands under "text" or another
/// `field`, a conversation under "messages" or "conversations", or an instruction in Alpaca's form; conversations and
/// instructions are written as `chat` says. Throws io_error, with the way to the record, where it holds none of
/// these, and where there is no `chat` for what needs it.
[[nodiscard]] inline std::vector<std::string> read_texts(const std::filesystem::path& path,
                                                         const text_records& how = {}) {
  item_list<std::string> texts(path);
  for_each_record(path, [&](const io::json_place& record) {
    if (const auto text = record.find(how.field)) return texts.push_back(text->text());
    const std::vector<text::chat_message> messages = read_conversation(record);
    require<io_error>(!messages.empty(),
                      "{}: a record with \"{}\", \"messages\", \"conversations\" or \"instruction\" is wanted",
                      record.path(), how.field);
    require<io_error>(
        how.chat.has_value(),
        "{}: a conversation, but the model has no chat template: name the format to write it in, such as "
        "chatml",
        record.path());
    texts.push_back(detail::written(*how.chat, messages, false, record));
  });
  return std::move(texts).take();
}

}  // namespace zoqat::tasks
