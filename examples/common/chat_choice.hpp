// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/text/chat_template.hpp>  // chat_template

#include <filesystem>
#include <optional>
#include <string>

namespace zoqat::programs {

/// How conversations are written: as `--chat` names it, or for "template" as the tokenizer's folder says; nothing
/// where it says nothing.
[[nodiscard]] std::optional<text::chat_template> chat_choice(const std::string& name,
                                                             const std::filesystem::path& tokenizer);

}  // namespace zoqat::programs
