// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace zoqat::inline ZOQAT_ABI::text {

/// Hashes strings and views of strings alike.
struct string_hash : std::hash<std::string_view> {
  using is_transparent = void;
};

/// A hash table keyed by text, which any view of the text finds.
template <class T>
using string_map = std::unordered_map<std::string, T, string_hash, std::equal_to<>>;

}  // namespace zoqat::text
