// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/content.hpp>

#include <doctest/doctest.h>
#include <support/corruption.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

using namespace zoqat;
using namespace zoqat::testing;
namespace gguf = zoqat::io::gguf;

namespace {

// Writes the fields of a file as the format's description has them, apart from the library's writer.
struct file_text {
  std::string bytes = "GGUF";

  template <class T>
  file_text& add(T x) {
    append_value(bytes, x);
    return *this;
  }
  file_text& text(std::string_view s) {
    add(std::uint64_t{s.size()});
    bytes += s;
    return *this;
  }
  file_text& begin(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3) {
    return add(version).add(tensors).add(keys);
  }
  file_text& u32(std::string_view key, std::uint32_t x) { return text(key).add(std::uint32_t{4}).add(x); }
  file_text& tensor(std::string_view name, std::initializer_list<std::uint64_t> extents, std::uint32_t type,
                    std::uint64_t offset) {
    text(name).add(static_cast<std::uint32_t>(extents.size()));
    for (const std::uint64_t extent : extents) add(extent);
    return add(type).add(offset);
  }
  // Fills up to the alignment, and appends data.
  file_text& data(std::size_t size, std::size_t alignment = 32) {
    while (bytes.size() % alignment != 0) bytes += '\0';
    for (std::size_t i = 0; i != size; ++i) bytes += static_cast<char>(i + 1);
    return *this;
  }
};

gguf::content parse(const file_text& file) {
  return gguf::parse(std::as_bytes(std::span(file.bytes.data(), file.bytes.size())), "the/file");
}
std::string failure(const file_text& file) {
  const auto bytes = exact_bytes(file.bytes);
  return message_of<io_error>([&] { static_cast<void>(gguf::parse(bytes, "the/file")); });
}

// A key, and two tensors, of which the first leaves a gap before the second.
file_text two_tensors() {
  file_text file;
  file.begin(2, 2).u32("a.number", 7).u32("general.alignment", 16);
  file.tensor("x", {3, 2}, 0, 0).tensor("y", {32, 1}, 8, 32).data(24, 16).data(34, 16).data(0, 16);
  return file;
}

}  // namespace

TEST_CASE("a file is read as its description says") {
  const file_text file = two_tensors();
  const gguf::content content = parse(file);
  CHECK(content.version == 3);
  CHECK(content.padded_end);
  REQUIRE(content.metadata.size() == 2);
  CHECK(content.metadata[0].first == "a.number");
  CHECK(content.metadata[0].second.get_if<std::uint32_t>() == 7u);
  REQUIRE(content.tensors.size() == 2);
  CHECK(content.tensors[0].name == "x");
  CHECK(content.tensors[0].shape == std::vector<std::size_t>{2, 3});  // the innermost dimension comes first in files
  CHECK(content.tensors[0].data.size() == 24);
  CHECK(content.tensors[1].type == gguf::tensor_type::q8_0);
  CHECK(content.tensors[1].data.size() == 34);
  CHECK(content.tensors[1].data[33] == std::byte{34});
}

TEST_CASE("the last tensor may do without its padding") {
  file_text file;
  const gguf::content content = parse(file.begin(1, 0).tensor("x", {3}, 0, 0).data(12));
  CHECK_FALSE(content.padded_end);
  CHECK(content.tensors[0].data.size() == 12);
}

TEST_CASE("what no file may hold is refused with its place and value") {
  const auto with = [](auto&& edit) {
    file_text file;
    edit(file);
    return failure(file);
  };
  check_mentions(failure({"GGUX"}), "the/file", "not a GGUF file");
  check_mentions(failure({""}), "not a GGUF file");
  check_mentions(with([](auto& f) { f.begin(0, 0, 1); }), "version 1");
  check_mentions(with([](auto& f) { f.begin(0, 0, 4); }), "version 4");
  constexpr auto huge = std::numeric_limits<std::uint64_t>::max();
  check_mentions(with([](auto& f) { f.begin(0, huge); }), "number of keys", "18446744073709551615");
  check_mentions(with([](auto& f) { f.begin(huge, 0); }), "number of tensors", "18446744073709551615");
  check_mentions(with([](auto& f) { f.begin(0, 1).add(huge).data(32); }), "key 0", "18446744073709551615 bytes");
  check_mentions(with([](auto& f) { f.begin(0, 1).text("k").add(13u).data(32); }), "k: 13 is no type");
  check_mentions(with([](auto& f) { f.begin(0, 1).text("k").add(9u).add(4u).add(huge).data(32); }),
                 "k: ", "more than");
  check_mentions(with([](auto& f) {
                   f.begin(0, 1).text("k");
                   f.add(9u);
                   for (int i = 0; i != 20; ++i) f.add(9u).add(std::uint64_t{1});
                   f.data(32);
                 }),
                 "k: arrays in arrays");
  check_mentions(with([](auto& f) { f.begin(0, 2).u32("k", 1).u32("k", 1); }), "'k' comes twice");
  check_mentions(with([](auto& f) { f.begin(0, 1).u32("general.alignment", 24); }), "24 is no power of 2");
  check_mentions(with([](auto& f) { f.begin(0, 1).u32("general.alignment", 0); }), "0 is no power of 2");
  check_mentions(with([](auto& f) { f.begin(0, 1).text("general.alignment").add(10u).add(huge); }), "u64, but u32");

  const auto one = [&](std::initializer_list<std::uint64_t> extents, std::uint32_t type, std::uint64_t offset) {
    return with([&](auto& f) { f.begin(1, 0).tensor("t", extents, type, offset).data(64); });
  };
  check_mentions(one({}, 0, 0), "tensor 't'", "0 dimensions");
  check_mentions(one({1, 1, 1, 1, 1}, 0, 0), "tensor 't'", "5 dimensions");
  check_mentions(one({4, 0}, 0, 0), "dimension 0 is 0");
  check_mentions(one({4}, 4, 0), "type 4 is not known");
  check_mentions(one({48}, 8, 0), "rows of 48 do not divide into blocks of 32 (Q8_0)");
  check_mentions(one({32, huge / 32 + 1}, 0, 0), "out of range");
  check_mentions(one({huge / 2}, 0, 0), "out of range");
  check_mentions(one({4}, 0, 32), "begins at byte 32 of the data, but 0 is wanted");
  check_mentions(one({17}, 0, 0), "bytes [0, 68) are not inside the 64 bytes");
  check_mentions(one({4}, 0, 0), "followed by 48 bytes, but 16 or none");
  check_mentions(with([](auto& f) { f.begin(2, 0).tensor("t", {8}, 0, 0).tensor("t", {8}, 0, 32).data(64); }),
                 "tensor 't': the name comes twice");
}

TEST_CASE("damaged files are refused or read, and never beyond their end") {
  const file_text good = two_tensors();
  const corruptions damaged{good.bytes, [](std::span<const std::byte> bytes) {
                              for (const gguf::tensor& t : gguf::parse(bytes, "the/file").tensors)
                                std::vector<std::byte>(t.data.begin(), t.data.end());
                            }};
  const corruption_result cut = damaged.truncate();
  CHECK(cut.rejected > good.bytes.size() - 20);
  const corruption_result flipped = damaged.flip_bits(good.bytes.size());
  CHECK(flipped.rejected > 0);
  CHECK(flipped.loaded > 0);  // such as those of data
  const corruption_result replaced = damaged.replace_bytes(good.bytes.size());
  CHECK(replaced.rejected > 0);
}
