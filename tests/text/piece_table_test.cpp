// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/piece_table.hpp>

#include <doctest/doctest.h>

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

using namespace zoqat;

TEST_CASE("texts are found by id and ids by text, the first of equal ones") {
  text::piece_table table{"a", "", "bc", "a", "bc"};
  std::vector<std::pair<std::size_t, std::uint32_t>> twice;
  CHECK_FALSE(table.find("a").has_value());  // not before
  table.index([&](std::size_t id, std::uint32_t first) { twice.emplace_back(id, first); });
  CHECK(table.size() == 5);
  CHECK(table[0] == "a");
  CHECK(table[1].empty());
  CHECK(table[2] == "bc");
  CHECK(table.find("a") == 0);
  CHECK(table.find("bc") == 2);
  CHECK_FALSE(table.find("").has_value());
  CHECK_FALSE(table.find("b").has_value());
  CHECK(twice == std::vector<std::pair<std::size_t, std::uint32_t>>{{3, 0}, {4, 2}});
  CHECK_FALSE(text::piece_table().find("a").has_value());
}

TEST_CASE("tokens may come in any order, and lose their texts") {
  text::piece_table table;
  table.reserve(4, 10);
  table.put(3, "d");
  table.put(1, "b");
  table.clear(3);
  table.resize(6);
  table.shrink_to_fit();
  table.index([](std::size_t, std::uint32_t) { FAIL("none is there twice"); });
  CHECK(table.size() == 6);
  CHECK(table[1] == "b");
  CHECK(table[3].empty());
  CHECK(table.find("b") == 1);
  CHECK_FALSE(table.find("d").has_value());
}

TEST_CASE("each of many texts is found") {
  text::piece_table table;
  for (std::size_t id = 0; id != 10'000; ++id) table.put(id, fmt::format("{}", 7919 * id));
  table.index([](std::size_t, std::uint32_t) { FAIL("none is there twice"); });
  for (std::size_t id = 0; id != table.size(); ++id) CHECK(table.find(fmt::format("{}", 7919 * id)) == id);
  CHECK_FALSE(table.find("x").has_value());
}
