// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/json.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::string parse_failure(std::string_view text) {
  return message_of<io_error>([&] { static_cast<void>(io::parse_json(text, "the/file")); });
}

template <class T>
std::string get_failure(std::string_view text) {
  const auto object = io::parse_json(text, "the/file");
  return message_of<io_error>([&] { static_cast<void>(io::get<T>(object, "key", "the/file")); });
}

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

}  // namespace

TEST_CASE("members come out as what they are") {
  const auto object = io::parse_json(
      R"({"text": "ä\u0041", "yes": true, "size": 18446744073709551615, "zero": 0, "rate": -2.5, "whole": 3,
          "none": null})",
      "the/file");
  CHECK(io::get<std::string>(object, "text", "f") == "äA");
  CHECK(io::get<bool>(object, "yes", "f"));
  CHECK(io::get<std::uint64_t>(object, "size", "f") == 18446744073709551615u);
  CHECK(io::get<std::size_t>(object, "zero", "f") == 0);
  CHECK(io::get<std::size_t>(io::json{{"signed", int{7}}}, "signed", "f") == 7);
  CHECK(io::get<float>(object, "rate", "f") == -2.5f);
  CHECK(io::get<double>(object, "whole", "f") == 3.0);
  CHECK(io::get_if<bool>(object, "yes", "f") == true);
  CHECK_FALSE(io::get_if<bool>(object, "absent", "f").has_value());
  CHECK_FALSE(io::get_if<bool>(object, "none", "f").has_value());
}

