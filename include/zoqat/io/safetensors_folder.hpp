// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/safetensors.hpp>
#include <zoqat/io/tensor_index.hpp>

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io {

/// The tensors of a model that is stored as Hugging Face does: one `model.safetensors`, or several files that
/// `model.safetensors.index.json` lists. All files are mapped.
class safetensors_folder {
 public:
  /// `path` is a safetensors file, or a folder with `model.safetensors` or the index (the former is preferred).
  /// Throws io_error on anything missing or malformed.
  explicit safetensors_folder(std::filesystem::path path) : path_(std::move(path)) {
    const auto single = path_ / "model.safetensors", index = path_ / "model.safetensors.index.json";
    std::error_code ignored;
    if (!std::filesystem::is_directory(path_, ignored)) {
      open_single(path_);
    } else if (std::filesystem::exists(single, ignored)) {
      open_single(single);
    } else {
      require<io_error>(std::filesystem::exists(index, ignored), "{}: holds neither {} nor {}", path_.native(),
                        single.filename().native(), index.filename().native());
      open_shards(index);
    }
  }

  /// The file or folder as given.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] std::span<const safetensors_file> files() const noexcept { return files_; }
  /// The tensor of that name, or null. Where there is an index, only what it lists is found.
  [[nodiscard]] const tensor_view* find(std::string_view name) const { return index_.find(name); }

  /// Gives back the memory that reading a tensor took.
  void release_pages(const tensor_view& tensor) const noexcept {
    for (const safetensors_file& file : files_) file.release_pages(tensor);
  }

 private:
  void open_single(const std::filesystem::path& file) {
    files_.emplace_back(file);
    index_ = tensor_index(files_.front().tensors());
  }

  void open_shards(const std::filesystem::path& index) {
    const json content = read_json(index);
    const auto map = content.find("weight_map");
    require<io_error>(map != content.end() && map->is_object(), "{}: \"weight_map\" must be an object",
                      index.native());
    std::map<std::string, std::size_t> opened;  // file name -> place in files_
    for (const auto& [tensor, value] : map->items()) {
      const auto name = as<std::string>(value, tensor, index.native());
      const auto [shard, is_new] = opened.try_emplace(name, files_.size());
      if (is_new) files_.emplace_back(shard_path(name, index));
      // The views do not move when files_ grows.
      index_.add(files_[shard->second].at(tensor));
    }
  }

  // An index from elsewhere must not reach out of its folder.
  [[nodiscard]] std::filesystem::path shard_path(const std::string& name, const std::filesystem::path& index) const {
    require<io_error>(std::filesystem::path(name).filename() == name && name.ends_with(".safetensors"),
                      "{}: '{}' is not the name of a safetensors file in this folder", index.native(),
                      detail::excerpt(name));
    return path_ / name;
  }

  std::filesystem::path path_;
  std::vector<safetensors_file> files_;
  tensor_index index_;
};

}  // namespace zoqat::io
