// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/writer.hpp>

#include <zoqat/io/gguf/file.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
namespace gguf = zoqat::io::gguf;

namespace {

std::string padded(std::string bytes, std::size_t alignment) {
  while (bytes.size() % alignment != 0) bytes += '\0';
  return bytes;
}

// A file with a value of every type, arrays of every type and arrays of arrays, written field by field.
std::string all_types(std::uint32_t version, std::uint32_t alignment, bool padded_end) {
  std::string keys;
  std::uint64_t count = 0;
  const auto text = [](std::string& to, std::string_view s) {
    append_value(to, std::uint64_t{s.size()});
    to += s;
  };
  const auto key = [&](std::string_view name, std::uint32_t type) {
    text(keys, name);
    append_value(keys, type);
    ++count;
  };
  const auto scalar = [&]<class T>(std::uint32_t type, T x) {
    key("scalar." + std::to_string(type), type);
    append_value(keys, x);
    key("array." + std::to_string(type), 9);
    append_value(keys, type);
    append_value(keys, std::uint64_t{3});
    for (int i = 0; i != 3; ++i) append_value(keys, x);
  };
  scalar(12, 0.1);  // not in the order of the numbers
  scalar(0, std::uint8_t{200});
  scalar(1, std::int8_t{-5});
  scalar(2, std::uint16_t{60000});
  scalar(3, std::int16_t{-300});
  scalar(4, std::uint32_t{4000000000});
  scalar(5, std::int32_t{-70000});
  scalar(6, std::numeric_limits<float>::quiet_NaN());
  scalar(7, true);
  scalar(10, std::uint64_t{1} << 60);
  scalar(11, -(std::int64_t{1} << 60));
  key("scalar.8", 8);
  text(keys, std::string_view("zero\0byte", 9));
  key("array.8", 9);
  append_value(keys, std::uint32_t{8});
  append_value(keys, std::uint64_t{2});
  text(keys, "");
  text(keys, "b");
  key("array.9", 9);  // [[[1, 2], []], [["x"]]]
  append_value(keys, std::uint32_t{9});
  append_value(keys, std::uint64_t{2});
  append_value(keys, std::uint32_t{9});
  append_value(keys, std::uint64_t{2});
  append_value(keys, std::uint32_t{0});
  append_value(keys, std::uint64_t{2});
  keys += "\x01\x02";
  append_value(keys, std::uint32_t{0});
  append_value(keys, std::uint64_t{0});
  append_value(keys, std::uint32_t{9});
  append_value(keys, std::uint64_t{1});
  append_value(keys, std::uint32_t{8});
  append_value(keys, std::uint64_t{1});
  text(keys, "x");
  key("general.alignment", 4);
  append_value(keys, alignment);

  std::string file = "GGUF";
  append_value(file, version);
  append_value(file, std::uint64_t{2});
  append_value(file, count);
  file += keys;
  const auto tensor = [&](std::string_view name, std::vector<std::uint64_t> extents, std::uint32_t type,
                          std::uint64_t offset) {
    text(file, name);
    append_value(file, static_cast<std::uint32_t>(extents.size()));
    for (const std::uint64_t extent : extents) append_value(file, extent);
    append_value(file, type);
    append_value(file, offset);
  };
  const std::string odd = padded(std::string(3, 'o'), alignment);
  tensor("odd", {3}, 24, 0);
  tensor("quantized", {256, 1, 1, 2}, 22, odd.size());
  file = padded(file, alignment) + odd + std::string(164, 'q');
  return padded_end ? padded(file, alignment) : file;
}

std::string rewritten(const std::string& bytes) {
  const temporary_folder folder;
  write_file(folder / "in.gguf", bytes);
  gguf::write(folder / "out.gguf", gguf::file(folder / "in.gguf").content());
  return read_file(folder / "out.gguf");
}

}  // namespace

TEST_CASE("what is read and written again untouched is the same bytes") {
  for (const std::uint32_t version : {2u, 3u})
    for (const std::uint32_t alignment : {1u, 2u, 8u, 32u, 64u, 4096u})
      for (const bool padded_end : {false, true}) {
        const std::string file = all_types(version, alignment, padded_end);
        CHECK(rewritten(file) == file);
      }
}

TEST_CASE("a file without tensors is the same bytes again, padded or not") {
  std::string file = "GGUF";
  append_value(file, std::uint32_t{3});
  append_value(file, std::uint64_t{0});
  append_value(file, std::uint64_t{0});
  CHECK(rewritten(file) == file);
  CHECK(rewritten(padded(file, 32)) == padded(file, 32));
}

