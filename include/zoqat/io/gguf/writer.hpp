// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/atomic_file.hpp>
#include <zoqat/io/gguf/content.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// Writes a GGUF file, all or nothing (`atomic_file`): first the metadata and what tensors there will be, then the
/// bytes of one tensor after the other, in parts of any size, so that no model has to be in memory.
class writer {
 public:
  /// Throws value_error, with the file, for names that come twice, shapes that no file can hold and an alignment that
  /// is no power of 2; io_error when the file cannot be written.
  writer(const std::filesystem::path& path, const gguf::metadata& entries, std::vector<tensor_info> tensors,
         std::uint32_t version = newest_version, bool padded_end = true)
      : file_(path),
        tensors_(std::move(tensors)),
        alignment_(alignment_of<value_error>(entries, path.native())),
        padded_end_(padded_end) {
    file_.write(header(entries, version));
  }

  /// The tensor whose bytes come next. Not to be called after the last.
  [[nodiscard]] const tensor_info& next() const noexcept { return tensors_[index_]; }

  /// Appends bytes of the tensor that is being written. Throws value_error for more than it has.
  void write(std::span<const std::byte> bytes) {
    const std::size_t wanted = index_ == tensors_.size() ? 0 : *checked_bytes(next()) - written_;
    require(bytes.size() <= wanted, "{}: {} bytes were given where tensor {} of {} wants {}", path(), bytes.size(),
            index_, tensors_.size(), wanted);
    file_.write(bytes);
    written_ += bytes.size();
    if (bytes.size() == wanted && index_ != tensors_.size()) end_tensor();
  }
  /// Puts the file in its place. Throws value_error where tensors are missing, and io_error as `atomic_file` does.
  void commit() {
    require(index_ == tensors_.size(), "{}: {} tensors were written, but {} were declared", path(), index_,
            tensors_.size());
    file_.commit();
  }
  /// The file that `commit` makes.
  [[nodiscard]] const std::string& path() const noexcept { return file_.path().native(); }

 private:
  [[nodiscard]] std::string header(const gguf::metadata& entries, std::uint32_t version) const {
    std::string text(magic);
    detail::append_value(text, version);
    detail::append_value(text, std::uint64_t{tensors_.size()});
    detail::append_value(text, std::uint64_t{entries.size()});
    std::unordered_set<std::string_view> keys, names;
    for (const auto& [key, value] : entries) {
      require(keys.insert(key).second, "{}: the key '{}' comes twice", path(), key);
      detail::append_text(text, key);
      detail::append_value(text, static_cast<std::uint32_t>(value.type()));
      text += value.bytes();
    }
    std::size_t end = 0;
    for (const tensor_info& t : tensors_) {
      require(names.insert(t.name).second, "{}: tensor '{}': the name comes twice", path(), t.name);
      end += detail::padding(end, alignment_);
      append_info(text, t, end);
      end += *checked_bytes(t);
    }
    if (!tensors_.empty() || padded_end_) text.append(detail::padding(text.size(), alignment_), '\0');
    return text;
  }
  void append_info(std::string& text, const tensor_info& t, std::size_t offset) const {
    require(!t.shape.empty() && t.shape.size() <= max_dimensions && checked_bytes(t).value_or(0) != 0,
            "{}: tensor '{}': no file can hold the shape [{}] as {}", path(), t.name, fmt::join(t.shape, ", "),
            info_of(t.type).name);
    detail::append_text(text, t.name);
    detail::append_value(text, static_cast<std::uint32_t>(t.shape.size()));
    for (std::size_t d = t.shape.size(); d-- != 0;) detail::append_value(text, std::uint64_t{t.shape[d]});
    detail::append_value(text, static_cast<std::uint32_t>(t.type));
    detail::append_value(text, std::uint64_t{offset});
  }
  void end_tensor() {
    const bool last = ++index_ == tensors_.size();
    if (!last || padded_end_) file_.write(std::string(detail::padding(written_, alignment_), '\0'));
    written_ = 0;
  }

  atomic_file file_;
  std::vector<tensor_info> tensors_;
  std::size_t alignment_, index_ = 0, written_ = 0;
  bool padded_end_;
};

/// Writes what a file holds, untouched: the same bytes, provided that the file is padded with zeros.
inline void write(const std::filesystem::path& path, const content& from) {
  std::vector<tensor_info> infos(from.tensors.begin(), from.tensors.end());
  writer to(path, from.metadata, std::move(infos), from.version, from.padded_end);
  for (const tensor& t : from.tensors) to.write(t.data);
  to.commit();
}

}  // namespace zoqat::io::gguf
