// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/log/run_log.hpp>

#include <doctest/doctest.h>
#include <support/corruption.hpp>
#include <support/errors.hpp>
#include <support/failing_new.hpp>
#include <support/files.hpp>
#include <zo/problems.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/optimizers/parabolic.hpp>
#include <zoqat/zo/optimizers/sgd.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;
using zoqat::testing::check_mentions;
using zoqat::testing::message_of;
using zoqat::testing::read_file;
using zoqat::testing::succeeds;
using zoqat::testing::temporary_folder;

namespace {

// Some file systems wait for the disk when a file is overwritten, but not when it is new.
void write_file(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::remove(path);
  zoqat::testing::write_file(path, content);
}

const run_header header{.seed = 0xfedcba9876543210,
                        .start = 0x0123456789abcdef,
                        .settings = "steps = 7\nscheme = w4a4",
                        .distribution = "rademacher",
                        .steps = 7,
                        .inputs = {{"library", "0.2.0"}, {"model", "01ab"}}};
constexpr std::string_view inputs_text = "library=0.2.0\nmodel=01ab\n";
constexpr std::size_t header_bytes = 8 + 4 + 3 * 4 + 4 + 8 + 8 + 23 + 10 + inputs_text.size() + 8;

planned_update update_of(std::uint32_t step, std::size_t directions) {
  planned_update u{.seed = header.seed,
                   .step = step,
                   .gain = {},
                   .half_difference = floats(directions, step),
                   .signal_power = 0.5f,
                   .total_power = 0.75f};
  for (const parameter_group group : all_parameter_groups)
    u.gain[group] = floats(1, step * 100 + static_cast<std::uint32_t>(group))[0];
  return u;
}
// Records of several lengths, one of a rejected step among them.
std::vector<planned_update> four_updates() {
  return {update_of(0, 1), update_of(1, 0), update_of(2, 3), update_of(5, 1)};
}

std::string write_log(const std::filesystem::path& path,
                      const std::vector<planned_update>& updates = four_updates()) {
  run_log log = run_log::create(path, header, {.replace = true});
  for (const planned_update& u : updates) log.append(u);
  return read_file(path);
}

// Where each record of `four_updates` ends, the header's end first.
std::vector<std::size_t> record_ends() {
  std::vector<std::size_t> ends{header_bytes};
  for (const planned_update& u : four_updates())
    ends.push_back(ends.back() + run_log::record_bytes(u.half_difference.size()));
  return ends;
}
// How many whole records there are in the first `size` bytes.
std::size_t records_within(std::size_t size) {
  std::size_t whole = 0;
  for (const std::size_t end : record_ends()) whole += end != header_bytes && end <= size;
  return whole;
}
std::vector<planned_update> first_updates(std::size_t n) {
  const auto all = four_updates();
  return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n)};
}

/// Calls f() with a limit on the size of files, which stands in for the end of the disk: a write is cut short, the
/// next one fails.
template <class F>
std::string with_files_of_at_most(std::size_t bytes, F&& f) {
  rlimit unlimited{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &unlimited) == 0);
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limited = unlimited;
  limited.rlim_cur = bytes;
  ::setrlimit(RLIMIT_FSIZE, &limited);
  const std::string result = f();
  ::setrlimit(RLIMIT_FSIZE, &unlimited);
  std::signal(SIGXFSZ, handler);
  return result;
}

double half_square(std::span<const float> x, std::size_t) {
  double total = 0;
  for (const float v : x) total += double{v} * v / 2;
  return total;
}

}  // namespace

// --- There and back ------------------------------------------------------------------------------------------------

TEST_CASE("what was appended is read, bit for bit") {
  const temporary_folder folder;
  const auto path = folder / "run.zlog";
  auto updates = four_updates();
  updates.push_back(update_of(6, 1000));
  updates.push_back({.seed = header.seed,
                     .step = 0xffffffff,
                     .gain = {.weight = -0.0f, .norm = 1e-45f},
                     .half_difference = {std::numeric_limits<float>::max(), -0.0f}});
  write_log(path, updates);
  for (const run_log& log : {run_log::read(path), run_log::resume(path)}) {
    CHECK(log.path() == path);
    CHECK(log.header() == header);
    CHECK(log.updates() == updates);
    CHECK(bits_of(log.updates().back().half_difference) == bits_of(updates.back().half_difference));
  }
}

