// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/io/atomic_file.hpp>
#include <zoqat/io/file_kind.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/mapped_file.hpp>
#include <zoqat/io/tensor.hpp>
#include <zoqat/io/tensor_index.hpp>

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

/// The safetensors format (github.com/huggingface/safetensors): a little-endian u64 with the length of a JSON
/// header, the header, then the tensors' bytes. The header maps each name to
/// {"dtype", "shape", "data_offsets": [begin, end]} and "__metadata__" to a map of strings; the offsets count
/// from the end of the header and cover the rest of the file without holes or overlaps.

namespace zoqat::inline ZOQAT_ABI::io {

using safetensors_metadata = std::map<std::string, std::string>;

/// Longest header the format allows, in bytes.
inline constexpr std::size_t max_safetensors_header = 100'000'000;

/// What a safetensors file holds. The views point into the bytes it was parsed from.
struct safetensors_content {
  std::vector<tensor_view> tensors;  ///< in the order of their bytes
  safetensors_metadata metadata;
};

namespace detail {

inline constexpr std::string_view metadata_key = "__metadata__";
inline constexpr std::size_t length_field = sizeof(std::uint64_t);

inline std::string_view safetensors_header(std::span<const std::byte> bytes, std::string_view source) {
  require<io_error>(bytes.size() >= length_field, "{}: too short for a safetensors file: {}", source,
                    plural(bytes.size(), "byte"));
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), length_field);
  require<io_error>(length <= max_safetensors_header, "{}: header of {} bytes, more than safetensors allows ({})",
                    source, length, max_safetensors_header);
  const std::size_t rest = bytes.size() - length_field;
  require<io_error>(length <= rest, "{}: header of {} bytes, but only {} follow", source, length, rest);
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + length_field,
                                static_cast<std::size_t>(length));
  require<io_error>(header.starts_with('{'), "{}: not a safetensors file: the header is no JSON object", source);
  return header;
}

inline const json& array_of(const json& entry, const char* key, std::string_view place) {
  const auto member = entry.find(key);
  require<io_error>(member != entry.end() && member->is_array(), "{}: \"{}\" must be an array", place, key);
  return *member;
}

// The bytes [begin, end) of `data` that the entry names.
inline std::span<const std::byte> entry_bytes(const json& entry, std::span<const std::byte> data,
                                              std::string_view place) {
  const json& offsets = array_of(entry, "data_offsets", place);
  require<io_error>(offsets.size() == 2, "{}: \"data_offsets\" must have 2 elements, but has {}", place,
                    offsets.size());
  const auto begin = as<std::size_t>(offsets[0], "data_offsets", place);
  const auto end = as<std::size_t>(offsets[1], "data_offsets", place);
  require<io_error>(begin <= end && end <= data.size(), "{}: bytes [{}, {}) are not inside the {} bytes of data",
                    place, begin, end, data.size());
  return data.subspan(begin, end - begin);
}

inline tensor_view parse_entry(std::string_view name, const json& entry, std::span<const std::byte> data,
                               std::string_view source) {
  const std::string place = fmt::format("{}: tensor '{}'", source, excerpt(name));
  const auto type_name = get<std::string>(entry, "dtype", place);
  const auto type = find_dtype(type_name);
  require<io_error>(type.has_value(), "{}: \"dtype\" {} is not supported", place, excerpt(type_name));

  tensor_view tensor{.name = std::string(name),
                     .type = *type,
                     .shape = {},
                     .data = entry_bytes(entry, data, place),
                     .source = std::string(source)};
  for (const json& extent : array_of(entry, "shape", place))
    tensor.shape.push_back(as<std::size_t>(extent, "shape", place));
  static_cast<void>(element_count(tensor));  // throws unless the bytes are as many as the shape says
  return tensor;
}

