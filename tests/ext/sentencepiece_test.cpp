// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ext/sentencepiece.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using ext::sentencepiece_tokenizer;
using tokens = std::vector<std::uint32_t>;

TEST_CASE("what is no model is refused") {
  const temporary_folder folder;
  const auto failure = [&] {
    return message_of<io_error>([&] { static_cast<void>(sentencepiece_tokenizer(folder / "tokenizer.model")); });
  };
  check_mentions(failure(), "tokenizer.model", "No such file");
  write_file(folder / "tokenizer.model", "no model");
  check_mentions(failure(), "tokenizer.model", "not a sentencepiece model");
}

TEST_CASE("LLaMA 2's tokenizer") {
  const auto path = shared_data("tokenizers/llama2-tokenizer.model");
  if (!path) return;
  const sentencepiece_tokenizer tokenizer(*path);
  CHECK(tokenizer.size() == 32'000);
  CHECK(tokenizer.bos() == 1u);
  CHECK(tokenizer.eos() == 2u);
  CHECK(tokenizer.encode("", true) == tokens{1});
  CHECK(tokenizer.encode("I believe the meaning of life is", true) ==
        tokens{1, 306, 4658, 278, 6593, 310, 2834, 338});
  CHECK(tokenizer.encode("I believe", false) == tokens{306, 4658});
  for (const std::string_view text : {"", "a", " a  b ", "naïve 日本 😀\n\x01", "</s>"}) {
    CAPTURE(std::string(text));
    CHECK(tokenizer.decode(tokenizer.encode(text, true)) == text);
  }
  CHECK(tokenizer.decode(tokenizer.encode("a\xff", false)) == "a\ufffd");
  check_mentions(message_of<value_error>([&] { static_cast<void>(tokenizer.decode(tokens{32'000})); }), "32000");
}

TEST_CASE("WikiText-2 comes back byte for byte") {
  const auto path = shared_data("tokenizers/llama2-tokenizer.model");
  const auto text_path = shared_data("data/wikitext-2/wiki.test.raw");
  if (!path || !text_path) return;
  const sentencepiece_tokenizer tokenizer(*path);
  const std::string text = read_file(*text_path);
  const auto encoded = tokenizer.encode(text, true);
  CHECK(encoded.size() == 335'688);  // 655 chunks of 512, the number llama.cpp gives for this file
  CHECK(tokenizer.decode(encoded) == text);
}
