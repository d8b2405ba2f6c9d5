// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/json_place.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <cstdint>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("a place knows its value and the way to it") {
  const io::json value = io::parse_json(R"({"a": [{"b": "text"}, {"b": 7}], "none": null})", "f.json");
  const io::json_place root(value, "f.json: ");
  std::vector<std::string> paths;
  root["a"].for_each([&](const io::json_place& element) { paths.push_back(element["b"].path()); });
  CHECK(paths == std::vector<std::string>{"f.json: a[0].b", "f.json: a[1].b"});
  CHECK(io::json_place(value["a"][0], "x")["b"].text() == "text");
  CHECK(io::json_place(value["a"][1], "x")["b"].as<std::uint32_t>() == 7);
  CHECK(!root.find("none"));
  CHECK(!root.find("absent"));
  std::vector<std::string> keys;
  const io::json object = io::parse_json(R"({"q": 1, "p": 2})", "f.json");
  io::json_place(object, "f.json: ").for_each_member([&](const std::string& key, const io::json_place& member) {
    keys.push_back(key + "=" + member.path());
  });
  CHECK(keys == std::vector<std::string>{"p=f.json: p", "q=f.json: q"});
}

TEST_CASE("what is not there or of another kind is refused with its path and value") {
  const io::json value = io::parse_json(R"({"a": [{"b": 7}]})", "f.json");
  const io::json_place root(value, "f.json: ");
  const auto message = [&](auto&& f) { return message_of<io_error>(f); };
  check_mentions(message([&] { static_cast<void>(root["c"]); }), "f.json: ", "\"c\" is missing");
  check_mentions(message([&] { root.for_each([](auto&&) {}); }), "f.json: ", "an array is wanted");
  check_mentions(message([&] { root["a"].for_each_member([](auto&&, auto&&) {}); }), "f.json: a", "an object",
                 "[{\"b\":7}]");
  root["a"].for_each([&](const io::json_place& element) {
    check_mentions(message([&] { static_cast<void>(element["b"].text()); }), "f.json: a[0].b", "a string", "7");
    check_mentions(message([&] { static_cast<void>(element["b"]["c"]); }), "f.json: a[0].b", "\"c\"", "7");
  });
}
