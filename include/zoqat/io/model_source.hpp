// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/file_kind.hpp>
#include <zoqat/io/gguf/model_file.hpp>
#include <zoqat/io/hugging_face.hpp>
#include <zoqat/io/llama2c.hpp>
#include <zoqat/io/tensor_source.hpp>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>

namespace zoqat::inline ZOQAT_ABI::io {

/// A model in any of the formats that are read. Itself a `tensor_source`.
class model_source {
 public:
  using formats = std::variant<llama2c_checkpoint, hugging_face_folder, gguf::model_file>;

  explicit model_source(formats format) noexcept : format_(std::move(format)) {}

  [[nodiscard]] const model_shape& shape() const {
    return std::visit([](const auto& s) -> const model_shape& { return s.shape(); }, format_);
  }
  [[nodiscard]] const std::filesystem::path& path() const {
    return std::visit([](const auto& s) -> const std::filesystem::path& { return s.path(); }, format_);
  }
  [[nodiscard]] const tensor_view* find(std::string_view name) const {
    return std::visit([&](const auto& s) { return s.find(name); }, format_);
  }
  /// Elements [first, first + out.size()) of a tensor that `find` gave, whole rows of it.
  void read_f32(const tensor_view& tensor, std::size_t first, std::span<float> out) const {
    std::visit([&](const auto& s) { io::read_f32(s, tensor, first, out); }, format_);
  }
  /// Gives back the memory that reading a tensor took.
  void release_pages(const tensor_view& tensor) const {
    std::visit([&](const auto& s) { s.release_pages(tensor); }, format_);
  }
  /// The format itself, for `std::visit`.
  [[nodiscard]] const formats& format() const noexcept { return format_; }

 private:
  formats format_;
};

static_assert(tensor_source<llama2c_checkpoint> && tensor_source<hugging_face_folder> &&
              tensor_source<gguf::model_file> && tensor_source<model_source>);

/// Opens a model by what `path` is: a Hugging Face folder, a `.safetensors` file with `config.json` beside it, or
/// a llama2.c checkpoint (`.bin`), or a model of LLaMA's kind or an OPT in a GGUF file (`.gguf`). Throws io_error
/// when it is none of these, missing or malformed, or holds tensors that its model does not use, unless these are to
/// be ignored.
[[nodiscard]] inline model_source open_model(const std::filesystem::path& path,
                                             unused_tensors unused = unused_tensors::refused) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found || status.type() == std::filesystem::file_type::none)
    fail_errno(path, "open", error.value());
  const auto extension = path.extension();
  if (std::filesystem::is_directory(status) || extension == ".safetensors")
    return model_source(hugging_face_folder(path, unused));
  if (extension == ".bin") return model_source(llama2c_checkpoint(path));
  if (has_extension(path, ".gguf")) return model_source(gguf::model_file(path, unused));
  fail<io_error>("{}: not a model: a folder with config.json, a .safetensors, .gguf or llama2.c .bin file is wanted",
                 path.native());
}

}  // namespace zoqat::io