TEST_CASE("headers of any text and logs without a record") {
  const temporary_folder folder;
  for (const std::string& settings : {std::string(), std::string("a\0b", 3), std::string(100000, 'x')}) {
    const run_header other{.seed = 1, .start = 2, .settings = settings};
    (void)run_log::create(folder / "log", other, {.replace = true});
    CHECK(run_log::read(folder / "log").header() == other);
    CHECK(run_log::resume(folder / "log").updates().empty());
  }
}

TEST_CASE("a record takes the bytes it says, and the log is on disk after each step") {
  const temporary_folder folder;
  run_log log = run_log::create(folder / "log", header);
  std::size_t size = std::filesystem::file_size(folder / "log");
  CHECK(size == header_bytes);
  for (const planned_update& u : four_updates()) {
    log.append(u);
    size += run_log::record_bytes(u.half_difference.size());
    CHECK(std::filesystem::file_size(folder / "log") == size);
    CHECK(run_log::read(folder / "log").updates() == log.updates());
  }
  CHECK(run_log::record_bytes(1) - run_log::record_bytes(0) == 4);
  CHECK(run_log::record_bytes(1) == 4 * (2 + parameter_groups + 2 + 1 + 2));
}

TEST_CASE("the file is what the documentation says") {
  const temporary_folder folder;
  const std::string bytes = write_log(folder / "log", {update_of(3, 2)});
  std::string expected = "zoqatlog";
  zoqat::testing::append_value(expected, run_log::version);
  zoqat::testing::append_value(expected, std::uint32_t{23});
  zoqat::testing::append_value(expected, std::uint32_t{10});
  zoqat::testing::append_value(expected, static_cast<std::uint32_t>(inputs_text.size()));
  zoqat::testing::append_value(expected, std::uint32_t{7});
  zoqat::testing::append_value(expected, header.seed);
  zoqat::testing::append_value(expected, header.start);
  expected += header.settings + header.distribution;
  expected += inputs_text;
  const std::uint64_t of_header = hash_bytes(std::as_bytes(std::span(expected)));
  zoqat::testing::append_value(expected, of_header);
  const std::size_t record = expected.size();
  const planned_update u = update_of(3, 2);
  zoqat::testing::append_value(expected, u.step);
  zoqat::testing::append_value(expected, std::uint32_t{2});
  for (const parameter_group group : all_parameter_groups) zoqat::testing::append_value(expected, u.gain[group]);
  for (const float x : {u.signal_power, u.total_power, u.half_difference[0], u.half_difference[1]})
    zoqat::testing::append_value(expected, x);
  for (const std::uint64_t seed : {of_header, 0xcbf29ce484222325u}) {
    const std::uint64_t hash = hash_bytes(std::as_bytes(std::span(expected).subspan(record)), seed);
    zoqat::testing::append_value(expected, static_cast<std::uint32_t>(hash ^ hash >> 32));
  }
  CHECK(bytes == expected);
}

TEST_CASE("resume goes on with what was there; create replaces it where it is told to") {
  const temporary_folder folder;
  write_log(folder / "log");
  {
    run_log log = run_log::resume(folder / "log");
    log.append(update_of(7, 2));
    run_log moved = std::move(log);
    moved.append(update_of(8, 1));
  }
  auto expected = four_updates();
  expected.push_back(update_of(7, 2));
  expected.push_back(update_of(8, 1));
  CHECK(run_log::read(folder / "log").updates() == expected);
  const std::string before = read_file(folder / "log");
  check_mentions(message_of<io_error>([&] { (void)run_log::create(folder / "log", header); }), "log", "already",
                 "resume it", "another name");
  check_mentions(message_of<io_error>([&] { run_log::require_creatable(folder / "log"); }), "already");
  run_log::require_creatable(folder / "log", {.replace = true});
  run_log::require_creatable(folder / "new");
  CHECK(folder.count() == 1);
  CHECK(read_file(folder / "log") == before);
  write_log(folder / "log", {update_of(1, 1)});
  CHECK(run_log::read(folder / "log").updates() == std::vector<planned_update>{update_of(1, 1)});
}

