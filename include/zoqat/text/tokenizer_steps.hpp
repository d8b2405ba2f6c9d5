// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/text/pre_tokenizer.hpp>
#include <zoqat/text/text_normalizer.hpp>
#include <zoqat/text/text_pieces.hpp>
#include <zoqat/text/token_decoder.hpp>
#include <zoqat/text/unicode.hpp>

#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

// The parts of Hugging Face's tokenizer.json that surround its model: normalizer, pre-tokenizer, decoder and
// post-processor. A part is an object whose "type" names it. What a reader here does not know it refuses by name: a
// tokenizer that passes over a step gives wrong tokens without a word.

namespace detail {

inline const io::json& member(const io::json& object, std::string_view key, std::string_view file) {
  require<io_error>(object.is_object() && object.contains(key), "{}: \"{}\" is missing in {}", file, key,
                    io::detail::shown(object));
  return object.at(key);
}

// Throws io_error, with the key, unless `object` is one and each of its keys is among `known`.
inline void require_known(const io::json& object, std::string_view file, std::string_view what,
                          std::initializer_list<std::string_view> known) {
  require<io_error>(object.is_object(), "{}: {} must be an object, but is {}", file, what, io::detail::shown(object));
  for (const auto& [key, value] : object.items())
    require<io_error>(std::ranges::find(known, key) != known.end(), "{}: {}: \"{}\" is not supported", file, what,
                      io::detail::excerpt(key));
}

/// A type of step and what reads it.
template <class Step>
struct step_reader {
  std::string_view type;
  Step (*read)(const io::json&, std::string_view file);
};

template <class Step>
Step read_step(const io::json& object, std::string_view file, std::string_view what,
               std::span<const step_reader<Step>> readers) {
  const auto type = io::get<std::string>(object, "type", file);
  const auto found = std::ranges::find(readers, type, &step_reader<Step>::type);
  if (found == readers.end()) {
    std::vector<std::string_view> types;
    for (const auto& reader : readers) types.push_back(reader.type);
    fail<io_error>("{}: a {} of type '{}' is not supported; known are {}", file, what, io::detail::excerpt(type),
                   fmt::join(types, ", "));
  }
  return found->read(object, file);
}

// What {"type": "Sequence", KEY: [...]} lists, each read by `read`.
template <class Step>
std::vector<Step> read_steps(const io::json& object, std::string_view key, std::string_view file,
                             Step (*read)(const io::json&, std::string_view)) {
  require_known(object, file, "a Sequence", {"type", key});
  const io::json& list = member(object, key, file);
  require<io_error>(list.is_array(), "{}: \"{}\" must be an array", file, key);
  std::vector<Step> steps;
  for (const io::json& step : list) steps.push_back(read(step, file));
  return steps;
}

// Whether a step of that type is `object` or among those of the sequence that it is; `key` is where that lists them.
inline bool has_step(const io::json& object, std::string_view key, std::string_view type) {
  if (!object.is_object()) return false;
  const auto own = object.find("type");
  if (own != object.end() && *own == type) return true;
  const auto steps = object.find(key);
  return steps != object.end() && steps->is_array() &&
         std::ranges::any_of(*steps, [&](const io::json& step) { return has_step(step, key, type); });
}

inline std::string get_text(const io::json& object, std::string_view key, std::string_view file) {
  auto text = io::get<std::string>(object, key, file);
  require<io_error>(!text.empty(), "{}: \"{}\" is empty", file, key);
  return text;
}

// {"String": text} or {"Regex": expression}
inline unicode_pattern read_pattern(const io::json& object, std::string_view file) {
  const io::json& pattern = member(object, "pattern", file);
  require_known(pattern, file, "a pattern", {"String", "Regex"});
  try {
    if (const auto text = io::get_if<std::string>(pattern, "String", file)) return unicode_pattern::literal(*text);
    return unicode_pattern(io::get<std::string>(pattern, "Regex", file));
  } catch (const value_error& error) {
    fail<io_error>("{}: \"pattern\": {}", file, error.what());
  }
}

template <class Enum>
Enum read_name(const io::json& object, std::string_view key, std::string_view file, Enum fallback,
               std::initializer_list<std::pair<std::string_view, Enum>> names) {
  const auto name = io::get_if<std::string>(object, key, file);
  if (!name) return fallback;
  const auto found = std::ranges::find(names, *name, &std::pair<std::string_view, Enum>::first);
  require<io_error>(found != names.end(), "{}: \"{}\": '{}' is not supported", file, key, io::detail::excerpt(*name));
  return found->second;
}

inline split_behavior read_behavior(const io::json& object, std::string_view file) {
  return read_name(object, "behavior", file, split_behavior::isolated,
                   {{"Removed", split_behavior::removed},
                    {"Isolated", split_behavior::isolated},
                    {"MergedWithPrevious", split_behavior::merged_with_previous},
                    {"MergedWithNext", split_behavior::merged_with_next},
                    {"Contiguous", split_behavior::contiguous}});
}

// The older "add_prefix_space": false means "prepend_scheme": "never".
inline prefix_mark read_prefix_mark(const io::json& object, std::string_view file) {
  const bool none = !io::get_if<bool>(object, "add_prefix_space", file).value_or(true);
  return read_name(object, "prepend_scheme", file, none ? prefix_mark::never : prefix_mark::always,
                   {{"always", prefix_mark::always}, {"first", prefix_mark::first}, {"never", prefix_mark::never}});
}

template <unicode_form Form>
text_normalizer read_form(const io::json& object, std::string_view file) {
  require_known(object, file, "a normal form", {"type"});
  return normalize_form{Form};
}

}  // namespace detail

