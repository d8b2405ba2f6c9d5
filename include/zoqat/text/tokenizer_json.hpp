// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/file_kind.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/mapped_file.hpp>
#include <zoqat/text/added_tokens.hpp>
#include <zoqat/text/bpe_model.hpp>
#include <zoqat/text/bpe_tokenizer.hpp>
#include <zoqat/text/byte_alphabet.hpp>
#include <zoqat/text/merges_text.hpp>
#include <zoqat/text/piece_table.hpp>
#include <zoqat/text/text_normalizer.hpp>
#include <zoqat/text/tokenizer_steps.hpp>
#include <zoqat/text/vocabulary_list.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

/// The tokens that begin and end a text, which `tokenizer.json` leaves open; by default the first that its
/// post-processor puts before a text and the first that it puts after, if it does.
struct tokenizer_json_options {
  std::optional<std::string> bos = std::nullopt, eos = std::nullopt;
  /// Whether a text gets them, whatever the post-processor says; that holds where they are not given.
  std::optional<bool> add_bos = std::nullopt, add_eos = std::nullopt;
};

namespace detail {

// The first token of that text.
inline std::optional<std::uint32_t> first_of(const piece_table& texts, std::string_view text) {
  for (std::size_t id = 0; id != texts.size(); ++id)
    if (texts[id] == text) return static_cast<std::uint32_t>(id);
  return std::nullopt;
}

// A model of type BPE: {"vocab": {text: id}, "merges": ["a b", ...] or [["a", "b"], ...], ...}.
class bpe_model_json {
 public:
  bpe_model_json(const io::json& object, std::string_view file) : object_(object), file_(file) {
    require<io_error>(io::get<std::string>(object, "type", file) == "BPE",
                      "{}: a model of type BPE is wanted, but is {}", file, io::detail::shown(object.at("type")));
    require_known(object, file, "BPE",
                  {"type", "vocab", "merges", "unk_token", "fuse_unk", "byte_fallback", "ignore_merges", "dropout",
                   "continuing_subword_prefix", "end_of_word_suffix"});
    for (const std::string_view affix : {"continuing_subword_prefix", "end_of_word_suffix"})
      require<io_error>(io::get_if<std::string>(object, affix, file).value_or("").empty(),
                        "{}: BPE with \"{}\" is not supported", file, affix);
    require<io_error>(io::get_if<double>(object, "dropout", file).value_or(0) == 0,
                      "{}: BPE with \"dropout\" is not supported", file);
  }

  // `texts` are the model's own, empty where a token is not; merges(f) calls f(merge, number) for each merge.
  // With `drop_unknown`, a model without an unknown token leaves characters out that it lacks.
  template <class Merges>
  [[nodiscard]] bpe_model read(piece_table texts, Merges&& merges, bool drop_unknown) const {
    const auto flag = [&](std::string_view key) { return io::get_if<bool>(object_, key, file_).value_or(false); };
    bpe_model::options options{.unknown = {},
                               .drop_unknown = drop_unknown,
                               .fuse_unknown = flag("fuse_unk"),
                               .byte_fallback = flag("byte_fallback"),
                               .whole_words = flag("ignore_merges")};
    if (const auto unknown = io::get_if<std::string>(object_, "unk_token", file_)) {
      options.unknown = first_of(texts, *unknown);
      require<io_error>(options.unknown.has_value(), "{}: \"unk_token\": there is no token '{}'", file_, *unknown);
    }
    texts.shrink_to_fit();
    bpe_model model(std::move(texts), file_, options);
    merges([&](const auto& merge, std::size_t number) { add_merge(model, merge, number); });
    return model;
  }

 private:
  void add_merge(bpe_model& model, std::string_view line, std::size_t number) const {
    add_merge_line(model, line, fmt::format("{}: merge {}", file_, number));
  }
  template <std::same_as<io::json> Json>  // and not what converts to it
  void add_merge(bpe_model& model, const Json& merge, std::size_t number) const {
    if (merge.is_string())
      return add_merge(model, std::string_view(merge.template get_ref<const std::string&>()), number);
    const auto where = fmt::format("{}: merge {}", file_, number);
    require<io_error>(merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string(),
                      "{}: two tokens are wanted, but there is {}", where, io::detail::shown(merge));
    const auto text = [&](std::size_t i) -> std::string_view {
      return merge[i].template get_ref<const std::string&>();
    };
    model.add_merge(text(0), text(1), where);
  }

  const io::json& object_;
  std::string_view file_;
};

// "added_tokens": those found in the text as it is ("normalized" is false) and those found after normalization.
struct added_tokens_json {
  static constexpr std::size_t most = std::size_t{1} << 16, most_bytes = std::size_t{1} << 21;
  std::vector<added_token> before, after;