TEST_CASE("a file that is no log is not replaced by one") {
  const temporary_folder folder;
  const std::string text = "a model that took a week";
  std::ofstream(folder / "model", std::ios::binary) << text;
  check_mentions(message_of<io_error>([&] { (void)run_log::create(folder / "model", header); }), "model",
                 "no run log", "another name");
  std::ifstream in(folder / "model", std::ios::binary);
  CHECK(std::string(std::istreambuf_iterator<char>(in), {}) == text);
  // What a crash left of a log in its first bytes, and an empty file, are.
  for (const char* const begun : {"", "zoq"}) {
    std::ofstream(folder / "begun", std::ios::binary) << begun;
    CHECK_NOTHROW((void)run_log::create(folder / "begun", header, {}));
  }
}

// --- Files that are cut short or damaged ---------------------------------------------------------------------------

TEST_CASE("a log that ends anywhere gives the records before, or an error that names it") {
  const temporary_folder folder;
  const auto path = folder / "log";
  const std::string whole = write_log(path);
  REQUIRE(whole.size() == record_ends().back());
  for (std::size_t size = 0; size != whole.size(); ++size) {
    CAPTURE(size);
    write_file(path, whole.substr(0, size));
    if (size < header_bytes) {
      check_mentions(message_of<io_error>([&] { (void)run_log::read(path); }), path.native(), "run log");
      REQUIRE_THROWS_AS((void)run_log::resume(path), io_error);
      REQUIRE(read_file(path) == whole.substr(0, size));  // not ours, or not ours to cut
    } else {
      auto expected = first_updates(records_within(size));
      const run_log found = run_log::read_intact(path);
      REQUIRE(found.updates() == expected);
      REQUIRE(read_file(path).size() == size);
      const bool torn = !std::ranges::count(record_ends(), size);
      REQUIRE(found.damage().empty() != torn);
      REQUIRE(succeeds<io_error>([&] { (void)run_log::read(path); }) != torn);
      run_log log = run_log::resume(path);
      REQUIRE((log.cut_bytes() != 0) == torn);
      log.append(update_of(9, 2));
      expected.push_back(update_of(9, 2));
      REQUIRE(run_log::read(path).updates() == expected);
    }
  }
}

TEST_CASE("no damage goes unnoticed: the records before it, or an error") {
  const temporary_folder folder;
  const auto path = folder / "log", good_path = folder / "good";
  const std::string good = write_log(good_path);
  std::size_t at = 0;  // the first byte that differs
  const auto load = [&](std::span<const std::byte> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    at = static_cast<std::size_t>(std::ranges::mismatch(text, good).in1 - text.begin());
    write_file(path, text);
    const run_log log = run_log::read_intact(path);
    REQUIRE(log.header() == header);
    REQUIRE(log.updates() == first_updates(records_within(at)));
    check_mentions(message_of<io_error>([&] { (void)run_log::read(path); }), path.native(), "byte ");
  };
  const zoqat::testing::corruptions corrupted{good, load};
  const auto flipped = corrupted.flip_bits(good.size());
  CHECK(flipped.rejected == 8 * header_bytes);
  CHECK(flipped.loaded == 8 * (good.size() - header_bytes));
  const auto replaced = corrupted.replace_bytes(good.size());
  CHECK(replaced.rejected > 2 * header_bytes);
  CHECK(replaced.rejected <= 3 * header_bytes);
}

TEST_CASE("a log is not cut where whole records follow the damage") {
  const temporary_folder folder;
  const auto path = folder / "log";
  const std::string whole = write_log(path);
  const auto ends = record_ends();
  for (std::size_t at = header_bytes; at != whole.size(); ++at) {
    CAPTURE(at);
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    write_file(path, damaged);
    const bool in_last = at >= ends[ends.size() - 2];
    if (in_last) {
      REQUIRE(run_log::resume(path).updates() == first_updates(3));
      REQUIRE(read_file(path) == whole.substr(0, ends[3]));
    } else {
      check_mentions(message_of<io_error>([&] { (void)run_log::resume(path); }), path.native(), "damaged",
                     "byte " + std::to_string(ends[records_within(at)]));
      REQUIRE(read_file(path) == damaged);
    }
  }
}

