// SPDX-License-Identifier: Apache-2.0
#include <common/model_files.hpp>

namespace zoqat::programs {

io::model_source open_base_model(const std::filesystem::path& path) { return io::open_model(path); }

}  // namespace zoqat::programs
