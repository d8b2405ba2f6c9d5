// SPDX-License-Identifier: Apache-2.0
//
// Every reader, on files that ask for much: memory and time stay in proportion to the file, whatever is in it.
#include <hostile/memory_count.hpp>
#include <hostile/readers.hpp>

#include <doctest/doctest.h>
#include <support/files.hpp>
#include <zoqat/core/error.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <ctime>
#include <set>
#include <string>
#include <string_view>
#include <utility>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

/// ZOQAT_HOSTILE_BYTES asks for files of that size, and for all of them.
const char* asked_for() { return std::getenv("ZOQAT_HOSTILE_BYTES"); }

/// Bytes of the largest files. Builds for the sanitizers are slow.
std::size_t largest() {
  if (asked_for()) return std::strtoull(asked_for(), nullptr, 10);
#ifdef NDEBUG
  return 4'000'000;
#else
  return 100'000;
#endif
}

struct cost {
  std::size_t peak = 0, allocated = 0;
  double seconds = 0;  ///< of the processor
};

cost cost_of(const reader& r, const std::filesystem::path& folder, const std::string& file) {
  write_file(folder / r.file, file);
  const std::clock_t since = std::clock();
  const memory_count memory;
  std::size_t message = 0;
  try {
    r.read(folder);
  } catch (const error& e) {
    message = std::string_view(e.what()).size();
  }
  const cost result{memory.peak(), memory.allocated(), static_cast<double>(std::clock() - since) / CLOCKS_PER_SEC};
  CHECK(message < 4000);
  return result;
}

/// The figures of the file that took most.
struct worst {
  std::string_view what = "-", slow = "-";
  std::size_t peak = 0, size = 0;
  double memory = 0, seconds = 0, times = 0;

  void see(std::string_view name, const cost& more, const cost& less, std::size_t bytes) {
    const double ratio = static_cast<double>(more.peak) / static_cast<double>(bytes);
    if (more.peak > peak) memory = ratio, peak = more.peak, size = bytes, what = name;
    const double slower = more.seconds / std::max(less.seconds, 0.1);
    if (slower > times) times = slower, seconds = more.seconds, slow = name;
  }
  void print(const reader& r) const {
    fmt::print(
        "{:18} {:2} x + {:3} MB: {:6.1f} MB for {:5.1f} MB, {:4.1f} x ({}); {:4.1f} x the time of a fourth, {:.2f} s "
        "({})\n",
        r.name, r.limit.per_byte, r.limit.beside >> 20, static_cast<double>(peak) / 1e6,
        static_cast<double>(size) / 1e6, memory, what, times, seconds, slow);
  }
};

}  // namespace

TEST_CASE("no file makes a reader take more memory than the limit, nor more than linear time") {
  constexpr std::size_t times = 4;
  if (asked_for())
    fmt::print("memory allowed, and taken for the file that took most; time of the file that grew most\n");
  std::set<std::pair<std::string_view, std::size_t>> seen;  // JSON is read by one parser for all
  for (const reader& r : readers()) {
    const temporary_folder folder;
    r.surround(folder.path());
    auto small = r.bombs(largest() / times), large = r.bombs(largest());
    REQUIRE(small.size() == large.size());
    worst of_reader;
    for (std::size_t i = 0; i != large.size(); ++i) {
      if (!seen.emplace(large[i].what, r.limit.per_byte).second && !asked_for()) continue;
      CAPTURE(std::string(r.name));
      CAPTURE(std::string(large[i].what));
      const std::string file = r.repaired(large[i].text), fourth = r.repaired(small[i].text);
      const cost less = cost_of(r, folder.path(), fourth), more = cost_of(r, folder.path(), file);
      CHECK(more.peak <= r.limit.of(file.size()));
      // Sixteen times is the square. What a file of a fourth is spared, such as growth, is within these.
      CHECK(more.allocated <= 2 * times * less.allocated + r.limit.of(file.size()));
      // Time is measured where it is asked for, on a machine with nothing else to do.
      if (asked_for()) CHECK(more.seconds <= 2 * times * std::max(less.seconds, 0.1));
      of_reader.see(large[i].what, more, less, file.size());
    }
    if (asked_for()) of_reader.print(r);
  }
}

TEST_CASE("the counter of memory sees what is in use at once, and all that is asked for") {
  const memory_count memory;
  for (int i = 0; i != 3; ++i) CHECK(std::string(std::size_t{1} << 20, 'x').size() == std::size_t{1} << 20);
  CHECK(memory.peak() >= std::size_t{1} << 20);
  CHECK(memory.peak() < std::size_t{2} << 20);
  CHECK(memory.allocated() >= std::size_t{3} << 20);
}