inline safetensors_metadata parse_metadata(const json& entries, std::string_view source, json_budget& budget) {
  require<io_error>(entries.is_object(), "{}: \"{}\" must be an object", source, metadata_key);
  safetensors_metadata metadata;
  for (const auto& [key, value] : entries.items()) {
    const auto kept = metadata.emplace(key, as<std::string>(value, key, source)).first;
    budget.take_allocation(sizeof(*kept) + 4 * sizeof(void*));
    budget.take_allocation_of(kept->first);
    budget.take_allocation_of(kept->second);
  }
  return metadata;
}

// What a tensor takes in memory: in a vector that grows, and in an index.
inline void take_from(json_budget& budget, const tensor_view& tensor) {
  budget.take_allocation(3 * sizeof(tensor) + tensor.shape.capacity() * sizeof(std::size_t) + 10 * sizeof(void*));
  budget.take_allocation_of(tensor.name);
  budget.take_allocation_of(tensor.source);
}

inline void require_different_names(std::span<const tensor_view> tensors, std::string_view source) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const tensor_view& tensor : tensors) names.push_back(tensor.name);
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  if (twice != names.end()) fail<io_error>("{}: JSON key \"{}\" comes twice", source, excerpt(*twice));
}

// Sorts by place and demands that the tensors follow each other from the first byte of `data` to its last.
inline void require_seamless(std::vector<tensor_view>& tensors, std::span<const std::byte> data,
                             std::string_view source) {
  const auto begin_of = [&](const tensor_view& t) { return static_cast<std::size_t>(t.data.data() - data.data()); };
  std::sort(tensors.begin(), tensors.end(), [&](const tensor_view& a, const tensor_view& b) {
    return std::tuple(begin_of(a), a.data.size(), std::string_view(a.name)) <
           std::tuple(begin_of(b), b.data.size(), std::string_view(b.name));
  });
  std::size_t end = 0;
  for (const tensor_view& tensor : tensors) {
    require<io_error>(begin_of(tensor) == end,
                      "{}: tensor '{}': begins at byte {} of the data, but the one before it ends at byte {}", source,
                      tensor.name, begin_of(tensor), end);
    end += tensor.data.size();
  }
  require<io_error>(end == data.size(), "{}: {} of data, but the tensors cover {}", source,
                    plural(data.size(), "byte"), end);
}

}  // namespace detail

/// Reads a safetensors file that lies in memory. `source` names it in messages. Throws io_error, with the
/// tensor and the offending value, on anything the format forbids, and on headers that would take more memory than
/// `json_memory` and twice their length: one of 20 MB may name some 200 thousand tensors.
[[nodiscard]] inline safetensors_content parse_safetensors(std::span<const std::byte> bytes,
                                                           std::string_view source) {
  const std::string_view header = detail::safetensors_header(bytes, source);
  const auto data = bytes.subspan(detail::length_field + header.size());
  safetensors_content content;
  bool has_metadata = false;
  detail::json_budget budget(header, source);
  constexpr std::array<std::string_view, 1> all{""};
  detail::for_each_json_part(header, source, all, budget, [&](const json_part& part) {
    if (part.name == detail::metadata_key) {
      require<io_error>(!std::exchange(has_metadata, true), "{}: JSON key \"{}\" comes twice", source, part.name);
      content.metadata = detail::parse_metadata(part.value, source, budget);
    } else {
      content.tensors.push_back(detail::parse_entry(part.name, part.value, data, source));
      detail::take_from(budget, content.tensors.back());
    }
  });
  detail::require_different_names(content.tensors, source);
  detail::require_seamless(content.tensors, data, source);
  return content;
}