TEST_CASE("what a file system may leave at the end of a file after a power cut is dropped") {
  const temporary_folder folder;
  const auto path = folder / "log";
  const std::string whole = write_log(path);
  for (const char filler : {'\0', '\xff', 'x'})
    for (const std::size_t n : {1u, 4u, 63u, 64u, 65u, 4096u}) {
      write_file(path, whole + std::string(n, filler));
      CHECK(run_log::read_intact(path).updates() == four_updates());
      const run_log resumed = run_log::resume(path);
      CHECK(resumed.updates() == four_updates());
      CHECK(resumed.cut_bytes() == n);
      CHECK(read_file(path) == whole);
    }
}

TEST_CASE("a log that is open for writing is in use, to whoever asks, until it is closed") {
  const temporary_folder folder;
  const auto path = folder / "log";
  {
    zo::run_log log = zo::run_log::create(path, {.seed = 1});
    CHECK(zo::run_log::is_in_use(path));
  }
  CHECK_FALSE(zo::run_log::is_in_use(path));
  static_cast<void>(zo::run_log::read(path));
  CHECK_FALSE(zo::run_log::is_in_use(path));
}

TEST_CASE("a damaged header is an error that says what is wrong and names the file") {
  const temporary_folder folder;
  const auto path = folder / "log";
  const std::string whole = write_log(path);
  const auto message_with = [&](std::size_t at, char value) {
    std::string damaged = whole;
    damaged[at] = value;
    write_file(path, damaged);
    return message_of<io_error>([&] { (void)run_log::read(path); });
  };
  check_mentions(message_with(0, 'Z'), path.native(), "not a run log");
  check_mentions(message_with(8, 9), path.native(), "version 9", "version 5 is wanted");
  check_mentions(message_with(15, 0x7f), path.native(), "ends within the header");
  check_mentions(message_with(12, 24), path.native(), "damaged");
  check_mentions(message_with(16, 0), path.native(), "damaged");
  check_mentions(message_with(60, '?'), path.native(), "damaged");
  check_mentions(message_with(8, 3), path.native(), "version 3");
}

TEST_CASE("a record that is missing, comes twice, has changed places or is another run's is found and named") {
  const temporary_folder folder;
  const auto path = folder / "log";
  const std::string whole = write_log(path);
  const auto ends = record_ends();
  const auto record = [&](std::size_t i) { return whole.substr(ends[i], ends[i + 1] - ends[i]); };
  const auto message = [&](const std::string& bytes) {
    write_file(path, bytes);
    const std::string resumed = message_of<io_error>([&] { (void)run_log::resume(path); });
    CHECK(read_file(path) == bytes);
    check_mentions(message_of<io_error>([&] { (void)run_log::read(path); }), "does not follow");
    return resumed;
  };
  const std::string start = whole.substr(0, header_bytes);
  check_mentions(message(start + record(0) + record(0) + record(1)), "byte " + std::to_string(ends[1]), "of step 0",
                 "does not follow step 0");
  check_mentions(message(whole + record(3)), "byte " + std::to_string(ends[4]), "does not follow step 5");
  check_mentions(message(start + record(0) + record(2) + record(3)), "byte " + std::to_string(ends[1]), "of step 2",
                 "does not follow step 0");
  check_mentions(message(start + record(1)), "does not follow the header");
  check_mentions(message(start + record(0) + record(1) + record(3) + record(2)), "of step 5", "follow step 1");
  run_header other = header;
  other.start ^= 1;
  {
    run_log log = run_log::create(folder / "other", other);
    for (const planned_update& u : four_updates()) log.append(u);
  }
  const std::string foreign = read_file(folder / "other").substr(ends[3]);
  check_mentions(message(start + record(0) + record(1) + record(2) + foreign), "of step 5", "another log");
}

// --- Files that cannot be read or written --------------------------------------------------------------------------