TEST_CASE("values and tensors come back as they were written, in any parts") {
  const temporary_folder folder;
  const gguf::metadata entries{{"general.architecture", "llama"},
                               {"n", std::uint32_t{7}},
                               {"negative", std::int32_t{-1}},
                               {"wide", std::uint64_t{1} << 40},
                               {"yes", true},
                               {"epsilon", 1e-5f},
                               {"names", std::vector<std::string>{"a", "", "b c"}},
                               {"scores", std::vector<float>{0.5f, -1}}};
  const std::string data = "0123456789abcdefghijklmn";
  const auto bytes = std::as_bytes(std::span(data));
  {
    gguf::writer writer(folder / "x.gguf", entries,
                        {{"a", gguf::tensor_type::f32, {2, 3}}, {"b", gguf::tensor_type::f16, {5}}});
    CHECK(writer.next().name == "a");
    writer.write(bytes.first(1));
    writer.write(bytes.subspan(1));
    CHECK(writer.next().name == "b");
    writer.write(bytes.first(10));
    writer.commit();
  }
  const gguf::file file(folder / "x.gguf");
  CHECK(file.metadata() == entries);
  CHECK(file.get<std::string>("general.architecture") == "llama");
  CHECK(file.get<std::size_t>("n") == 7);
  CHECK(file.get<std::size_t>("wide") == std::size_t{1} << 40);
  CHECK(file.get<bool>("yes"));
  CHECK(file.get<float>("epsilon") == 1e-5f);
  CHECK(file.get<std::vector<std::string>>("names") == std::vector<std::string>{"a", "", "b c"});
  CHECK(file.get<std::vector<float>>("scores") == std::vector<float>{0.5f, -1});
  CHECK_FALSE(file.get_if<std::size_t>("absent"));
  check_mentions(message_of<io_error>([&] { static_cast<void>(file.get<std::size_t>("absent")); }), "x.gguf",
                 "'absent'", "an integer");
  check_mentions(message_of<io_error>([&] { static_cast<void>(file.get<std::size_t>("negative")); }), "negative",
                 "i32", "at least 0");
  check_mentions(message_of<io_error>([&] { static_cast<void>(file.get<std::string>("n")); }), "n: holds a u32",
                 "a string is wanted");
  check_mentions(message_of<io_error>([&] { static_cast<void>(file.get<std::vector<float>>("names")); }),
                 "array of string");
  REQUIRE(file.find("b") != nullptr);
  CHECK(file.find("c") == nullptr);
  CHECK(file.find("b")->data.size() == 10);
  CHECK(file.find("a")->shape == std::vector<std::size_t>{2, 3});
  CHECK(std::ranges::equal(file.find("a")->data, bytes));
}

TEST_CASE("what no file can hold is not written") {
  const temporary_folder folder;
  const auto failure = [&](const gguf::metadata& entries, std::vector<gguf::tensor_info> tensors) {
    return message_of<value_error>([&] { gguf::writer(folder / "x.gguf", entries, std::move(tensors)); });
  };
  check_mentions(failure({{"k", true}, {"k", true}}, {}), "x.gguf", "'k' comes twice");
  check_mentions(failure({{"general.alignment", std::uint32_t{3}}}, {}), "3 is no power of 2");
  check_mentions(failure({}, {{"t", gguf::tensor_type::f32, {1}}, {"t", gguf::tensor_type::f32, {1}}}),
                 "'t': the name comes twice");
  check_mentions(failure({}, {{"t", gguf::tensor_type::q4_0, {2, 48}}}), "'t'", "[2, 48] as Q4_0");
  check_mentions(failure({}, {{"t", gguf::tensor_type::f32, {}}}), "[] as F32");
  check_mentions(failure({}, {{"t", gguf::tensor_type::f32, {1, 1, 1, 1, 1}}}), "[1, 1, 1, 1, 1] as F32");

  gguf::writer writer(folder / "x.gguf", {}, {{"t", gguf::tensor_type::f32, {2}}});
  const std::string nine(9, 'x');
  check_mentions(message_of<value_error>([&] { writer.write(std::as_bytes(std::span(nine))); }), "9 bytes",
                 "tensor 0 of 1 wants 8");
  check_mentions(message_of<value_error>([&] { writer.commit(); }), "0 tensors were written, but 1");
  CHECK_FALSE(std::filesystem::exists(folder / "x.gguf"));
}
