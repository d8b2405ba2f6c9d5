// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::programs {

/// The tokenizer in a file or folder, of any format that text::open_tokenizer reads. What reads and runs it is
/// compiled once for all schemes.
class tokenizer_file {
 public:
  using token = std::uint32_t;

  /// Throws as text::open_tokenizer does.
  explicit tokenizer_file(const std::filesystem::path& path);

  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::optional<token> bos() const;
  [[nodiscard]] std::optional<token> eos() const;
  [[nodiscard]] std::vector<token> encode(std::string_view text, bool begin) const;
  [[nodiscard]] std::string decode(std::span<const token> tokens) const;

 private:
  struct format;
  std::shared_ptr<const format> format_;
};

}  // namespace zoqat::programs
