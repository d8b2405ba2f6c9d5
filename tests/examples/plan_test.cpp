// SPDX-License-Identifier: Apache-2.0
#include <common/plan.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <zoqat/core/error.hpp>

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>

using namespace zoqat;
using namespace zoqat::programs;
using namespace zoqat::testing;

namespace {

std::string unwritable(const std::filesystem::path& path) {
  const std::array<named_file, 1> output{{{"--output", path}}};
  return message_of<io_error>([&] { require_writable(output); });
}
std::string together(std::span<const named_file> outputs, std::span<const named_file> inputs) {
  return message_of<value_error>([&] { require_apart(outputs, inputs); });
}

}  // namespace

TEST_CASE("outputs that can be written are, and nothing is left of the proof") {
  const temporary_folder folder;
  write_file(folder / "old", "old");
  const std::array<named_file, 3> outputs{{{"--a", folder / "new"}, {"--b", folder / "old"}, {"--c", {}}}};
  CHECK_NOTHROW(require_writable(outputs));
  CHECK(folder.count() == 1);
  CHECK(read_file(folder / "old") == "old");
}

TEST_CASE("outputs that cannot be written are refused with their options") {
  const temporary_folder folder;
  check_mentions(unwritable(folder / "no" / "file"), "--output", "there is no folder", (folder / "no").native());
  check_mentions(unwritable(folder.path()), "--output", "not a regular file");
  check_mentions(unwritable("/proc/zoqat"), "--output", "/proc/zoqat");
  std::filesystem::create_symlink(folder / "nothing", folder / "link");
  check_mentions(unwritable(folder / "link"), "link to nothing");
}

TEST_CASE(
    "files for which there is no room are refused before they are written, with what there is and what they need") {
  const temporary_folder folder;
  const std::uintmax_t free = std::filesystem::space(folder.path()).available;
  const auto require_for = [&](std::uintmax_t model, std::uintmax_t log) {
    const std::array<output_size, 3> outputs{{{"--output", folder / "q.safetensors", model},
                                              {"--report", {}, 4 * free},
                                              {"--log", folder / "a.zlog", log}}};
    require_space(outputs);
  };
  const auto failure = [&](std::uintmax_t model, std::uintmax_t log) {
    return message_of<io_error>([&] { require_for(model, log); });
  };
  CHECK_NOTHROW(require_for(1000, 1000));
  check_mentions(failure(2 * free, 1), "--output, --log", fmt::format("{} bytes at least", 2 * free + 1), " free",
                 folder.path().native(), "make room");
  check_mentions(failure(free, free), "--output, --log");  // which go to one disk together
  const std::array<output_size, 1> below{{{"--hf", folder / "new/folder/", 2 * free}}};
  check_mentions(message_of<io_error>([&] { require_space(below); }), "--hf");  // it is going to be made
  CHECK(folder.count() == 0);
}

TEST_CASE("an output is neither an input nor another output, whatever it is called") {
  const temporary_folder folder;
  std::filesystem::create_directory(folder / "model");
  write_file(folder.path() / "model" / "config.json", "{}");
  std::filesystem::create_hard_link(folder.path() / "model" / "config.json", folder / "same");
  const auto inputs = files_at("--model", folder / "model");
  CHECK(inputs.size() == 1);
  const std::array<named_file, 2> apart{{{"--output", folder / "a"}, {"--log", folder / "b"}}};
  CHECK_NOTHROW(require_apart(apart, inputs));
  const std::array<named_file, 1> hit{{{"--output", folder / "same"}}};
  check_mentions(together(hit, inputs), "--output and --model are the same file", "destroy");
  const std::array<named_file, 2> twice{{{"--output", "r.json"}, {"--report", "./r.json"}}};
  check_mentions(together(twice, {}), "--output and --report are the same file");
  const std::array<named_file, 2> unnamed{{{"--output", ""}, {"--report", ""}}};
  CHECK_NOTHROW(require_apart(unnamed, {}));
}

TEST_CASE("a run log is replaced by no other output") {
  const temporary_folder folder;
  write_file(folder / "old.zlog", "zoqatlog and more");
  write_file(folder / "old.csv", "zoqat");
  CHECK(is_run_log(folder / "old.zlog"));
  CHECK(!is_run_log(folder / "old.csv"));
  write_file(folder / "empty", "");
  CHECK(!is_run_log(folder / "empty"));
  CHECK(!is_run_log(folder / "none"));
  CHECK(!is_run_log("/dev/zero"));
  check_mentions(unwritable(folder / "old.zlog"), "--output", "old.zlog", "is a run log", "would be lost");
  const std::array<named_file, 1> others{{{"--metrics", folder / "old.csv"}}};
  CHECK_NOTHROW(require_writable(others));
}

TEST_CASE("numbers out of bounds, and what is no number, are refused with option and value") {
  CHECK_NOTHROW(require_within("--trust", 2, {0, 2, true}));
  CHECK_NOTHROW(require_within("--rate", 0, {0, 2}));
  const auto message = [](double value) {
    return message_of<value_error>([&] { require_within("--trust", value, {0, 2, true}); });
  };
  check_mentions(message(0), "--trust: is 0, but must be above 0 and at most 2");
  check_mentions(message(2.5), "is 2.5");
  check_mentions(message(std::numeric_limits<double>::quiet_NaN()), "is nan");
  check_mentions(message(-std::numeric_limits<double>::infinity()), "is -inf");
}

TEST_CASE("the start of another run is refused where a log is to begin, unless it may be of that run or go") {
  const temporary_folder folder;
  const std::string log = folder / "run.zlog";
  CHECK_NOTHROW(require_no_other_start(log, false, false));
  write_file(log + ".start", "some start");
  check_mentions(message_of<io_error>([&] { require_no_other_start(log, false, false); }), "run.zlog.start",
                 "is there already", "--overwrite");
  CHECK_NOTHROW(require_no_other_start(log, true, false));
  CHECK_NOTHROW(require_no_other_start(log, false, true));
}
