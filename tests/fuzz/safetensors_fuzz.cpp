// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer: the safetensors reader either loads a file or throws io_error; what it loads can be read, written and
// loaded again.
#include <zoqat/core/error.hpp>
#include <zoqat/io/safetensors.hpp>
#include <zoqat/io/tensor.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

namespace {

using namespace zoqat;

void read_all(const io::safetensors_content& content) {
  std::vector<float> values;
  for (const auto& tensor : content.tensors) {
    values.resize(io::element_count(tensor));
    try {
      io::copy_to_f32(tensor, values);
    } catch (const io_error&) {  // not a floating type
    }
  }
}

void require_same_after_writing(const io::safetensors_content& content) {
  std::vector<const io::tensor_view*> order;
  for (const auto& tensor : content.tensors) order.push_back(&tensor);
  const std::string header = io::detail::make_header(order, content.metadata, "copy");
  const std::uint64_t length = header.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof(length));
  file += header;
  for (const auto& tensor : content.tensors)
    file.append(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size());
  const auto again = io::parse_safetensors(std::as_bytes(std::span(file)), "copy");
  if (again.tensors.size() != content.tensors.size() || again.metadata != content.metadata) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto content = io::parse_safetensors(std::as_bytes(std::span(data, size)), "input");
    read_all(content);
    require_same_after_writing(content);
  } catch (const io_error&) {
  }
  return 0;
}