/// A safetensors file, mapped. Opening reads and checks the header alone; the views stay valid when the object
/// is moved.
class safetensors_file {
 public:
  /// Throws io_error as `mapped_file` and `parse_safetensors` do.
  explicit safetensors_file(const std::filesystem::path& path)
      : file_(path),
        content_(parse_safetensors(require_file_kind(file_, file_kind::safetensors).bytes(), path.native())),
        index_(content_.tensors) {}

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return file_.path(); }
  /// All tensors in the order of their bytes.
  [[nodiscard]] std::span<const tensor_view> tensors() const noexcept { return content_.tensors; }
  [[nodiscard]] const safetensors_metadata& metadata() const noexcept { return content_.metadata; }
  /// The tensor of that name, or null.
  [[nodiscard]] const tensor_view* find(std::string_view name) const { return index_.find(name); }
  /// The tensor of that name. Throws io_error when there is none.
  [[nodiscard]] const tensor_view& at(std::string_view name) const {
    const tensor_view* tensor = find(name);
    require<io_error>(tensor != nullptr, "{}: no tensor '{}'", path().native(), name);
    return *tensor;
  }

  /// Gives back the memory that reading a tensor took.
  void release_pages(const tensor_view& tensor) const noexcept { file_.release_pages(tensor.data); }

 private:
  mapped_file file_;
  safetensors_content content_;
  tensor_index index_;
};

namespace detail {

// The format leaves no holes, so tensors stay aligned to their elements when wide elements come first. Tensors are of
// any type that has a name, a type and a shape.
template <class Tensor>
std::vector<const Tensor*> widest_first(std::span<const Tensor> tensors) {
  std::vector<const Tensor*> order;
  order.reserve(tensors.size());
  for (const Tensor& tensor : tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(),
                   [](const Tensor* a, const Tensor* b) { return dtype_size(a->type) > dtype_size(b->type); });
  return order;
}

template <class Tensor>
std::string make_header(const std::vector<const Tensor*>& order, const safetensors_metadata& metadata,
                        std::string_view destination) {
  json header = json::object();
  if (!metadata.empty()) header[metadata_key] = metadata;
  std::size_t end = 0;
  for (const Tensor* tensor : order) {
    const auto bytes = checked_bytes(tensor->shape, tensor->type);
    require(bytes && *bytes <= ~std::size_t{0} - end, "{}: tensor '{}': no file can hold the shape [{}] as {}",
            destination, tensor->name, fmt::join(tensor->shape, ", "), dtype_name(tensor->type));
    require(tensor->name != metadata_key && !header.contains(tensor->name),
            "{}: tensor '{}': the name is reserved or comes twice", destination, tensor->name);
    const std::size_t begin = std::exchange(end, end + *bytes);
    header[tensor->name] = {
        {"dtype", dtype_name(tensor->type)}, {"shape", tensor->shape}, {"data_offsets", {begin, end}}};
  }
  std::string text = dump_json(header, destination);
  const std::size_t unpadded = length_field + text.size();
  text.append((alignment - unpadded % alignment) % alignment, ' ');
  require(text.size() <= max_safetensors_header, "{}: header of {} bytes, more than safetensors allows ({})",
          destination, text.size(), max_safetensors_header);
  return text;
}

/// Begins a file: what stands before the tensors' bytes.
inline void write_header(atomic_file& file, std::string_view header) {
  file.write(std::bit_cast<std::array<std::byte, length_field>>(std::uint64_t{header.size()}));
  file.write(header);
}

}  // namespace detail

/// Writes `tensors` to `path`, all or nothing (`atomic_file`). The data starts at a multiple of 64 bytes;
/// tensors with wider elements come first, otherwise the order is kept. Nothing is copied on the way: the cost
/// in memory is that of the header. Throws value_error on names that come twice, are not UTF-8 or reserved, and
/// on shapes that do not fit their data; io_error when the file cannot be written.
inline void write_safetensors(const std::filesystem::path& path, std::span<const tensor_view> tensors,
                              const safetensors_metadata& metadata = {}) {
  for (const tensor_view& tensor : tensors)
    require(checked_bytes(tensor.shape, tensor.type) == tensor.data.size(),
            "{}: tensor '{}': {} bytes do not make {} elements of shape [{}]", path.native(), tensor.name,
            tensor.data.size(), dtype_name(tensor.type), fmt::join(tensor.shape, ", "));
  const auto order = detail::widest_first(tensors);
  const std::string header = detail::make_header(order, metadata, path.native());
  atomic_file file(path);
  detail::write_header(file, header);
  for (const tensor_view* tensor : order) file.write(tensor->data);
  file.commit();
}

}  // namespace zoqat::io
