// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer: the tokenizer's reader either loads a file or throws io_error, and what it loads encodes any text as
// llama2.c's algorithm does. An input is a byte that says how, the length of a vocabulary, the vocabulary and a text.
// With the first byte odd the vocabulary continues the special and byte tokens, without which no file loads.
#include <support/naive_bpe.hpp>
#include <support/tiny_vocabulary.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/text/llama2c_tokenizer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zoqat;
  static const std::string base = testing::tiny_vocabulary({});
  if (size < 2) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data + 2), size - 2);
  const std::size_t length = std::min<std::size_t>(data[1], input.size());
  const auto file = std::string(data[0] % 2 == 1 ? base : "").append(input.substr(0, length));
  const std::string_view text = input.substr(length);
  try {
    const text::llama2c_tokenizer tokenizer(testing::exact_bytes(file), "input");
    const auto tokens = tokenizer.encode(text, true);
    if (tokens != testing::naive_encode(tokenizer, text, true)) std::abort();
    static_cast<void>(tokenizer.decode(tokens));
  } catch (const io_error&) {
  }
  return 0;
}