/// A normalizer: Sequence, Prepend, Replace, NFC, NFD, NFKC or NFKD; null does nothing. Throws io_error for any other
/// and for options that are not known.
[[nodiscard]] inline text_normalizer read_normalizer(const io::json& part, std::string_view part_file) {
  using reader = detail::step_reader<text_normalizer>;
  static constexpr reader readers[] = {
      {"Sequence",
       [](const io::json& o, std::string_view file) -> text_normalizer {
         return normalizer_sequence{detail::read_steps(o, "normalizers", file, read_normalizer)};
       }},
      {"Prepend",
       [](const io::json& o, std::string_view file) -> text_normalizer {
         detail::require_known(o, file, "Prepend", {"type", "prepend"});
         return prepend_text{io::get<std::string>(o, "prepend", file)};
       }},
      {"Replace",
       [](const io::json& o, std::string_view file) -> text_normalizer {
         detail::require_known(o, file, "Replace", {"type", "pattern", "content"});
         return replace_matches{detail::read_pattern(o, file), io::get<std::string>(o, "content", file)};
       }},
      {"NFC", detail::read_form<unicode_form::nfc>},
      {"NFD", detail::read_form<unicode_form::nfd>},
      {"NFKC", detail::read_form<unicode_form::nfkc>},
      {"NFKD", detail::read_form<unicode_form::nfkd>},
  };
  if (part.is_null()) return normalizer_sequence{};
  return detail::read_step<text_normalizer>(part, part_file, "normalizer", readers);
}

/// A pre-tokenizer: Sequence, ByteLevel, Split, Metaspace, Digits or Punctuation; null does nothing. Throws as above.
[[nodiscard]] inline pre_tokenizer read_pre_tokenizer(const io::json& part, std::string_view part_file) {
  using reader = detail::step_reader<pre_tokenizer>;
  static constexpr reader readers[] = {
      {"Sequence",
       [](const io::json& o, std::string_view file) -> pre_tokenizer {
         return pre_tokenizer_sequence{detail::read_steps(o, "pretokenizers", file, read_pre_tokenizer)};
       }},
      {"ByteLevel",
       [](const io::json& o, std::string_view file) -> pre_tokenizer {
         detail::require_known(o, file, "ByteLevel", {"type", "add_prefix_space", "trim_offsets", "use_regex"});
         spell_bytes step{.prefix_space = io::get_if<bool>(o, "add_prefix_space", file).value_or(true)};
         if (!io::get_if<bool>(o, "use_regex", file).value_or(true)) step.words.reset();
         return step;
       }},
      {"Split",
       [](const io::json& o, std::string_view file) -> pre_tokenizer {
         detail::require_known(o, file, "Split", {"type", "pattern", "behavior", "invert"});
         return split_matches{detail::read_pattern(o, file), detail::read_behavior(o, file),
                              io::get_if<bool>(o, "invert", file).value_or(false)};
       }},
      {"Metaspace",
       [](const io::json& o, std::string_view file) -> pre_tokenizer {
         detail::require_known(o, file, "Metaspace",
                               {"type", "replacement", "str_rep", "add_prefix_space", "prepend_scheme", "split"});
         return mark_spaces{detail::get_text(o, "replacement", file), detail::read_prefix_mark(o, file),
                            io::get_if<bool>(o, "split", file).value_or(true)};
       }},
      {"Digits",
       [](const io::json& o, std::string_view file) -> pre_tokenizer {
         detail::require_known(o, file, "Digits", {"type", "individual_digits"});
         const bool each = io::get_if<bool>(o, "individual_digits", file).value_or(false);
         return split_matches{unicode_pattern(each ? "\\p{N}" : "\\p{N}+")};
       }},
      {"Punctuation",
       [](const io::json& o, std::string_view file) -> pre_tokenizer {
         detail::require_known(o, file, "Punctuation", {"type", "behavior"});
         // ASCII's marks that Unicode calls symbols count too.
         return split_matches{unicode_pattern("[\\p{P}$+<=>\\^`|~]"), detail::read_behavior(o, file)};
       }},
  };
  if (part.is_null()) return pre_tokenizer_sequence{};
  return detail::read_step<pre_tokenizer>(part, part_file, "pre-tokenizer", readers);
}

