// SPDX-License-Identifier: Apache-2.0
#include <common/model_files.hpp>

namespace zoqat::programs {

io::model_source open_base_model(const std::filesystem::path& path, bool ignore_unused) {
  return io::open_model(path, ignore_unused ? io::unused_tensors::ignored : io::unused_tensors::refused);
}

}  // namespace zoqat::programs
