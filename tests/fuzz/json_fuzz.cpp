// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer: a text is read as the JSON library reads it by itself, or throws io_error; what that refuses is refused.
#include <zoqat/core/error.hpp>
#include <zoqat/io/json.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zoqat;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const io::json value = io::parse_json(text, "input");
    if (value != io::json::parse(text.begin(), text.end())) std::abort();
  } catch (const io_error&) {
  }
  return 0;
}
