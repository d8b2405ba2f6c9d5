// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer: a reader of files (hostile/readers.hpp) reads an input or refuses it by an error of the library, which
// names a file and is no novel. The program's name says which reader: fuzz_config has "config". Checksums are mended,
// so that inputs get past them. Files are written to TMPDIR: /dev/shm is the fastest.
#include <hostile/readers.hpp>

#include <support/files.hpp>
#include <zoqat/core/error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

namespace {

using namespace zoqat;

const testing::reader* chosen = nullptr;

const testing::temporary_folder& folder() {
  static const testing::temporary_folder made;
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char*** arguments) {
  const std::string program = std::filesystem::path((*arguments)[0]).filename();
  const auto all = testing::readers();
  const auto found = std::ranges::find(all, program.substr(std::string_view("fuzz_").size()), &testing::reader::name);
  if (found == all.end()) {
    std::fprintf(stderr, "%s: the name must be fuzz_ and a reader's\n", program.c_str());
    std::exit(1);
  }
  chosen = &*found;
  chosen->surround(folder().path());
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  testing::write_file(folder() / chosen->file,
                      chosen->repaired(std::string(reinterpret_cast<const char*>(data), size)));
  try {
    chosen->read(folder().path());
  } catch (const error& e) {
    const std::string_view message = e.what();
    if (message.size() > 4000 || !message.starts_with(folder().path().native())) std::abort();
  }
  return 0;
}
