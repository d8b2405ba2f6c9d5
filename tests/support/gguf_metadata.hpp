// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/gguf/value.hpp>
#include <zoqat/io/gguf/writer.hpp>

#include <algorithm>
#include <filesystem>
#include <string_view>

namespace zoqat::testing {

/// A GGUF file of metadata alone.
inline void write_metadata(const std::filesystem::path& path, const io::gguf::metadata& entries) {
  io::gguf::writer(path, entries, {}).commit();
}
/// Puts a value in the place of the one of that key, if there is one.
template <class T>
void set_metadata(io::gguf::metadata& entries, std::string_view key, const T& value) {
  std::erase_if(entries, [&](const auto& entry) { return entry.first == key; });
  entries.emplace_back(key, io::gguf::value(value));
}

}  // namespace zoqat::testing
