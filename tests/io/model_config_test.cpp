// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/model_config.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/tiny_opt.hpp>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("a configuration is read by its model type") {
  CHECK(io::parse_model_config(tiny_config(tiny_shape(true)), "f") == tiny_shape(true));
  CHECK(io::parse_model_config(tiny_opt_config(tiny_opt_shape()), "f") == tiny_opt_shape());
  const temporary_folder folder;
  write_file(folder / "config.json", tiny_opt_config(tiny_opt_shape()).dump());
  CHECK(io::read_model_config(folder / "config.json") == tiny_opt_shape());
}

TEST_CASE("another model type is named and refused") {
  const auto failure = [](const io::json& config) {
    return message_of<io_error>([&] { static_cast<void>(io::parse_model_config(config, "the/file")); });
  };
  check_mentions(failure({{"model_type", "gemma2"}}), "\"gemma2\"");
  check_mentions(failure({{"model_type", "bert"}}), "the/file", "\"bert\"",
                 "\"llama\", \"mistral\", \"qwen2\", \"qwen3\" and \"opt\"");
  check_mentions(failure({{"hidden_size", 1}}), "the/file", "\"model_type\" is missing");
  check_mentions(failure({{"model_type", "opt"}}), "the/file", "\"hidden_size\" is missing");
}
