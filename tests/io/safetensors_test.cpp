// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/safetensors.hpp>

#include <doctest/doctest.h>
#include <support/corruption.hpp>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/tiny_llama.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

// A file with this header, unpadded, and `data` bytes behind it.
std::string file_with(std::string_view header, std::size_t data) {
  std::string bytes;
  append_value(bytes, std::uint64_t{header.size()});
  bytes += header;
  for (std::size_t i = 0; i != data; ++i) bytes += static_cast<char>(i);
  return bytes;
}

io::safetensors_content parse(std::string_view file) {
  return io::parse_safetensors(std::as_bytes(std::span(file.data(), file.size())), "the/file");
}

std::string failure(std::string_view file) {
  const auto bytes = exact_bytes(file);
  return message_of<io_error>([&] { static_cast<void>(io::parse_safetensors(bytes, "the/file")); });
}
std::string failure(std::string_view header, std::size_t data) { return failure(file_with(header, data)); }

// Touches all that a reader could touch.
void load_and_read(std::span<const std::byte> bytes) {
  for (const auto& tensor : io::parse_safetensors(bytes, "the/file").tensors) {
    std::vector<std::byte> copy(tensor.data.begin(), tensor.data.end());
    if (tensor.type != io::dtype::f32) continue;
    std::vector<float> values(io::element_count(tensor));
    io::copy_to_f32(tensor, values);
  }
}

constexpr std::string_view two_tensors =
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"I8","shape":[3],"data_offsets":[8,11]}})";

}  // namespace

TEST_CASE("tensors and metadata are read as the header says") {
  const std::string file = file_with(
      R"({"__metadata__":{"format":"pt","x":""},"second":{"dtype":"I16","shape":[],"data_offsets":[12,14]},)"
      R"("first":{"dtype":"F32","shape":[3,1],"data_offsets":[0,12],"unknown":[1]},)"
      R"("empty":{"dtype":"F64","shape":[0,4],"data_offsets":[12,12]}}   )",
      14);
  const auto content = parse(file);
  CHECK(content.metadata == io::safetensors_metadata{{"format", "pt"}, {"x", ""}});
  REQUIRE(content.tensors.size() == 3);
  const auto& first = content.tensors[0];
  CHECK(first.name == "first");
  CHECK(first.type == io::dtype::f32);
  CHECK(first.shape == std::vector<std::size_t>{3, 1});
  CHECK(first.source == "the/file");
  CHECK(std::to_integer<int>(first.data[11]) == 11);
  CHECK(content.tensors[1].name == "empty");
  CHECK(content.tensors[1].data.empty());
  CHECK(content.tensors[2].name == "second");
  CHECK(std::to_integer<int>(content.tensors[2].data[0]) == 12);
}

TEST_CASE("a file without tensors is fine") {
  CHECK(parse(file_with("{}", 0)).tensors.empty());
  CHECK(parse(file_with(R"({"__metadata__":{"a":"b"}})", 0)).metadata.size() == 1);
}

TEST_CASE("the header's length must be plausible and the header an object") {
  check_mentions(failure(""), "the/file", "too short for a safetensors file: 0 bytes");
  check_mentions(failure("1234567"), ": 7 bytes");
  std::string file = file_with("{}", 0);
  for (const auto length : {std::uint64_t{3}, std::uint64_t{100'000'000}, std::uint64_t{100'000'001},
                            std::numeric_limits<std::uint64_t>::max()}) {
    std::memcpy(file.data(), &length, sizeof(length));
    check_mentions(failure(file), "the/file", "header of " + std::to_string(length) + " bytes");
  }
  check_mentions(failure("", 5), "no JSON object");
  check_mentions(failure(" {}", 0), "no JSON object");
  check_mentions(failure("[]", 0), "no JSON object");
  check_mentions(failure("{]", 0), "not valid JSON");
  check_mentions(failure("{}{}", 0), "not valid JSON");
}

