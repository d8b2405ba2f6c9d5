// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer: the readers of tokenizer.json and of vocab.json with merges.txt either load a file or throw io_error.
// What they load encodes any text or throws value_error, and byte-level BPE encodes it as its definition says and
// gives it back. An input is a byte that says which, a text up to a zero byte and what is changed: a JSON merge patch
// of a small tokenizer.json (without the byte-level alphabet no file would load), or a merges.txt.
#include <support/byte_level_files.hpp>
#include <support/tokenizer_json_files.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/text/byte_level_bpe.hpp>
#include <zoqat/text/tokenizer_json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using namespace zoqat;

const testing::byte_level_files& small_files() {
  static const testing::byte_level_files files(testing::small_merges());
  return files;
}

void use(const text::bpe_tokenizer& tokenizer, std::string_view text) {
  try {
    const auto tokens = tokenizer.encode(text, true, text::special_spelling::on);
    if (std::ranges::any_of(tokens, [&](std::uint32_t id) { return id >= tokenizer.size(); })) std::abort();
    static_cast<void>(tokenizer.decode(tokens, text::special_spelling::on));
  } catch (const value_error&) {
  }
}

// The oracle's reader knows no CR. And where two merges make one token, GPT-2's order, which merges a pair everywhere
// at once, can part from the one of leftmost pairs.
bool same_for_oracle(std::string_view merges) {
  std::set<std::string> made;
  for (const auto& [left, right] : testing::merges_of(merges))
    if (!made.insert(left + right).second) return false;
  return merges.find('\r') == std::string_view::npos;
}

void read_merges(std::string_view merges, std::string_view text) {
  static const std::string vocabulary = small_files().vocab_json();
  const auto tokenizer = text::parse_byte_level_bpe(vocabulary, "vocabulary", merges, "merges");
  const auto tokens = tokenizer.encode(text, false);
  if (tokenizer.decode(tokens) != text) std::abort();
  if (!same_for_oracle(merges)) return;
  try {
    if (tokens != testing::naive_tokenizer(vocabulary, merges).encode(text)) std::abort();
  } catch (const std::out_of_range&) {  // a character that the oracle has no class for
  }
}

void read_json(const io::json& base, std::string_view patch, std::string_view text) {
  auto object = base;
  object.merge_patch(io::parse_json(patch, "patch"));
  use(text::parse_tokenizer_json(object, "input"), text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const io::json byte_level = testing::byte_level_json(small_files());
  static const io::json marked = testing::marked_json({"▁", "a", "b", "▁a", "ab"}, {{"▁", "a"}, {"a", "b"}});
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::string_view text = input.substr(0, input.find('\0'));
  const std::string_view change = input.substr(std::min(text.size() + 1, input.size()));
  try {
    switch (data[0] % 4) {
      case 0:
        read_merges(change, text);
        break;
      case 1:
        read_json(byte_level, change, text);
        break;
      case 2:
        read_json(marked, change, text);
        break;
      default:
        use(text::parse_tokenizer_json(io::parse_json(change, "input"), "input"), text);
        break;
    }
  } catch (const io_error&) {
  }
  return 0;
}
