// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/checksums.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

const std::array<float, 6> values{1, 2, 3, 4, 5, 6};
std::vector<io::tensor_view> two_tensors() {
  const auto bytes = std::as_bytes(std::span(values));
  return {{"a", io::dtype::f32, {2, 2}, bytes.first(16), "memory"},
          {"b", io::dtype::f32, {2}, bytes.last(8), "memory"}};
}
std::string checked(const std::filesystem::path& path) {
  return message_of<io_error>([&] { io::require_checksums(io::safetensors_file(path)); });
}

}  // namespace

TEST_CASE("a file that is as it was written agrees with its checksums") {
  const temporary_folder folder;
  io::safetensors_metadata metadata{{"more", "text"}};
  io::add_checksums(two_tensors(), metadata);
  io::write_safetensors(folder / "file", two_tensors(), metadata);
  CHECK_NOTHROW(io::require_checksums(io::safetensors_file(folder / "file")));
  CHECK(metadata.size() == 4);
}

TEST_CASE("damage is found and named: of a tensor's bytes, name, type and shape, and of the metadata") {
  const temporary_folder folder;
  io::safetensors_metadata metadata{{"more", "text"}};
  io::add_checksums(two_tensors(), metadata);
  const auto message = [&](auto&& change) {
    auto tensors = two_tensors();
    auto changed = metadata;
    change(tensors, changed);
    io::write_safetensors(folder / "file", tensors, changed);
    return checked(folder / "file");
  };
  std::array<float, 2> other{5, 7};
  check_mentions(message([&](auto& t, auto&) { t[1].data = std::as_bytes(std::span(other)); }), "file",
                 "tensor 'b' is damaged");
  check_mentions(message([](auto& t, auto&) { t[1].name = "c"; }), "tensor 'c' is damaged");
  check_mentions(message([](auto& t, auto&) { t[1].type = io::dtype::i32; }), "tensor 'b' is damaged");
  check_mentions(message([](auto& t, auto&) { t[0].shape = {4, 1}; }), "tensor 'a' is damaged");
  check_mentions(message([](auto&, auto& m) { m["more"] = "texts"; }), "metadata are damaged");
  check_mentions(message([](auto&, auto& m) {  // another name at the same place, of the same value
                   m.erase("more");
                   m["mose"] = "text";
                 }),
                 "metadata are damaged");
  check_mentions(message([](auto&, auto& m) { m.erase("checksum"); }), "metadata are damaged");
  check_mentions(message([](auto&, auto& m) { m.erase("checksum of a"); }), "metadata are damaged");
}
