// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/json_parser.hpp>

#include <doctest/doctest.h>
#include <zoqat/io/json.hpp>
#include <zoqat/random/stream.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;

TEST_CASE("any text is read as the JSON library reads it, or refused where that refuses it") {
  const std::vector<std::string> seeds{
      R"({"a":[1,-2,3.5e-7,"x\u00e4\ud83d\ude42\n",null,true,false,{}],"b":{"c":[[],0.0,1E+2,-0]}})",
      "[18446744073709551615, 18446744073709551616, -9223372036854775808, -9223372036854775809, 1e400, 1e-400, "
      "-1e-400]",
      "[0.1, 123456789012345678901234567890, 5e-324, 2.2250738585072011e-308, 0e999, 0.0000e-999999999999999999999]",
      "\xEF\xBB\xBF [\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x99\x82\xED\x9F\xBF\xEF\xBF\xBF\"]\r\n\t"};
  constexpr std::string_view put_in = "{}[]\",:\\u0123dDeE+-.tfn \x80\xC3\xE2\xF0\xED\xA0\x01";
  rng::engine draw({.seed = 9, .tensor = 0, .use = rng::purpose::data});
  std::size_t taken = 0;
  for (int round = 0; round != 40'000; ++round) {
    std::string text = seeds[static_cast<std::size_t>(round) % seeds.size()];
    for (std::uint32_t n = draw.below(3); n != 0; --n) {
      const std::size_t at = draw.below(static_cast<std::uint32_t>(text.size()));
      const char c = put_in[draw.below(static_cast<std::uint32_t>(put_in.size()))];
      if (draw.below(2) == 0)
        text[at] = c;
      else if (draw.below(2) == 0)
        text.insert(at, 1, c);
      else
        text.erase(at, 1 + draw.below(3));
    }
    const io::json expected = io::json::parse(text, nullptr, false);
    CAPTURE(text);
    try {
      const io::json found = io::parse_json(text, "f");
      CHECK(found.dump() == expected.dump());
      ++taken;
    } catch (const io_error& e) {
      CHECK((expected.is_discarded() || std::string_view(e.what()).find("comes twice") != std::string_view::npos));
    }
  }
  CHECK(taken > 5'000);
}

TEST_CASE("numbers of any length are what they are, or too large, or zero") {
  using io::detail::json_double;
  CHECK(json_double("0.1") == 0.1);
  CHECK(json_double("-" + std::string(300, '9')) == -1e300);
  CHECK(std::isinf(json_double("1" + std::string(100'000, '0'))));
  CHECK(json_double("-1" + std::string(100'000, '0')) < 0);
  CHECK(json_double("0." + std::string(100'000, '0') + "1") == 0);
  CHECK(std::signbit(json_double("-1e-999999999999999999999")));
  CHECK(std::isinf(json_double("1E+999999999999999999999")));
  CHECK(json_double("0." + std::string(1'000, '0') + "1e1001") == 1);
}

TEST_CASE("a byte that is in no well-formed character is none") {
  using io::detail::well_formed_character;
  for (const char* const good :
       {"a", "\xC2\x80", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"})
    CHECK(well_formed_character(good) == std::string_view(good).size());
  for (const char* const bad : {"\x80", "\xC1\x80", "\xC2", "\xE0\x9F\x80", "\xED\xA0\x80", "\xE1\x80",
                                "\xF0\x8F\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xF1\x80\x80"})
    CHECK(well_formed_character(bad) == 0);
}
