// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <support/errors.hpp>
#include <support/files.hpp>
#include <zoqat/core/error.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace zoqat::testing {

/// How a reader took the corrupted variants of a file.
struct corruption_result {
  std::size_t loaded = 0, rejected = 0;
};

/// Hands variants of `good` to `load(std::span<const std::byte>)`: cut off at every length, every bit flipped in
/// the first `flipped` bytes, and each of those bytes replaced by 0, 0x7f and 0xff. Each either loads or throws
/// io_error; anything else gets out. Each lies in memory of its exact size, for the address sanitizer.
template <class Load>
struct corruptions {
  std::string good;
  Load load;

  [[nodiscard]] corruption_result truncate() const {
    corruption_result result;
    for (std::size_t length = 0; length != good.size(); ++length) attempt(good.substr(0, length), result);
    return result;
  }
  [[nodiscard]] corruption_result flip_bits(std::size_t flipped) const {
    corruption_result result;
    for (std::size_t i = 0; i != flipped; ++i)
      for (unsigned bit = 0; bit != 8; ++bit) attempt(with_byte(i, byte_at(i) ^ (1u << bit)), result);
    return result;
  }
  [[nodiscard]] corruption_result replace_bytes(std::size_t replaced) const {
    corruption_result result;
    for (std::size_t i = 0; i != replaced; ++i)
      for (const unsigned value : {0u, 0x7fu, 0xffu})
        if (value != byte_at(i)) attempt(with_byte(i, value), result);
    return result;
  }

 private:
  [[nodiscard]] unsigned byte_at(std::size_t i) const { return static_cast<unsigned char>(good[i]); }
  [[nodiscard]] std::string with_byte(std::size_t i, unsigned value) const {
    std::string variant = good;
    variant[i] = static_cast<char>(static_cast<unsigned char>(value));
    return variant;
  }
  void attempt(std::string_view variant, corruption_result& result) const {
    const auto bytes = exact_bytes(variant);
    const bool loaded = succeeds<io_error>([&] { load(std::span<const std::byte>(bytes)); });
    ++(loaded ? result.loaded : result.rejected);
  }
};
template <class Load>
corruptions(std::string, Load) -> corruptions<Load>;

}  // namespace zoqat::testing
