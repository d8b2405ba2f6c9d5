// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/rope_config.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <string>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

io::rope_settings parse(const io::json& config) { return io::parse_rope_settings(config, 100, "the/file"); }
std::string failure(const io::json& config) {
  return message_of<io_error>([&] { static_cast<void>(parse(config)); });
}

}  // namespace

TEST_CASE("theta stands beside the scaling or within it") {
  CHECK(parse(io::json::object()).theta == 1e4f);
  CHECK(parse({{"rope_theta", 5e5}}).theta == 5e5f);
  CHECK(parse({{"rope_theta", nullptr}, {"rope_parameters", nullptr}, {"rope_scaling", nullptr}}).theta == 1e4f);
  for (const auto* kind : {"rope_type", "type"}) {
    const io::json inside = {{kind, "default"}, {"rope_theta", 5e5}};
    CHECK(parse({{"rope_parameters", inside}}).theta == 5e5f);
    CHECK(parse({{"rope_parameters", inside}, {"rope_theta", 5e5}}).theta == 5e5f);
    CHECK(parse({{"rope_parameters", {{kind, "default"}}}, {"rope_theta", 5e5}}).theta == 5e5f);
    check_mentions(failure({{"rope_parameters", inside}, {"rope_theta", 1e4}}), "the/file", "500000", "10000");
  }
  check_mentions(failure({{"rope_parameters", 3}}), "the/file", "\"rope_parameters\"", "3");
}

TEST_CASE("frequencies are scaled as either spelling says") {
  for (const auto* member : {"rope_scaling", "rope_parameters"})
    for (const auto* kind : {"rope_type", "type"}) {
      const auto linear = parse({{member, {{kind, "linear"}, {"factor", 4}}}}).scaling;
      CHECK(linear.how == rope_scaling::kind::linear);
      CHECK(linear.factor == 4);
      io::json stretched = {{kind, "llama3"}, {"factor", 8.0}, {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0}};
      CHECK(parse({{member, stretched}}).scaling.original_positions == 100);
      stretched["original_max_position_embeddings"] = 50;
      const auto llama3 = parse({{member, stretched}}).scaling;
      CHECK(llama3 == rope_scaling{rope_scaling::kind::llama3, 8, 1, 4, 50});
      for (const auto* other : {"dynamic", "yarn", "longrope"})
        check_mentions(failure({{member, {{kind, other}, {"factor", 2.0}}}}), "the/file", other, "\"llama3\"");
      check_mentions(failure({{member, {{kind, "linear"}}}}), "the/file", "\"factor\" is missing");
    }
}

TEST_CASE("members that say different things are refused") {
  check_mentions(failure({{"rope_scaling", {{"type", "linear"}, {"rope_type", "llama3"}, {"factor", 2}}}}), "linear",
                 "llama3");
  check_mentions(failure({{"rope_scaling", {{"type", "linear"}, {"factor", 2}}},
                          {"rope_parameters", {{"type", "linear"}, {"factor", 3}}}}),
                 "\"rope_scaling\"", "\"rope_parameters\"");
  check_mentions(failure({{"rope_parameters", {{"rope_type", "default"}, {"partial_rotary_factor", 0.25}}}}),
                 "\"partial_rotary_factor\" is 0.25");
}
