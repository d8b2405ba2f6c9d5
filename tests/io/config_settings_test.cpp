// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/config_settings.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <array>
#include <cstddef>
#include <limits>
#include <string>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("a setting is plain when it is absent, null or as given") {
  const std::array<io::detail::plain_setting, 2> settings{{{"a", "true"}, {"b", "\"x\""}}};
  const auto check = [&](const io::json& config) { io::detail::require_plain(config, settings, "the/file"); };
  for (const char* const text : {"{}", R"({"a": null})", R"({"a": true, "b": "x", "c": 3})"})
    check(io::json::parse(text));
  check_mentions(message_of<io_error>([&] { check({{"a", false}}); }), "the/file", "\"a\" is false", "only true");
  check_mentions(message_of<io_error>([&] { check({{"b", {1, 2}}}); }), "\"b\" is [1,2]", "only \"x\"");
}

TEST_CASE("the type must be there, the architecture only where any is named") {
  const auto check = [](const io::json& config) {
    io::detail::require_model_type(config, "opt", "OPTForCausalLM", "the/file");
  };
  check({{"model_type", "opt"}});
  check({{"model_type", "opt"}, {"architectures", nullptr}});
  check({{"model_type", "opt"}, {"architectures", {"Other", "OPTForCausalLM"}}});
  const auto failure = [&](const io::json& config) { return message_of<io_error>([&] { check(config); }); };
  check_mentions(failure({{"model_type", "gpt2"}}), "the/file", "\"gpt2\"", "\"opt\"");
  check_mentions(failure({{"architectures", {"OPTForCausalLM"}}}), "\"model_type\" is missing");
  check_mentions(failure({{"model_type", "opt"}, {"architectures", io::json::array()}}), "[]", "OPTForCausalLM");
}

TEST_CASE("heads cut the hidden size in equal parts") {
  CHECK(io::detail::head_size_of(12, 3, "f") == 4);
  for (const std::size_t heads : {std::size_t{0}, std::size_t{5}, std::numeric_limits<std::size_t>::max()})
    check_mentions(message_of<io_error>([&] { static_cast<void>(io::detail::head_size_of(12, heads, "the/file")); }),
                   "the/file", "\"hidden_size\" 12", std::to_string(heads));
}
