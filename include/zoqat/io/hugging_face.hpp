// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/model_config.hpp>
#include <zoqat/io/name_map.hpp>
#include <zoqat/io/opt_name_map.hpp>
#include <zoqat/io/safetensors_folder.hpp>
#include <zoqat/io/tensor_source.hpp>

#include <filesystem>
#include <string_view>
#include <system_error>

namespace zoqat::inline ZOQAT_ABI::io {

/// A LLaMA or OPT model as Hugging Face stores it: `config.json` and safetensors. A `tensor_source`.
class hugging_face_folder {
 public:
  /// `path` is the folder, or a safetensors file with `config.json` beside it. Throws io_error when anything is
  /// missing or malformed, is another model, or when a tensor is missing or shaped otherwise than the
  /// configuration says.
  explicit hugging_face_folder(const std::filesystem::path& path)
      : shape_(read_model_config(config_path(path))), tensors_(path) {
    require_complete(*this);
  }

  [[nodiscard]] const model_shape& shape() const noexcept { return shape_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return tensors_.path(); }
  /// The tensor of that canonical name, however the file spells it, or null.
  [[nodiscard]] const tensor_view* find(std::string_view name) const {
    const auto find = [&](std::string_view exact) { return tensors_.find(exact); };
    if (shape_.kind.family == model_family::opt) return find_opt_tensor(find, name, shape_.tied_head);
    return find_by_canonical_name(find, name, shape_.tied_head);
  }
  /// Gives back the memory that reading a tensor took.
  void release_pages(const tensor_view& tensor) const noexcept { tensors_.release_pages(tensor); }
  /// All that is stored, under the names of the files.
  [[nodiscard]] const safetensors_folder& tensors() const noexcept { return tensors_; }

 private:
  static std::filesystem::path config_path(const std::filesystem::path& path) {
    std::error_code ignored;
    return (std::filesystem::is_directory(path, ignored) ? path : path.parent_path()) / "config.json";
  }

  model_shape shape_;
  safetensors_folder tensors_;
};

}  // namespace zoqat::io
