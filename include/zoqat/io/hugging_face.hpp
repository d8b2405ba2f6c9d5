// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/model_config.hpp>
#include <zoqat/io/name_map.hpp>
#include <zoqat/io/opt_name_map.hpp>
#include <zoqat/io/safetensors_folder.hpp>
#include <zoqat/io/tensor_source.hpp>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_set>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io {

/// A model of LLaMA's kind or OPT as Hugging Face stores it: `config.json` and safetensors. A `tensor_source`.
class hugging_face_folder {
 public:
  /// `path` is the folder, or a safetensors file with `config.json` beside it. Throws io_error when anything is
  /// missing or malformed, is another model, when a tensor is missing or shaped otherwise than the configuration
  /// says, and for tensors that the model does not use, since such a model computes something else: a bias that the
  /// configuration does not know, an adapter. Exempt are the frequencies of rotary embeddings that older files hold,
  /// and the head where the configuration ties it to the embedding.
  explicit hugging_face_folder(const std::filesystem::path& path, unused_tensors unused = unused_tensors::refused)
      : shape_(read_model_config(config_path(path))), tensors_(path) {
    require_complete(*this);
    if (unused == unused_tensors::refused) require_all_used();
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

  void require_all_used() const {
    std::unordered_set<const tensor_view*> used;
    for_each_tensor(shape_, [&](const std::string& name, std::span<const std::size_t>) { used.insert(find(name)); });
    std::vector<std::string_view> unused;
    for (const safetensors_file& file : tensors_.files())
      for (const tensor_view& tensor : file.tensors())
        if (!used.contains(&tensor) && !tensor.name.ends_with(".rotary_emb.inv_freq") &&
            !(shape_.tied_head && tensor.name == "lm_head.weight"))
          unused.push_back(tensor.name);
    detail::require_none(std::move(unused), "config.json", path());
  }

  model_shape shape_;
  safetensors_folder tensors_;
};

}  // namespace zoqat::io