  // `spelled`: the decoder takes tokens for characters of the byte alphabet.
  added_tokens_json(const io::json& list, std::string_view file, const text_normalizer& normalizer, bool spelled) {
    if (list.is_null()) return;
    require<io_error>(list.is_array(), "{}: \"added_tokens\" must be an array", file);
    require<io_error>(list.size() <= most, "{}: {} added tokens, more than {}", file, list.size(), most);
    std::size_t bytes = 0;
    for (const io::json& object : list) {
      added_token token = read(object, file);
      bytes += token.text.size();
      require<io_error>(bytes <= most_bytes, "{}: added tokens of more than {} bytes in all", file, most_bytes);
      texts_.emplace_back(token.text, token.id);
      if (spelled)
        append_spelling(token.stored, token.text);
      else
        token.stored = token.text;
      if (!io::get_if<bool>(object, "normalized", file).value_or(false)) {
        before.push_back(std::move(token));
        continue;
      }
      token.text = normalizer(std::move(token.text));
      require<io_error>(!token.text.empty(), "{}: added token {} is empty when normalized", file, token.id);
      after.push_back(std::move(token));
    }
  }

  // Adds these to the tokens of the model, and returns the ids of those that it did not have.
  [[nodiscard]] std::vector<std::uint32_t> add_to(vocabulary_list& all) const {
    std::vector<std::uint32_t> added;
    for (const auto& [text, id] : texts_) {
      if (id >= all.texts().size() || all.texts()[id].empty()) added.push_back(id);
      all.add(text, id);
    }
    return added;
  }

  // Throws io_error where the model knows one of them by another id.
  void require_agreement(const bpe_model& model, std::string_view file) const {
    for (const auto& [text, id] : texts_) {
      const auto known = model.find(text);
      require<io_error>(known.value_or(id) == id, "{}: added token {}: '{}' is token {} of the model", file, id, text,
                        known.value_or(id));
    }
  }

