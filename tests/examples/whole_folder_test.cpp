// SPDX-License-Identifier: Apache-2.0
#include <common/whole_folder.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <zoqat/core/error.hpp>

#include <filesystem>

using namespace zoqat;
using namespace zoqat::programs;
using namespace zoqat::testing;

namespace fs = std::filesystem;

TEST_CASE("a folder is there whole or not at all") {
  const temporary_folder folder;
  const fs::path to = folder / "above/model/";
  {
    whole_folder made("--hf", to);
    write_file(made.made() / "config.json", "{}");
    CHECK(!fs::exists(folder / "above/model"));
  }  // without a commit
  CHECK(fs::is_empty(folder / "above"));
  fs::create_directory(to);  // an empty one will do
  whole_folder made("--hf", to);
  write_file(made.made() / "config.json", "{}");
  made.commit();
  CHECK(read_file(folder / "above/model/config.json") == "{}");
  CHECK(!fs::exists(folder / "above/model.zoqat-partial"));
}

TEST_CASE("what a killed program left is made again, and nothing else is touched") {
  const temporary_folder folder;
  fs::create_directory(folder / "model.zoqat-partial");
  write_file(folder / "model.zoqat-partial/model.safetensors", "half");
  {
    whole_folder made("--hf", folder / "model");
    CHECK(fs::is_empty(made.made()));
    made.commit();
  }
  CHECK(fs::is_directory(folder / "model"));
  fs::create_directories(folder / "other.zoqat-partial/folder");
  const auto failure = [&](const fs::path& path) {
    return message_of<io_error>([&] { const whole_folder made("--hf", path); });
  };
  check_mentions(failure(folder / "other"), "--hf", "other.zoqat-partial", "move that away");
  CHECK(fs::is_directory(folder / "other.zoqat-partial/folder"));
  write_file(folder / "file", "text");
  check_mentions(failure(folder / "file"), "--hf", "no folder");
  write_file(folder / "model/more", "text");
  check_mentions(failure(folder / "model"), "--hf", "is not empty");
  check_mentions(failure(folder / "file/model"), "--hf", "cannot be made a folder");
  CHECK(read_file(folder / "model/more") == "text");
}
