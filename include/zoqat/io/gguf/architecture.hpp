// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/gguf/file.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// Reads settings of a model by their names, which begin with that of the architecture in a file.
class architecture_settings {
 public:
  architecture_settings(const file& from, std::string_view architecture) : from_(from), prefix_(architecture) {}
  [[nodiscard]] std::string key(std::string_view name) const { return fmt::format("{}.{}", prefix_, name); }
  template <class T>
  [[nodiscard]] T get(std::string_view name) const {
    return from_.get<T>(key(name));
  }
  template <class T>
  [[nodiscard]] std::optional<T> get_if(std::string_view name) const {
    return from_.get_if<T>(key(name));
  }

 private:
  const file& from_;
  std::string prefix_;
};

/// The architecture of the model in a file. Throws io_error for a file that holds something else, or a part of a
/// model.
[[nodiscard]] inline std::string architecture_of(const file& from) {
  const std::string& source = from.path().native();
  const auto type = from.get_if<std::string>("general.type").value_or("model");
  require<io_error>(type == "model", "{}: general.type: holds a '{}', but a model is wanted", source, type);
  const auto parts = from.get_if<std::size_t>("split.count").value_or(1);
  require<io_error>(parts <= 1, "{}: split.count: one of {} parts: join them with the tools that split them", source,
                    parts);
  return from.get<std::string>("general.architecture");
}

}  // namespace zoqat::io::gguf