TEST_CASE("files that are missing, are folders or lie in folders that are not there") {
  const temporary_folder folder;
  const auto missing = folder / "missing.zlog", beyond = folder / "no" / "run.zlog";
  check_mentions(message_of<io_error>([&] { (void)run_log::read(missing); }), missing.native(), "No such file");
  check_mentions(message_of<io_error>([&] { (void)run_log::resume(missing); }), missing.native(), "No such file");
  CHECK(folder.count() == 0);
  check_mentions(message_of<io_error>([&] { (void)run_log::create(beyond, header); }), beyond.native(),
                 "No such file");
  CHECK_THROWS_AS((void)run_log::read(folder.path()), io_error);
  CHECK_THROWS_AS((void)run_log::create(folder.path(), header), io_error);
}

TEST_CASE("what is no regular file is no log, and nobody waits for it") {
  const temporary_folder folder;
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  std::filesystem::create_symlink(folder / "nothing", folder / "dangling");
  for (const std::filesystem::path& path : {folder / "fifo", std::filesystem::path("/dev/zero")}) {
    check_mentions(message_of<io_error>([&] { (void)run_log::read(path); }), path.native(), "not a regular file");
    check_mentions(message_of<io_error>([&] { (void)run_log::resume(path); }), path.native(), "not a regular file");
    check_mentions(message_of<io_error>([&] { (void)run_log::create(path, header, {.replace = true}); }),
                   path.native(), "not a regular file");
  }
  check_mentions(message_of<io_error>([&] { (void)run_log::create(folder / "dangling", header); }), "dangling",
                 "link to nothing");
  CHECK(std::filesystem::is_symlink(folder / "dangling"));
}

TEST_CASE("records whose steps do not rise are damage, though each is chained to the one before it") {
  for (const std::uint32_t second : {1u, 3u}) {
    std::uint64_t chain = 0;
    std::vector<std::byte> bytes = log_format::encode(header, chain);
    for (const std::uint32_t step : {3u, second}) {
      const auto record = log_format::encode(update_of(step, 1), chain);
      bytes.insert(bytes.end(), record.begin(), record.end());
    }
    const auto log = log_format::parse(bytes, "the/log");
    CHECK(log.updates.size() == 1);
    CHECK(log.end == log_format::content::ending::damaged);
    check_mentions(log.damage, "does not follow step 3");
  }
}