TEST_CASE("malformed JSON is an io_error with the file, the line, the column and what was expected") {
  check_mentions(parse_failure(R"({"a": 1, })"), "the/file", "line 1, column 10: ", "object key", "expected string");
  check_mentions(parse_failure("{\n \"\u00e4\": [1,\n\"\u00f6\" 2]}"), "line 3, column 5", "expected ']'");
  check_mentions(parse_failure(""), "the/file", "line 1, column 1: ", "unexpected end of input");
  check_mentions(parse_failure("{} {}"), "the/file", "column 4", "expected end of input");
  check_mentions(parse_failure("{\"a\": \"\xff\"}"), "the/file", "column 8", "UTF-8");
  check_mentions(parse_failure("[1e999]"), "the/file", "column 6: number overflow", "1e999");
  CHECK(parse_failure("\"" + std::string(100'000, 'x')).size() < 1'000);
  CHECK(parse_failure("[1,]").find("exception") == std::string::npos);
}

TEST_CASE("members and elements of named places are handed on one by one, and the rest is what remains") {
  std::string seen;
  const io::json rest = io::parse_json_parts(
      R"({"a": {"x": 1, "y": [2, {"z": 3}]}, "b": [4, "five", []], "c": {"a": [6]}, "d": {"e": [[7], 8]}})", "f",
      {"/a", "/b", "/d/e"}, [&](const io::json_part& part) {
        seen += fmt::format("{}{}{}:{} ", part.place, part.in_object ? part.name : "", part.index, part.value.dump());
      });
  CHECK(seen == "0x0:1 0y1:[2,{\"z\":3}] 10:4 11:\"five\" 12:[] 20:[7] 21:8 ");
  CHECK(rest.dump() == R"({"a":{},"b":[],"c":{"a":[6]},"d":{"e":[]}})");
  std::size_t elements = 0;
  CHECK(io::parse_json_parts("[[1], {\"a\": 2}]", "f", {""}, [&](const io::json_part&) { ++elements; }).is_array());
  CHECK(elements == 2);
  CHECK(io::parse_json_parts("7", "f", {""}, [&](const io::json_part&) { ++elements; }) == 7);
  CHECK(elements == 2);
}

TEST_CASE("only the largest part counts as memory") {
  std::size_t parts = 0;
  std::string many = "[";
  for (int i = 0; i != 100; ++i) {
    many += i == 0 ? "[0" : ",[0";
    for (int j = 0; j != 50'000; ++j) many += ",0";
    many += "]";
  }
  many += "]";
  check_mentions(parse_failure(many), "of memory");  // 16 bytes for two
  io::parse_json_parts(many, "f", {""}, [&](const io::json_part& part) { parts += part.value.size() == 50'001; });
  CHECK(parts == 100);
}

TEST_CASE("a key may come once in an object, however it is spelled") {
  check_mentions(parse_failure(R"({"a": 1, "b": 2, "a": 1})"), "the/file", "\"a\" comes twice");
  check_mentions(parse_failure(R"({"x": [{"a": 1, "\u0061": 2}]})"), "comes twice");
  CHECK(io::parse_json(R"({"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 2}]})", "f").size() == 2);
}

TEST_CASE("nesting is limited") {
  CHECK(io::parse_json(nested(io::max_json_depth), "f").is_array());
  check_mentions(parse_failure(nested(io::max_json_depth + 1)), "the/file", "nested deeper");
  check_mentions(parse_failure(std::string(1'000'000, '[')), "nested deeper");
}

TEST_CASE("many nested objects cost no more than their text") {
  std::string text = "{";
  for (int i = 0; i != 100'000; ++i) text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":{}";
  text += "}";
  const auto since = std::chrono::steady_clock::now();
  CHECK(io::parse_json(text, "f").size() == 100'000);
  CHECK(std::chrono::steady_clock::now() - since < std::chrono::seconds(10));  // the square takes many minutes
}

TEST_CASE("arrays and objects in each other come out as they are written") {
  const std::string text = R"({"a":[{"b":[1,[2,{}],-3]},[],null],"c":{"d":{"e":0.5},"f":"g"},"h":true})";
  CHECK(io::parse_json(text, "f").dump() == text);
  CHECK(io::parse_json("[[[]],{}]", "f").dump() == "[[[]],{}]");
  CHECK(io::parse_json("7", "f") == 7);
}

TEST_CASE("a zero byte ends no text") {
  using namespace std::string_view_literals;
  check_mentions(message_of<io_error>([] { (void)io::parse_json("{}\0{"sv, "f"); }), "f: ", "column 3",
                 "a zero byte");
  CHECK_THROWS_AS((void)io::parse_json("{}\0"sv, "f"), io_error);
}

TEST_CASE("what would take much more memory than its text is refused, and says so") {
  const auto array_of = [](std::string_view value, std::size_t bytes) {
    std::string text = "[";
    while (text.size() < bytes) text += value;
    return text + "0]";
  };
  check_mentions(parse_failure(array_of("0,", 5'000'000)), "the/file", "5000003 bytes of JSON", "of memory",
                 "too many values");
  check_mentions(parse_failure(array_of("[1],", 5'000'000)), "of memory");
  CHECK(io::parse_json(array_of("0,", 500'000), "f").size() == 250'001);
  check_mentions(parse_failure('"' + std::string(20'000'000, 'x') + '"'), "of memory", "too long a text");
  CHECK(io::parse_json('"' + std::string(5'000'000, 'x') + '"', "f").get<std::string>().size() == 5'000'000);
  check_mentions(parse_failure("[0," + std::string(2'000'000, ' ') + "1]"), "the/file", "2000001 bytes of JSON",
                 "without a text or a number");
}

TEST_CASE("a value in a message is cut, not written out") {
  io::json large = io::json::array();
  for (int i = 0; i != 100'000; ++i) large.push_back({{"key", std::string(1000, 'v')}});
  CHECK(io::detail::shown(large).size() < 200);
  CHECK(io::detail::shown(large).starts_with(R"([{"key":"vvvv)"));
  CHECK(io::detail::shown(io::parse_json(R"({"a":[1,"b",null,{}],"c":-0.5})", "f")) ==
        R"({"a":[1,"b",null,{}],"c":-0.5})");
}

TEST_CASE("length is limited") {
  const std::string text(io::json_limits{}.bytes + 1, ' ');
  check_mentions(parse_failure(text), "the/file", "100000001 bytes");
}

TEST_CASE("a member of another kind is an io_error with the file, the key and the value") {
  check_mentions(get_failure<std::size_t>(R"({"key": -1})"), "the/file", "\"key\"", "non-negative integer", "-1");
  check_mentions(get_failure<std::size_t>(R"({"key": 1.5})"), "1.5");
  check_mentions(get_failure<std::size_t>(R"({"key": 1e3})"), "1000.0");
  check_mentions(get_failure<std::size_t>(R"({"key": "12"})"), "\"12\"");
  check_mentions(get_failure<std::size_t>(R"({"key": true})"), "true");
  check_mentions(get_failure<std::size_t>(R"({"key": 18446744073709551616})"), "1.84467");
  check_mentions(get_failure<std::uint8_t>(R"({"key": 256})"), "256");
  check_mentions(get_failure<bool>(R"({"key": 1})"), "true or false");
  check_mentions(get_failure<std::string>(R"({"key": ["a"]})"), "a string", "[\"a\"]");
  check_mentions(get_failure<float>(R"({"key": 1e39})"), "a finite number", "1e+39");
  check_mentions(get_failure<float>(R"({"key": "1"})"), "a finite number");
  check_mentions(get_failure<float>(R"({"other": 1})"), "the/file", "\"key\" is missing");
  check_mentions(get_failure<float>(R"({"key": null})"), "\"key\" is missing");
  check_mentions(get_failure<float>("[1]"), "the/file", "object", "array");
  CHECK(get_failure<float>("{\"key\": \"" + std::string(10'000, 'x') + "\"}").size() < 1'000);
}

TEST_CASE("files are read and named") {
  const temporary_folder folder;
  write_file(folder / "good.json", R"({"a": 1})");
  write_file(folder / "bad.json", "{");
  CHECK(io::read_json(folder / "good.json").at("a") == 1);
  check_mentions(message_of<io_error>([&] { static_cast<void>(io::read_json(folder / "bad.json")); }), "bad.json");
  check_mentions(message_of<io_error>([&] { static_cast<void>(io::read_json(folder / "absent.json")); }),
                 "absent.json", "No such file");
}

TEST_CASE("text that is not UTF-8 cannot be written") {
  CHECK(io::dump_json(io::json{{"b", 1}, {"a", "ä"}}, "f") == R"({"a":"ä","b":1})");
  check_mentions(message_of<value_error>([] { static_cast<void>(io::dump_json(io::json("\xff"), "the/file")); }),
                 "the/file", "UTF-8");
}