/// A decoder: Sequence, ByteLevel, ByteFallback, Fuse, Replace, Strip or Metaspace; null puts spaces between tokens,
/// as Hugging Face does. Throws as above.
[[nodiscard]] inline token_decoder read_decoder(const io::json& part, std::string_view part_file) {
  using reader = detail::step_reader<token_decoder>;
  static constexpr reader readers[] = {
      {"Sequence",
       [](const io::json& o, std::string_view file) -> token_decoder {
         return decoder_sequence{detail::read_steps(o, "decoders", file, read_decoder)};
       }},
      {"ByteLevel",
       [](const io::json& o, std::string_view file) -> token_decoder {
         detail::require_known(o, file, "ByteLevel", {"type", "add_prefix_space", "trim_offsets", "use_regex"});
         return decode_spelled_bytes;
       }},
      {"ByteFallback",
       [](const io::json& o, std::string_view file) -> token_decoder {
         detail::require_known(o, file, "ByteFallback", {"type"});
         return decode_byte_tokens;
       }},
      {"Fuse",
       [](const io::json& o, std::string_view file) -> token_decoder {
         detail::require_known(o, file, "Fuse", {"type"});
         return fuse_tokens;
       }},
      {"Replace",
       [](const io::json& o, std::string_view file) -> token_decoder {
         detail::require_known(o, file, "Replace", {"type", "pattern", "content"});
         const io::json& pattern = detail::member(o, "pattern", file);
         detail::require_known(pattern, file, "a decoder's pattern", {"String"});
         return replace_in_tokens{detail::get_text(pattern, "String", file),
                                  io::get<std::string>(o, "content", file)};
       }},
      {"Strip",
       [](const io::json& o, std::string_view file) -> token_decoder {
         detail::require_known(o, file, "Strip", {"type", "content", "start", "stop"});
         return strip_tokens{detail::get_text(o, "content", file), io::get<std::uint32_t>(o, "start", file),
                             io::get<std::uint32_t>(o, "stop", file)};
       }},
      {"Metaspace",
       [](const io::json& o, std::string_view file) -> token_decoder {
         detail::require_known(o, file, "Metaspace",
                               {"type", "replacement", "str_rep", "add_prefix_space", "prepend_scheme", "split"});
         return decode_marks(detail::get_text(o, "replacement", file),
                             detail::read_prefix_mark(o, file) != prefix_mark::never);
       }},
  };
  if (part.is_null()) return separate_tokens;
  return detail::read_step<token_decoder>(part, part_file, "decoder", readers);
}

/// The tokens that go before and after a text.
struct text_template {
  std::vector<std::uint32_t> before, after;
};

namespace detail {

// The "single" template: [{"SpecialToken": {"id": name, ...}}, {"Sequence": {"id": "A", ...}}, ...]. Pairs of texts
// are not offered.
inline text_template read_template(const io::json& object, std::string_view file) {
  require_known(object, file, "TemplateProcessing", {"type", "single", "pair", "special_tokens"});
  const io::json& single = member(object, "single", file);
  require<io_error>(single.is_array(), "{}: \"single\" must be an array", file);
  text_template result;
  bool after = false;
  for (const io::json& item : single) {
    require_known(item, file, "a template", {"SpecialToken", "Sequence"});
    if (item.contains("Sequence")) {
      require<io_error>(!std::exchange(after, true), "{}: a template with the text twice", file);
      continue;
    }
    const auto name = io::get<std::string>(member(item, "SpecialToken", file), "id", file);
    const io::json& ids = member(member(member(object, "special_tokens", file), name, file), "ids", file);
    require<io_error>(ids.is_array(), "{}: \"ids\" of '{}' must be an array", file, name);
    for (const io::json& id : ids)
      (after ? result.after : result.before).push_back(io::as<std::uint32_t>(id, "ids", file));
  }
  require<io_error>(after, "{}: a template without the text", file);
  return result;
}

}  // namespace detail

/// A post-processor: Sequence, ByteLevel (which says nothing about tokens) or TemplateProcessing; null puts nothing
/// around a text. Throws as above.
[[nodiscard]] inline text_template read_post_processor(const io::json& part, std::string_view part_file) {
  using reader = detail::step_reader<text_template>;
  static constexpr reader readers[] = {
      {"Sequence",
       [](const io::json& o, std::string_view file) {
         text_template all;
         for (const text_template& step : detail::read_steps(o, "processors", file, read_post_processor)) {
           all.before.insert(all.before.begin(), step.before.begin(), step.before.end());
           all.after.insert(all.after.end(), step.after.begin(), step.after.end());
         }
         return all;
       }},
      {"ByteLevel",
       [](const io::json& o, std::string_view file) {
         detail::require_known(o, file, "ByteLevel", {"type", "add_prefix_space", "trim_offsets", "use_regex"});
         return text_template{};
       }},
      {"TemplateProcessing", detail::read_template},
  };
  if (part.is_null()) return {};
  return detail::read_step<text_template>(part, part_file, "post-processor", readers);
}

}  // namespace zoqat::text
