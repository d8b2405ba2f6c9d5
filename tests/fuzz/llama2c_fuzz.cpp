// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer: the reader of llama2.c checkpoints either loads a file or throws io_error. The header is all that can
// be wrong in one, so that an input is a header and a number of bytes that follow it.
#include <zoqat/core/error.hpp>
#include <zoqat/io/llama2c.hpp>
#include <zoqat/io/tensor.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zoqat;
  constexpr std::size_t header = 28, largest = std::size_t{1} << 20;
  std::uint32_t following = 0;
  if (size > header) std::memcpy(&following, data + header, std::min(size - header, sizeof(following)));
  std::vector<std::byte> file(std::min(size, header) + following % largest);
  std::ranges::copy(std::as_bytes(std::span(data, std::min(size, header))), file.begin());
  try {
    std::vector<float> values;
    for (const auto& tensor : io::parse_llama2c(file, "input").tensors) {
      values.resize(io::element_count(tensor));
      io::copy_to_f32(tensor, values);
    }
  } catch (const io_error&) {
  }
  return 0;
}
