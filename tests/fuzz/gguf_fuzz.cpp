// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer: the GGUF reader either loads a file or throws io_error; what it loads can be read.
#include <zoqat/core/error.hpp>
#include <zoqat/io/gguf/content.hpp>
#include <zoqat/io/gguf/decode.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace {

using namespace zoqat;

void read_all(const io::gguf::content& content) {
  for (const auto& [key, value] : content.metadata) {
    static_cast<void>(value.type_text());
    static_cast<void>(value.unsigned_if());
    static_cast<void>(value.text_if());
    static_cast<void>(value.array_if<float>());
    static_cast<void>(value.array_if<std::string>());
  }
  std::vector<float> values;
  for (const io::gguf::tensor& tensor : content.tensors) {
    if (!io::gguf::is_decodable(tensor.type)) continue;
    const auto& type = io::gguf::info_of(tensor.type);
    values.resize(tensor.data.size() / type.bytes * type.elements);
    io::gguf::decode(tensor, 0, values, "input");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    read_all(io::gguf::parse(std::as_bytes(std::span(data, size)), "input"));
  } catch (const io_error&) {
  }
  return 0;
}
