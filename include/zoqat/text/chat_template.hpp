// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/text_file.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

/// One turn of a conversation.
struct chat_message {
  std::string role;  ///< "system", "user" or "assistant"
  std::string content;

  friend bool operator==(const chat_message&, const chat_message&) = default;
};

/// The ways to write a conversation down that are known.
enum class chat_format : std::uint8_t {
  chatml,  ///< each turn between `<|im_start|>` and the role in a line, and `<|im_end|>` and a line end
  llama3,  ///< each after `<|start_header_id|>`, the role, `<|end_header_id|>` and an empty line, before `<|eot_id|>`
  alpaca,  ///< each under "### Instruction:" or "### Response:", before an empty line; the system without a heading
};
inline constexpr std::array<std::string_view, 3> chat_format_names{"chatml", "llama3", "alpaca"};

/// How a model's conversations are written: the format, and what the system says where a conversation does not begin
/// with it.
struct chat_template {
  chat_format format = chat_format::chatml;
  std::string default_system = {};
};

namespace detail {

/// What stands between two texts, with the escapes of a Jinja string resolved; nothing where they are not there.
inline std::optional<std::string> between(std::string_view text, std::string_view before, std::string_view after) {
  const std::size_t first = text.find(before);
  if (first == text.npos) return std::nullopt;
  const std::size_t from = first + before.size(), end = text.find(after, from);
  if (end == text.npos) return std::nullopt;
  std::string found;
  for (std::size_t i = from; i != end; ++i) {
    const bool line_feed = text[i] == '\\' && text.substr(i, 2) == "\\n";
    found += line_feed ? '\n' : text[i];
    i += line_feed ? 1 : 0;
  }
  return found;
}

// The system's words that a ChatML template puts in front of a conversation without any: one literal of the template,
// as in those of SmolLM and the first Qwen models.
inline std::string default_system_of(std::string_view jinja) {
  for (const std::string_view feed : {"\\n", "\n"}) {
    const auto words = between(jinja, fmt::format("<|im_start|>system{}", feed), "<|im_end|>");
    if (words && words->find_first_of("{}'\"") == words->npos) return *words;
  }
  return {};
}

}  // namespace detail

/// The format that a chat template in Jinja writes, known by the marks that it puts around a turn. `source` names it
/// in messages. Throws io_error for any other, and for those that add what this library does not: the date in those
/// of LLaMA 3.1 and later, tools.
[[nodiscard]] inline chat_template recognize_chat_template(std::string_view jinja, std::string_view source) {
  const auto holds = [&](std::string_view mark) { return jinja.find(mark) != jinja.npos; };
  if (holds("<|start_header_id|>")) {
    require<io_error>(!holds("Cutting Knowledge Date"),
                      "{}: a chat template that writes today's date, as those of LLaMA 3.1 and later; name a format "
                      "without it, such as llama3",
                      source);
    return {chat_format::llama3};
  }
  if (holds("<|im_start|>")) return {chat_format::chatml, detail::default_system_of(jinja)};
  if (holds("### Instruction:")) return {chat_format::alpaca};
  fail<io_error>(
      "{}: a chat template of no known format; it is neither ChatML nor that of LLaMA 3 nor Alpaca's: name "
      "the one to use",
      source);
}

/// The template of a Hugging Face folder: `chat_template.jinja`, or "chat_template" of `tokenizer_config.json`, of
/// several the one of the name "default". Nothing where there is none. Throws io_error as above and for what is
/// malformed.
[[nodiscard]] inline std::optional<chat_template> read_chat_template(const std::filesystem::path& folder) {
  std::error_code ignored;
  const auto jinja = folder / "chat_template.jinja", config = folder / "tokenizer_config.json";
  if (std::filesystem::exists(jinja, ignored)) return recognize_chat_template(io::read_text(jinja), jinja.native());
  if (!std::filesystem::exists(config, ignored)) return std::nullopt;
  const io::json object = io::read_json(config);
  require<io_error>(object.is_object(), "{}: a JSON object is wanted", config.native());
  const auto member = object.find("chat_template");
  if (member == object.end() || member->is_null()) return std::nullopt;
  if (!member->is_array())
    return recognize_chat_template(io::as<std::string>(*member, "chat_template", config.native()), config.native());
  for (const io::json& named : *member)
    if (io::get<std::string>(named, "name", config.native()) == "default")
      return recognize_chat_template(io::get<std::string>(named, "template", config.native()), config.native());
  fail<io_error>("{}: of the chat templates none has the name \"default\"", config.native());
}

namespace detail {

inline std::string_view trimmed(std::string_view text) {
  constexpr std::string_view white = " \t\r\n";
  const std::size_t first = text.find_first_not_of(white);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(white) + 1 - first);
}

inline void append_turn(std::string& text, chat_format format, const chat_message& message) {
  switch (format) {
    case chat_format::chatml:
      text += fmt::format("<|im_start|>{}\n{}<|im_end|>\n", message.role, message.content);
      return;
    case chat_format::llama3:
      text += fmt::format("<|start_header_id|>{}<|end_header_id|>\n\n{}<|eot_id|>", message.role,
                          trimmed(message.content));
      return;
    case chat_format::alpaca:
      if (message.role == "system")
        text += message.content + "\n\n";
      else
        text += fmt::format("### {}:\n{}\n\n", message.role == "user" ? "Instruction" : "Response", message.content);
  }
}

}  // namespace detail

/// A conversation as the model reads it, without BOS, which `encode` puts in front. With `prompt`, the text goes on
/// to where the assistant's next turn begins. Throws value_error for roles other than system (at the beginning
/// alone), user and assistant, and for a conversation without turns.
[[nodiscard]] inline std::string format_chat(const chat_template& how, std::span<const chat_message> messages,
                                             bool prompt) {
  require(!messages.empty(), "a conversation without turns");
  std::string text;
  if (messages.front().role != "system" && !how.default_system.empty())
    detail::append_turn(text, how.format, {"system", how.default_system});
  for (const chat_message& message : messages) {
    constexpr std::array<std::string_view, 3> roles{"system", "user", "assistant"};
    require(std::ranges::find(roles, message.role) != roles.end() &&
                (message.role != "system" || &message == messages.data()),
            "a conversation has a turn of '{}': there are user and assistant, and system in front", message.role);
    detail::append_turn(text, how.format, message);
  }
  if (!prompt) return text;
  switch (how.format) {
    case chat_format::chatml:
      return text + "<|im_start|>assistant\n";
    case chat_format::llama3:
      return text + "<|start_header_id|>assistant<|end_header_id|>\n\n";
    default:
      return text + "### Response:\n";
  }
}

}  // namespace zoqat::text
