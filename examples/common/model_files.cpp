// SPDX-License-Identifier: Apache-2.0
#include <common/model_files.hpp>

namespace zoqat::programs {

io::model_source open_base_model(const std::filesystem::path& path) { return io::open_model(path); }

std::filesystem::path folder_of_model(const std::filesystem::path& model) {
  return std::filesystem::is_directory(model) ? model : model.parent_path();
}

}  // namespace zoqat::programs
