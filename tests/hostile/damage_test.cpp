// SPDX-License-Identifier: Apache-2.0
//
// Every reader, on damaged files: each is read or refused in the library's words, and nothing else happens.
#include <hostile/memory_count.hpp>
#include <hostile/readers.hpp>

#include <doctest/doctest.h>
#include <support/files.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/core/hash.hpp>
#include <zoqat/random/stream.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <span>
#include <string>
#include <string_view>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

/// Damaged files of each kind; ZOQAT_HOSTILE_FILES asks for another number. The full measure is 300 and more.
std::size_t files_of_each() {
  const char* const given = std::getenv("ZOQAT_HOSTILE_FILES");
  return given ? std::strtoull(given, nullptr, 10) : 60;
}

/// Damage as it comes about on disks, lines and in editors, and what a forger would try; a fixed counter says which.
class damager {
 public:
  /// Of files of a reader, whichever others there are.
  explicit damager(std::string_view reader)
      : draw_({.seed = hash_bytes(std::as_bytes(std::span(reader))), .use = rng::purpose::data}) {}

  std::string operator()(std::string file) {
    for (std::uint32_t n = 1 + draw_.below(3); n != 0 && !file.empty(); --n) damage(file);
    return file;
  }

 private:
  std::size_t place(const std::string& file) { return draw_.below(static_cast<std::uint32_t>(file.size())); }
  void damage(std::string& file) {
    const std::size_t at = place(file), from = place(file), length = draw_.below(64);
    switch (draw_.below(7)) {
      case 0:  // a bit
        file[at] = static_cast<char>(static_cast<unsigned char>(file[at]) ^ (1u << draw_.below(8)));
        return;
      case 1:  // cut off
        file.resize(at);
        return;
      case 2:  // a piece twice
        file.insert(at, file.substr(at, length));
        return;
      case 3:  // a piece of elsewhere
        file.replace(at, length, file.substr(from, length));
        return;
      case 4:  // a piece gone
        file.erase(at, length);
        return;
      case 5:  // a number, as large as can be or zero
        file.replace(at, 4, std::string(4, draw_.below(2) == 0 ? '\xFF' : '\0'));
        return;
      default:  // digits
        if (const std::size_t digit = file.find_first_of("0123456789", at); digit != file.npos)
          file.insert(digit, std::string(1 + draw_.below(20), '9'));
    }
  }

  rng::engine draw_;
};

}  // namespace

TEST_CASE("a damaged file of any kind is read or refused in the library's words, within the limit of memory") {
  for (const reader& r : readers()) {
    CAPTURE(std::string(r.name));
    const temporary_folder folder;
    r.surround(folder.path());
    const std::string seed = r.seed();
    write_file(folder / r.file, seed);
    CHECK_NOTHROW(r.read(folder.path()));
    damager damaged(r.name);
    std::set<std::string> refusals;
    std::size_t refused = 0, damaged_files = 0;
    for (std::size_t i = 0; i != files_of_each(); ++i) {
      CAPTURE(i);
      std::string file = damaged(seed);
      const bool is_damaged = file != seed, mended = i % 2 == 1;
      if (mended) file = r.repaired(std::move(file));
      write_file(folder / r.file, file);
      const memory_count memory;
      damaged_files += is_damaged;
      try {
        r.read(folder.path());
        CHECK_FALSE((r.sealed && is_damaged && !mended));
      } catch (const error& e) {
        refusals.insert(e.what());
        ++refused;
        CHECK(std::string_view(e.what()).starts_with(folder.path().native()));  // this file or one beside it
      }
      CHECK(memory.peak() <= r.limit.of(file.size()));
    }
    const bool any_text_will_do = r.name == "text";
    CHECK((refused > damaged_files / 10 || any_text_will_do));
    CHECK((refusals.size() > files_of_each() / 10 || any_text_will_do || r.sealed));  // checksums have one message
  }
}
