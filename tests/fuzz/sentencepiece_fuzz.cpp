// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer: the adapter to the sentencepiece library reads a model or refuses it by io_error, and encodes any text
// or throws value_error.
#include <support/files.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/ext/sentencepiece.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zoqat;
  static const testing::temporary_folder folder;
  testing::write_file(folder / "m.model", {reinterpret_cast<const char*>(data), size});
  try {
    const ext::sentencepiece_tokenizer tokenizer(folder / "m.model");
    static_cast<void>(tokenizer.decode(tokenizer.encode("Once upon a time, \xF0\x9F\x99\x82 \xFF", true)));
  } catch (const error&) {
  }
  return 0;
}