TEST_CASE("a pointer of Git LFS is no log, and is told from one; texts of a header have a limit") {
  const temporary_folder folder;
  write_file(folder / "log", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n");
  check_mentions(message_of<io_error>([&] { (void)run_log::read(folder / "log"); }), "log", "pointer of Git LFS",
                 "git lfs pull");
  run_header longer = header;
  longer.settings.assign(log_format::longest_text + 1, 'x');
  check_mentions(message_of<value_error>([&] { (void)run_log::create(folder / "new", longer); }), "1048577 bytes");
  longer.settings.pop_back();
  { (void)run_log::create(folder / "new", longer); }
  CHECK(run_log::read(folder / "new").header().settings.size() == log_format::longest_text);
  std::string file = read_file(folder / "new");
  file[12] = 1;  // the length, one more
  write_file(folder / "new", file);
  check_mentions(message_of<io_error>([&] { (void)run_log::read(folder / "new"); }), "new", "1048577", "more than");
}

TEST_CASE("a log that a run writes is not given to another one") {
  const temporary_folder folder;
  {
    run_log log = run_log::create(folder / "log", header);
    log.append(update_of(0, 1));
    const std::string before = read_file(folder / "log");
    for (const auto& take : {std::function([&] { (void)run_log::resume(folder / "log"); }),
                             std::function([&] { run_log::require_resumable(folder / "log"); }),
                             std::function([&] { (void)run_log::create(folder / "log", header, {.replace = true}); }),
                             std::function([&] { run_log::require_creatable(folder / "log", {.replace = true}); })})
      check_mentions(message_of<io_error>(take), "log", "in use by another run");
    CHECK(read_file(folder / "log") == before);
    CHECK(run_log::read(folder / "log").updates().size() == 1);
  }
  write_file(folder / "torn", read_file(folder / "log") + "torn");
  run_log::require_resumable(folder / "torn");
  CHECK(read_file(folder / "torn") == read_file(folder / "log") + "torn");
  CHECK(run_log::resume(folder / "log").updates().size() == 1);
}

TEST_CASE("what is missing of a run, and what differs of what it depends on, is said") {
  const temporary_folder folder;
  write_log(folder / "log");
  const run_log log = run_log::read(folder / "log");
  check_mentions(message_of<value_error>([&] { log.require_finished(); }), "log", "6 of 7 steps", "resume");
  run_log::resume(folder / "log").append(update_of(6, 1));
  run_log::read(folder / "log").require_finished();

  CHECK_NOTHROW(log.require_inputs(header.inputs));
  auto here = header.inputs;
  here["model"] = "01ac";
  check_mentions(message_of<value_error>([&] { log.require_inputs(here); }), "the model", "then 01ab", "now 01ac");
  here.erase("model");
  check_mentions(message_of<value_error>([&] { log.require_inputs(here); }), "now none");
  run_header lines = header;
  lines.inputs["model"] = "a\nb";
  CHECK_THROWS_AS((void)run_log::create(folder / "lines", lines), value_error);
  CHECK_FALSE(std::filesystem::exists(folder / "lines"));
}

TEST_CASE("the chain is of all that was written") {
  const temporary_folder folder;
  run_log log = run_log::create(folder / "log", header);
  const std::uint64_t empty = log.chain();
  log.append(update_of(0, 1));
  CHECK(log.chain() != empty);
  CHECK(run_log::read(folder / "log").chain() == log.chain());
}

TEST_CASE("steps are appended in their order") {
  const temporary_folder folder;
  run_log log = run_log::create(folder / "log", header);
  log.append(update_of(4, 1));
  const std::string before = read_file(folder / "log");
  for (const std::uint32_t step : {4u, 3u})
    check_mentions(message_of<value_error>([&] { log.append(update_of(step, 1)); }), "after step 4");
  CHECK(read_file(folder / "log") == before);
}

TEST_CASE("a log that was opened for reading takes no updates") {
  const temporary_folder folder;
  const std::string whole = write_log(folder / "log");
  run_log log = run_log::read(folder / "log");
  check_mentions(message_of<io_error>([&] { log.append(update_of(9, 1)); }), "opened for reading");
  CHECK(log.updates() == four_updates());
  CHECK(read_file(folder / "log") == whole);
}

TEST_CASE("an update of another seed would not replay and is refused") {
  const temporary_folder folder;
  run_log log = run_log::create(folder / "log", header);
  planned_update other = update_of(0, 1);
  other.seed = 5;
  check_mentions(message_of<value_error>([&] { log.append(other); }), "seed 5", std::to_string(header.seed));
  CHECK(log.updates().empty());
  CHECK(read_file(folder / "log").size() == header_bytes);
}

TEST_CASE("a record that does not fit on the disk leaves the log as it was, ready to go on") {
  const temporary_folder folder;
  run_log log = run_log::create(folder / "log", header);
  log.append(update_of(0, 1));
  const std::string before = read_file(folder / "log");

  const std::string message = with_files_of_at_most(
      before.size() + 10, [&] { return message_of<io_error>([&] { log.append(update_of(1, 1)); }); });
  check_mentions(message, (folder / "log").native(), "cannot write", "File too large");
  CHECK(read_file(folder / "log") == before);
  CHECK(log.updates().size() == 1);
  log.append(update_of(1, 1));
  CHECK(run_log::read(folder / "log").updates() == std::vector<planned_update>{update_of(0, 1), update_of(1, 1)});
}

TEST_CASE("a record that was cut short and cannot be taken back is never followed by another") {
  // A file in memory that may not shrink.
  const int memory = ::memfd_create("log", MFD_ALLOW_SEALING);
  REQUIRE(memory >= 0);
  const std::string path = "/proc/self/fd/" + std::to_string(memory);
  run_log log = run_log::create(path, header);
  log.append(update_of(0, 1));
  const std::string whole = read_file(path);
  REQUIRE(::fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  const std::string cut = with_files_of_at_most(
      whole.size() + 10, [&] { return message_of<io_error>([&] { log.append(update_of(1, 1)); }); });
  check_mentions(cut, "cannot write a whole record");
  check_mentions(message_of<io_error>([&] { log.append(update_of(1, 1)); }), "cannot truncate");
  CHECK(log.updates().size() == 1);
  CHECK(read_file(path).size() == whole.size() + 10);
  CHECK(run_log::read_intact(path).updates() == log.updates());
  ::close(memory);
}

TEST_CASE("a log is begun and goes on as a whole or not at all, wherever memory runs out") {
  const temporary_folder folder;
  const auto path = folder / "log";
  std::size_t left = 0, changed = 0;
  std::optional<run_log> log;
  CHECK(zoqat::testing::fail_each_allocation([&] { log.emplace(run_log::create(path, header)); },
                                             [&] { left += std::filesystem::exists(path); }) > 3);
  CHECK(left == 0);
  for (const planned_update& u : four_updates()) {
    const std::string before = read_file(path);
    const std::vector<planned_update> updates = log->updates();
    CHECK(zoqat::testing::fail_each_allocation(
              [&] { log->append(u); }, [&] { changed += read_file(path) != before || log->updates() != updates; }) >
          0);
  }
  CHECK(changed == 0);
  log.reset();
  CHECK(run_log::read(path).updates() == four_updates());
  CHECK(zoqat::testing::fail_each_allocation([&] { log.emplace(run_log::resume(path)); }, [] {}) > 3);
  CHECK(log->updates() == four_updates());
}

// --- What a log is for ---------------------------------------------------------------------------------------------

TEST_CASE_TEMPLATE("start and log give the trained parameters, bit for bit", Distribution, gaussian, gaussian_ars,
                   rademacher) {
  const temporary_folder folder;
  tensors trained = assorted();
  const estimator<central, Distribution> e{.epsilon = per_group<float>::all(1e-2f), .directions = 2, .seed = 12};
  const sgd<linear_decay> optimizer{per_group<float>::all(1e-4f), {.steps = 30}};
  {
    run_log log = run_log::create(folder / "log", {.seed = 12, .start = fingerprint(trained), .settings = ""});
    for (std::uint32_t step = 0; step != 30; ++step) {
      const planned_update u = optimizer.plan(e(step, objective_of(trained, Distribution(), half_square)));
      apply(update{u, Distribution()}, trained);
      log.append(u);
    }
  }
  tensors replayed = assorted();
  const run_log log = run_log::read(folder / "log");
  REQUIRE(log.header().start == fingerprint(replayed));
  thread_pool threads(3);
  for (const planned_update& u : log.updates()) apply(update{u, Distribution()}, replayed, threads);
  CHECK(bits_of(replayed.values()) == bits_of(trained.values()));
  CHECK(bits_of(replayed.values()) != bits_of(assorted().values()));
}

TEST_CASE("a run that was cut off and resumed ends where the whole run ends, whatever the optimizer remembers") {
  const temporary_folder folder;
  const balanced_scales scales{.epsilon = per_group<float>::all(1e-2f), .loss_increase = 0.1, .loss = 1};
  const estimator<> e{.epsilon = scales.epsilon, .micro_batches = 2, .seed = 12};
  const auto train = [&](tensors& store, run_log& log, auto& optimizer, std::uint32_t first, std::uint32_t last) {
    const auto noisy = [](std::span<const float> x, std::size_t m) {
      return half_square(x, m) + (m == 0 ? 3.0 : -2.0) * double{x[0]};
    };
    for (std::uint32_t step = first; step != last; ++step) {
      const planned_update u = optimizer.plan(e(step, objective_of(store, gaussian(), noisy)));
      apply(update{u, gaussian()}, store);
      log.append(u);
    }
  };
  const parabolic<linear_decay> fresh{.scales = scales, .schedule = {.steps = 60}};
  const run_header start{.seed = 12, .start = 0, .settings = ""};
  tensors whole = assorted(), resumed = assorted();
  {
    run_log log = run_log::create(folder / "whole", start), part = run_log::create(folder / "part", start);
    auto first = fresh, second = fresh;
    train(whole, log, first, 0, 60);
    tensors lost = assorted();
    train(lost, part, second, 0, 35);
  }
  std::string cut = read_file(folder / "part");
  cut.resize(cut.size() - 7);  // the crash came within the record of step 34
  write_file(folder / "part", cut);
  run_log log = run_log::resume(folder / "part");
  REQUIRE(log.updates().size() == 34);
  auto optimizer = fresh;
  for (const planned_update& u : log.updates()) {
    apply(update{u, gaussian()}, resumed);
    optimizer.replay(u);
  }
  train(resumed, log, optimizer, 34, 60);
  CHECK(bits_of(resumed.values()) == bits_of(whole.values()));
  CHECK(read_file(folder / "part") == read_file(folder / "whole"));
}

TEST_CASE("a fingerprint tells any two sets of parameters apart") {
  const auto of = [](tensors t) { return fingerprint(t); };
  const std::uint64_t original = of(assorted());
  CHECK(original == of(assorted()));
  tensors changed = assorted();
  for (const std::size_t i : {0u, 7u, 20u}) {
    float& value = changed[0][i];
    const float before = value;
    value = std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) ^ 1u);
    CHECK(of(changed) != original);
    value = before;
  }
  CHECK(of(changed) == original);
  changed.add(parameter_group::weight, {});
  CHECK(of(changed) != original);

  std::vector<float> values{1, 2};
  const std::vector<float> unit{1, 2}, other_unit{1, 3};
  const auto of_one = [&](const char* name, std::span<const float> u) {
    parameter_list list;
    list.add(name, values, parameter_group::weight, u);
    return fingerprint(list);
  };
  CHECK(of_one("a", unit) != of_one("b", unit));
  CHECK(of_one("a", unit) != of_one("a", other_unit));
  CHECK(of_one("a", unit) != of_one("a", {}));
}