TEST_CASE("a malformed entry is named with what is wrong") {
  const auto entry = [](std::string_view fields) { return "{\"w\":" + std::string(fields) + "}"; };
  check_mentions(failure(entry("3"), 0), "the/file", "tensor 'w'");
  check_mentions(failure(entry(R"({"shape":[1],"data_offsets":[0,4]})"), 4), "tensor 'w'", "\"dtype\" is missing");
  check_mentions(failure(entry(R"({"dtype":7,"shape":[1],"data_offsets":[0,4]})"), 4), "\"dtype\" must be a string");
  check_mentions(failure(entry(R"({"dtype":"F4","shape":[1],"data_offsets":[0,4]})"), 4), "tensor 'w'", "F4");
  check_mentions(failure(entry(R"({"dtype":"F32","data_offsets":[0,4]})"), 4), "\"shape\" must be an array");
  check_mentions(failure(entry(R"({"dtype":"F32","shape":4,"data_offsets":[0,4]})"), 4), "\"shape\"");
  check_mentions(failure(entry(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})"), 4), "tensor 'w'", "-1");
  check_mentions(failure(entry(R"({"dtype":"F32","shape":[1.5],"data_offsets":[0,4]})"), 4), "1.5");
  check_mentions(failure(entry(R"({"dtype":"F32","shape":[1]})"), 4), "\"data_offsets\" must be an array");
  check_mentions(failure(entry(R"({"dtype":"F32","shape":[1],"data_offsets":[0]})"), 4), "2 elements, but has 1");
  check_mentions(failure(entry(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4,8]})"), 4), "has 3");
  check_mentions(failure(entry(R"({"dtype":"F32","shape":[1],"data_offsets":["0",4]})"), 4), "\"0\"");
}

TEST_CASE("offsets must lie inside of the file and fit shape and type") {
  const auto entry = [](std::string_view shape, std::string_view offsets) {
    return fmt::format(R"({{"w":{{"dtype":"F32","shape":{},"data_offsets":{}}}}})", shape, offsets);
  };
  CHECK(parse(file_with(entry("[2]", "[0,8]"), 8)).tensors.size() == 1);
  check_mentions(failure(entry("[2]", "[0,8]"), 7), "the/file", "tensor 'w'", "[0, 8)", "7 bytes");
  check_mentions(failure(entry("[2]", "[8,0]"), 8), "[8, 0)");
  check_mentions(failure(entry("[2]", "[0,18446744073709551615]"), 8), "18446744073709551615");
  check_mentions(failure(entry("[2]", "[18446744073709551608,18446744073709551615]"), 8), "not inside");
  check_mentions(failure(entry("[3]", "[0,8]"), 8), "tensor 'w'", "8 bytes", "[3]");
  check_mentions(failure(entry("[]", "[0,8]"), 8), "8 bytes");
  check_mentions(failure(entry("[2,4611686018427387905]", "[0,8]"), 8), "4611686018427387905");
  check_mentions(failure(entry("[4294967296,4294967296,0]", "[0,0]"), 0), "4294967296");
}

TEST_CASE("holes, overlaps and bytes that no tensor covers are rejected") {
  const auto two = [](std::string_view a, std::string_view b) {
    return fmt::format(R"({{"a":{{"dtype":"U8","shape":[4],"data_offsets":{}}},)"
                       R"("b":{{"dtype":"U8","shape":[4],"data_offsets":{}}}}})",
                       a, b);
  };
  CHECK(parse(file_with(two("[4,8]", "[0,4]"), 8)).tensors.front().name == "b");
  check_mentions(failure(two("[0,4]", "[5,9]"), 9), "the/file", "tensor 'b'", "begins at byte 5", "ends at byte 4");
  check_mentions(failure(two("[0,4]", "[3,7]"), 7), "tensor 'b'", "begins at byte 3");
  check_mentions(failure(two("[0,4]", "[0,4]"), 4), "tensor 'b'");
  check_mentions(failure(two("[1,5]", "[5,9]"), 9), "tensor 'a'", "begins at byte 1");
  check_mentions(failure(two("[0,4]", "[4,8]"), 9), "9 bytes of data", "cover 8");
  check_mentions(failure("{}", 1), "1 byte of data");
}

TEST_CASE("names come once, metadata are strings") {
  check_mentions(failure(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                         R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
                         0),
                 "\"a\" comes twice");
  check_mentions(failure(R"({"__metadata__":{"a":"b"},"__metadata__":{"a":"b"}})", 0),
                 "\"__metadata__\" comes twice");
  check_mentions(failure(R"({"a":{"dtype":"U8","dtype":"U8"}})", 0), "\"dtype\" comes twice");
  check_mentions(failure(R"({"__metadata__":{"a":1}})", 0), "the/file", "\"a\" must be a string");
  check_mentions(failure(R"({"__metadata__":["a"]})", 0), "\"__metadata__\" must be an object");
}

TEST_CASE("headers that would take much more memory than their length are refused") {
  const auto members = [](std::string_view value, std::size_t n) {
    std::string text;
    for (std::size_t i = 0; i != n; ++i) text += fmt::format("{}\"{:x}\":{}", i == 0 ? "" : ",", i, value);
    return "{" + text + "}";
  };
  const std::string entry = R"({"dtype":"I8","shape":[0],"data_offsets":[0,0]})";
  CHECK(parse(file_with(members(entry, 20'000), 0)).tensors.size() == 20'000);
  check_mentions(failure(members(entry, 400'000), 0), "the/file", "of memory");
  CHECK(parse(file_with("{\"__metadata__\":" + members("\"\"", 20'000) + "}", 0)).metadata.size() == 20'000);
  check_mentions(failure("{\"__metadata__\":" + members("\"\"", 600'000) + "}", 0), "the/file", "of memory");
  check_mentions(failure("{\"a\":" + members("0", 600'000) + "}", 0), "the/file", "of memory");
}

TEST_CASE("every corruption of a file is rejected or loads harmlessly") {
  const corruptions file{file_with(two_tensors, 11), load_and_read};
  CHECK(file.truncate().loaded == 0);
  const std::size_t header = 8 + two_tensors.size();
  const auto flipped = file.flip_bits(header);
  CHECK(flipped.rejected > 700);  // the rest renames a tensor or reinterprets bytes
  CHECK(flipped.loaded > 0);
  CHECK(flipped.loaded + flipped.rejected == 8 * header);
  CHECK(file.replace_bytes(header).rejected > 300);
}

TEST_CASE("what is written is read back, with data at a multiple of 64 and elements aligned") {
  const temporary_folder folder;
  const std::vector<std::int8_t> bytes{1, 2, 3};
  const std::vector<double> doubles{0.5, -1.0};
  tensor_collection floats;
  floats.add("floats", {2, 3}, 1);
  std::vector<io::tensor_view> tensors{
      {"bytes", io::dtype::i8, {3}, std::as_bytes(std::span(bytes)), ""},
      floats.views()[0],
      {"doubles \"ä\\\n", io::dtype::f64, {2, 1}, std::as_bytes(std::span(doubles)), ""},
      {"empty", io::dtype::bf16, {0}, {}, ""},
      {"scalar", io::dtype::u8, {}, std::as_bytes(std::span(bytes)).first(1), ""}};
  for (std::size_t padding = 0; padding != 70; ++padding) {
    CAPTURE(padding);
    const io::safetensors_metadata metadata{{"note", std::string(padding, 'x')}};
    io::write_safetensors(folder / "file", tensors, metadata);
    const io::safetensors_file file(folder / "file");
    CHECK(file.metadata() == metadata);
    REQUIRE(file.tensors().size() == tensors.size());
    CHECK(file.tensors().front().name == tensors[2].name);  // the widest elements come first
    for (const auto& written : tensors) {
      const auto& read = file.at(written.name);
      CHECK(read.type == written.type);
      CHECK(read.shape == written.shape);
      CHECK(std::ranges::equal(read.data, written.data));
      CHECK(reinterpret_cast<std::uintptr_t>(read.data.data()) % io::dtype_size(read.type) == 0);
    }
    CHECK(reinterpret_cast<std::uintptr_t>(file.tensors().front().data.data()) % 64 == 0);
  }
}

TEST_CASE("a file of no tensors can be written") {
  const temporary_folder folder;
  io::write_safetensors(folder / "file", {});
  CHECK(io::safetensors_file(folder / "file").tensors().empty());
  CHECK(std::filesystem::file_size(folder / "file") == 64);
}

TEST_CASE("tensors stay in their place when the file object moves") {
  const temporary_folder folder;
  tensor_collection floats;
  floats.add("a", {4}, 1);
  io::write_safetensors(folder / "file", floats.views());
  io::safetensors_file file(folder / "file");
  const auto* const view = file.find("a");
  const io::safetensors_file moved(std::move(file));
  CHECK(moved.find("a") == view);
  CHECK(&moved.at("a") == view);
  CHECK(moved.find("b") == nullptr);
  check_mentions(message_of<io_error>([&] { static_cast<void>(moved.at("b")); }), (folder / "file").string(), "'b'");
}

TEST_CASE("tensors that make no valid file are not written") {
  const temporary_folder folder;
  const auto rejected = [&](const std::vector<io::tensor_view>& tensors) {
    const auto text = message_of<value_error>([&] { io::write_safetensors(folder / "file", tensors); });
    CHECK(folder.count() == 0);
    return text;
  };
  tensor_collection good;
  good.add("a", {2}, 0);
  const auto& a = good.views()[0];
  auto other = a;
  check_mentions(rejected({a, other}), "file", "tensor 'a'", "twice");
  other.name = "__metadata__";
  check_mentions(rejected({other}), "__metadata__", "reserved");
  other.name = "\xff";
  check_mentions(rejected({other}), "UTF-8");
  other.name = "b";
  other.shape = {3};
  check_mentions(rejected({a, other}), "tensor 'b'", "8 bytes", "[3]");
}

TEST_CASE("a write that fails leaves neither a half-written file nor a temporary") {
  const temporary_folder folder;
  tensor_collection floats;
  floats.add("a", {1000}, 0);
  check_mentions(message_of<io_error>([&] { io::write_safetensors(folder / "absent/file", floats.views()); }),
                 "absent/file", "No such file");
  CHECK(folder.count() == 0);
}

TEST_CASE("a real file: OPT, 3 million parameters") {
  const auto path = shared_data("models/opt-layout-3m/model.safetensors");
  if (!path) return;
  const io::safetensors_file file(*path);
  CHECK(file.tensors().size() == 132);
  CHECK(file.metadata().at("format") == "pt");
  const auto& embedding = file.at("model.decoder.embed_tokens.weight");
  CHECK(embedding.shape == std::vector<std::size_t>{14019, 128});
  std::vector<float> values(io::element_count(embedding));
  io::copy_to_f32(embedding, values);
  CHECK(std::ranges::all_of(values, [](float v) { return std::abs(v) < 10; }));

  const temporary_folder folder;
  io::write_safetensors(folder / "copy", file.tensors(), file.metadata());
  const io::safetensors_file copy(folder / "copy");
  REQUIRE(copy.tensors().size() == file.tensors().size());
  CHECK(std::ranges::equal(copy.tensors(), file.tensors(), [](const auto& a, const auto& b) {
    return a.name == b.name && a.shape == b.shape && a.type == b.type && std::ranges::equal(a.data, b.data);
  }));
}