 private:
  static added_token read(const io::json& object, std::string_view file) {
    require_known(object, file, "an added token",
                  {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    const auto flag = [&](std::string_view key) { return io::get_if<bool>(object, key, file).value_or(false); };
    const std::string text = get_text(object, "content", file);
    require<io_error>(!flag("single_word"), "{}: added token '{}': \"single_word\" is not supported", file, text);
    return {.text = text,
            .id = io::get<std::uint32_t>(object, "id", file),
            .stored = {},
            .special = flag("special"),
            .strip_left = flag("lstrip"),
            .strip_right = flag("rstrip")};
  }

  std::vector<std::pair<std::string, std::uint32_t>> texts_;
};

// Names the files that lie beside a tokenizer.json where one of them is in its place.
inline void require_tokenizer(const io::json& object, std::string_view file) {
  if (object.contains("model")) return;
  require<io_error>(!object.contains("model_type"), "{}: is the config.json of a model and no tokenizer.json", file);
  require<io_error>(object.empty() || !object.begin()->is_number_integer(),
                    "{}: is a vocab.json and no tokenizer.json; give it that name, and merges.txt a place beside it",
                    file);
}

inline text_template read_template_below(const io::json& part, std::size_t size, std::string_view file) {
  text_template around = read_post_processor(part, file);
  for (const auto* ids : {&around.before, &around.after})
    for (const std::uint32_t id : *ids)
      require<io_error>(id < size, "{}: the post-processor's token {} is not in the vocabulary of {}", file, id,
                        size);
  return around;
}

// The token of that name, or the first of `defaults` where none is asked for.
inline std::optional<std::uint32_t> named_token(const piece_table& all, const std::optional<std::string>& name,
                                                const std::vector<std::uint32_t>& defaults, std::string_view file) {
  if (!name) return defaults.empty() ? std::nullopt : std::optional(defaults.front());
  const auto id = first_of(all, *name);
  require<io_error>(id.has_value(), "{}: there is no token '{}'", file, *name);
  return id;
}

inline const io::json& merges_of(const io::json& model, std::string_view file) {
  const auto merges = model.find("merges");
  require<io_error>(merges != model.end() && merges->is_array(), "{}: \"merges\" must be an array", file);
  return *merges;
}

// Throws io_error unless `object` is a tokenizer but for what it may hold.
inline void require_tokenizer_members(const io::json& object, std::string_view file) {
  require<io_error>(object.is_object(), "{}: a tokenizer must be a JSON object", file);
  require_tokenizer(object, file);
  require_known(object, file, "a tokenizer",
                {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
                 "decoder", "model"});
  static_cast<void>(bpe_model_json(member(object, "model", file), file));
}

// `object` is a tokenizer.json; the vocabulary and the merges of its model are given beside it.
template <class Merges>
bpe_tokenizer make_tokenizer(const io::json& object, vocabulary_list vocabulary, Merges&& merges,
                             std::string_view file, const tokenizer_json_options& options) {
  const auto part = [&](std::string_view key) {
    const auto found = object.find(key);
    return found == object.end() ? io::json() : *found;
  };
  const text_normalizer normalizer = read_normalizer(part("normalizer"), file);
  const io::json decoder = part("decoder"), words = part("pre_tokenizer");
  const bpe_model_json model_part(member(object, "model", file), file);
  added_tokens_json added(part("added_tokens"), file, normalizer, has_step(decoder, "decoders", "ByteLevel"));
  const std::vector<std::uint32_t> not_of_model = added.add_to(vocabulary);
  vocabulary.require_contiguous();
  piece_table texts = std::move(vocabulary).take();

  const text_template around = read_template_below(part("post_processor"), texts.size(), file);
  const auto bos = named_token(texts, options.bos, around.before, file),
             eos = named_token(texts, options.eos, around.after, file);
  for (const std::uint32_t id : not_of_model) texts.clear(id);
  const bool byte_level = has_step(words, "pretokenizers", "ByteLevel");
  bpe_model model = model_part.read(std::move(texts), merges, byte_level);
  added.require_agreement(model, file);
  std::vector<std::uint8_t> dropped;
  if (byte_level && !model.has_unknown()) dropped = model.bytes_without_token();
  return bpe_tokenizer({.model = std::move(model),
                        .added = std::move(added.before),
                        .added_after_normalization = std::move(added.after),
                        .normalizer = normalizer,
                        .words = read_pre_tokenizer(words, file),
                        .decoder = read_decoder(decoder, file),
                        .prefix = prefix_of_texts(around.before, bos, options.add_bos, file),
                        .suffix = suffix_of_texts(around.after, eos, options.add_eos, file),
                        .bos = bos,
                        .eos = eos,
                        .dropped_bytes = std::move(dropped)});
}

}  // namespace detail

/// A tokenizer as Hugging Face's `tokenizers` stores it, with a model of type BPE. `file` names it in messages.
/// Throws io_error for what is malformed, and for every part, option or type that this library does not know: nothing
/// is passed over, but for "truncation" and "padding": they say how texts were cut and filled up to batches when the
/// file was written, and how a text is encoded does not depend on them. `tokenizer_steps.hpp` lists what is known.
///
/// Where Hugging Face replaces bytes that are no UTF-8, this keeps them, in both directions. Byte-level vocabularies
/// may lack bytes, which texts then lose, as with Hugging Face: `bpe_tokenizer::dropped_bytes` names them.
[[nodiscard]] inline bpe_tokenizer parse_tokenizer_json(const io::json& object, std::string_view file,
                                                        const tokenizer_json_options& options = {}) {
  detail::require_tokenizer_members(object, file);
  vocabulary_list vocabulary{std::string(file)};
  const io::json& model = detail::member(object, "model", file);
  vocabulary.add_all(detail::member(model, "vocab", file));
  const io::json& list = detail::merges_of(model, file);
  const auto merges = [&](auto&& f) {
    for (std::size_t i = 0; i != list.size(); ++i) f(list[i], i);
  };
  return detail::make_tokenizer(object, std::move(vocabulary), merges, file, options);
}

/// Reads a tokenizer from the file `path`, as `parse_tokenizer_json` does from its JSON, in twice the memory of the
/// file and some: tokens are put where they stay as they are read, and merges are read once the tokens are there.
[[nodiscard]] inline bpe_tokenizer read_tokenizer_json(const std::filesystem::path& path,
                                                       const tokenizer_json_options& options = {}) {
  const io::mapped_file mapped(path);
  const std::string_view text = io::require_file_kind(mapped, io::file_kind::json).text(), file = path.native();
  constexpr std::string_view vocab = "/model/vocab", merge_list = "/model/merges";
  vocabulary_list vocabulary(std::string(file), text.size());
  const io::json rest = io::parse_json_parts(
      text, file, {vocab, merge_list},
      [&](const io::json_part& part) {
        if (part.place == 0 && part.in_object) vocabulary.add(part);
      },
      limits_beside_tokens);
  detail::require_tokenizer_members(rest, file);
  const io::json& model = detail::member(rest, "model", file);
  vocabulary.require_object(detail::member(model, "vocab", file));
  static_cast<void>(detail::merges_of(model, file));
  const auto merges = [&](auto&& f) {
    io::parse_json_parts(
        text, file, {vocab, merge_list},
        [&](const io::json_part& part) {
          if (part.place == 1) f(part.value, part.index);
        },
        limits_beside_tokens);
  };
  return detail::make_tokenizer(rest, std::move(vocabulary), merges, file, options);
}

}  // namespace zoqat::text
