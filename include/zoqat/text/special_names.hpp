// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/json.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::text {

/// The tokens that begin and end a text, by name, and whether they are put there.
struct special_names {
  std::optional<std::string> bos, eos;
  std::optional<bool> add_bos, add_eos, prefix_space;
};

namespace detail {

// "bos_token": a string, or an added token with its "content"; absent or null is nothing.
inline std::optional<std::string> special_name(const io::json& object, std::string_view key, std::string_view file) {
  const auto value = object.find(key);
  if (value != object.end() && value->is_object()) return io::get<std::string>(*value, "content", file);
  return io::get_if<std::string>(object, key, file);
}

}  // namespace detail

/// What the files beside a tokenizer of Hugging Face's call the tokens that begin and end a text, and whether a text
/// gets them ("add_bos_token", "add_eos_token") and a space in front ("add_prefix_space"):
/// `tokenizer_config.json`, or where that is silent `special_tokens_map.json`. Files that are not there say nothing.
/// Throws io_error for malformed ones.
[[nodiscard]] inline special_names read_special_names(const std::filesystem::path& folder) {
  special_names names;
  for (const std::string_view name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const std::filesystem::path path = folder / name;
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) continue;
    const io::json object = io::read_json(path);
    require<io_error>(object.is_object(), "{}: a JSON object is wanted", path.native());
    if (!names.bos) names.bos = detail::special_name(object, "bos_token", path.native());
    if (!names.eos) names.eos = detail::special_name(object, "eos_token", path.native());
    for (const auto& [flag, key] : {std::pair{&special_names::add_bos, "add_bos_token"},
                                    {&special_names::add_eos, "add_eos_token"},
                                    {&special_names::prefix_space, "add_prefix_space"}})
      if (!(names.*flag)) names.*flag = io::get_if<bool>(object, key, path.native());
  }
  return names;
}

}  // namespace zoqat::text