// --- Steps that lack losses
// ------------------------------------------------------------------------------------------

TEST_CASE("a record says what a step went on without, and the others are what they would be anyway") {
  const temporary_folder folder;
  std::vector<planned_update> updates = four_updates();
  const std::string whole = write_log(folder / "whole", updates);
  updates[2].absent = {1, 4, 5};
  const std::string lacking = write_log(folder / "log", updates);
  CHECK(lacking.size() == whole.size() + 4 + 3 * 4);
  CHECK(run_log::read(folder / "log").updates() == updates);
  const std::size_t common = header_bytes + run_log::record_bytes(updates[0].half_difference.size()) +
                             run_log::record_bytes(updates[1].half_difference.size());
  CHECK(lacking.substr(0, common) == whole.substr(0, common));
  // Cut anywhere within that record it is a torn one; a flipped bit anywhere is found.
  const std::size_t end = common + log_format::record_bytes(updates[2].half_difference.size(), 3);
  for (std::size_t cut = common + 1; cut != end; ++cut) {
    write_file(folder / "cut", lacking.substr(0, cut));
    CHECK(run_log::resume(folder / "cut").steps() == updates[1].step + 1);
  }
  for (std::size_t at = common; at != end; ++at) {
    std::string damaged = lacking;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    write_file(folder / "damaged", damaged);
    CHECK_THROWS_AS((void)run_log::read(folder / "damaged"), io_error);
  }
}

TEST_CASE("a log of version 4 is read and gone on with, but not by steps that lack losses") {
  const temporary_folder folder;
  std::string old;
  std::uint64_t chain = 0;
  for (const std::byte b : log_format::encode(header, chain, 4)) old += static_cast<char>(b);
  for (const planned_update& u : four_updates())
    for (const std::byte b : log_format::encode(u, chain)) old += static_cast<char>(b);
  write_file(folder / "old", old);
  run_log resumed = run_log::resume(folder / "old");
  CHECK(resumed.updates() == four_updates());
  planned_update next = resumed.updates().back();
  ++next.step;
  resumed.append(next);
  ++next.step;
  next.absent = {0};
  check_mentions(message_of<value_error>([&] { resumed.append(next); }), "lacks losses", "version 4");
  CHECK(run_log::read(folder / "old").updates().size() == four_updates().size() + 1);
}
