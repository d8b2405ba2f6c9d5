// SPDX-License-Identifier: Apache-2.0
#include <common/chat_choice.hpp>

#include <algorithm>
#include <system_error>

namespace zoqat::programs {

std::optional<text::chat_template> chat_choice(const std::string& name, const std::filesystem::path& tokenizer) {
  if (name != "template") {
    const auto named = std::ranges::find(text::chat_format_names, name) - text::chat_format_names.begin();
    return text::chat_template{static_cast<text::chat_format>(named)};
  }
  std::error_code ignored;
  return text::read_chat_template(std::filesystem::is_directory(tokenizer, ignored) ? tokenizer
                                                                                    : tokenizer.parent_path());
}

}  // namespace zoqat::programs
