// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/safetensors_writer.hpp>

#include <zoqat/io/tensor.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

// A tensor that hands over `given` bytes, `at_a_time` of them.
io::streamed_tensor tensor(const std::string& name, io::dtype type, std::size_t elements,
                           std::span<const std::byte> given, std::size_t at_a_time) {
  return {name, type, {elements}, [=](const io::tensor_sink& sink) {
            for (std::size_t at = 0; at < given.size(); at += at_a_time)
              sink(given.subspan(at, std::min(at_a_time, given.size() - at)));
          }};
}

}  // namespace

TEST_CASE("tensors that are streamed in parts of any size make the file that whole tensors make") {
  const temporary_folder folder;
  const std::vector<std::uint8_t> bytes{1, 2, 3, 4, 5};
  const std::vector<float> floats{1.5f, -2, 0.25f};
  const std::vector<std::uint64_t> longs{~std::uint64_t{0}, 7};
  const auto of = [](const auto& values) { return std::as_bytes(std::span(values)); };
  const std::vector<io::tensor_view> whole{{"b", io::dtype::u8, {5}, of(bytes), ""},
                                           {"f", io::dtype::f32, {3}, of(floats), ""},
                                           {"l", io::dtype::u64, {2}, of(longs), ""}};
  io::write_safetensors(folder / "whole", whole, {{"format", "pt"}});
  for (const std::size_t at_a_time : {1u, 4u, 100u}) {
    std::vector<io::streamed_tensor> streamed;
    for (const io::tensor_view& t : whole) streamed.push_back(tensor(t.name, t.type, t.shape[0], t.data, at_a_time));
    io::stream_safetensors(folder / "streamed", streamed, {{"format", "pt"}});
    CHECK(read_file(folder / "streamed") == read_file(folder / "whole"));
  }
}

TEST_CASE("a tensor that writes too little or too much is named, and leaves no file") {
  const temporary_folder folder;
  const std::vector<std::byte> bytes(9);
  for (const std::size_t elements : {2u, 3u}) {
    const std::vector<io::streamed_tensor> wrong{tensor("the.tensor", io::dtype::f32, elements, bytes, 3)};
    check_mentions(message_of<value_error>([&] { io::stream_safetensors(folder / "m.safetensors", wrong); }),
                   "m.safetensors", "the.tensor", "9 bytes", std::to_string(4 * elements));
  }
  const std::vector<io::streamed_tensor> twice{tensor("same", io::dtype::u8, 9, bytes, 9),
                                               tensor("same", io::dtype::u8, 9, bytes, 9)};
  check_mentions(message_of<value_error>([&] { io::stream_safetensors(folder / "m.safetensors", twice); }), "same");
  CHECK(folder.count() == 0);
}
