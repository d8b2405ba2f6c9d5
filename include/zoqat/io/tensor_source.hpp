// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/name_map.hpp>
#include <zoqat/io/opt_name_map.hpp>
#include <zoqat/io/tensor.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io {

/// A model on disk, whatever its format: its shape, and its tensors under their canonical names (`name_map.hpp`).
/// `find` gives null for a tensor that the model does not have; the view stays valid as long as the source.
template <class S>
concept tensor_source = requires(const S& source, std::string_view name) {
  { source.shape() } -> std::convertible_to<const model_shape&>;
  { source.find(name) } -> std::convertible_to<const tensor_view*>;
  { source.path() } -> std::convertible_to<const std::filesystem::path&>;
};

/// What becomes of tensors in a file that its model does not use.
enum class unused_tensors : std::uint8_t { refused, ignored };

namespace detail {
/// Throws io_error where there are names of tensors that the model which `described` speaks of does not use.
inline void require_none(std::vector<std::string_view> unused, std::string_view described,
                         const std::filesystem::path& path) {
  constexpr std::size_t shown = 5;
  const std::size_t more = unused.size() - std::min(shown, unused.size());
  unused.resize(unused.size() - more);
  require<io_error>(
      unused.empty(),
      "{}: the tensors '{}'{} are no part of the model of {}, which does not use them, so the file holds "
      "another model; if they do not matter, ask for unused tensors to be ignored",
      path.native(), fmt::join(unused, "', '"), more == 0 ? "" : fmt::format(" and {} more", more), described);
}
}  // namespace detail

/// Calls f(canonical name, extents) for every tensor of a decoder of that kind and shape.
template <class F>
void for_each_tensor(const model_shape& shape, F&& f) {
  const auto entries = [&](const auto& table) {
    for (const auto& entry : table)
      for (std::size_t layer = 0; layer != count_of(entry, shape); ++layer)
        f(fmt::format(fmt::runtime(entry.name), layer), std::span<const std::size_t>(shape_of(entry, shape)));
  };
  if (shape.kind.family == model_family::opt)
    entries(opt_tensors);
  else
    entries(llama_tensors);
}

/// Whether a tensor of that canonical name is the matrix of a linear layer, which a trained model has packed.
[[nodiscard]] inline bool is_linear_weight(std::string_view name, std::span<const std::size_t> extents) noexcept {
  return extents.size() == 2 && name.starts_with("model.layers.");
}

/// The tensor of that name. Throws io_error, with the file and the tensor, when the source has none or its
/// shape is not `extents`.
template <tensor_source Source>
[[nodiscard]] const tensor_view& at(const Source& source, std::string_view name,
                                    std::span<const std::size_t> extents) {
  const tensor_view* tensor = source.find(name);
  require<io_error>(tensor != nullptr, "{}: no tensor '{}'", source.path().native(), name);
  require<io_error>(std::ranges::equal(tensor->shape, extents), "{}: tensor '{}': shape [{}], but [{}] is wanted",
                    tensor->source, tensor->name, fmt::join(tensor->shape, ", "), fmt::join(extents, ", "));
  return *tensor;
}

/// A tensor of the LLaMA decoder that the source holds; throws as above.
template <tensor_source Source>
[[nodiscard]] const tensor_view& at(const Source& source, llama_tensor tensor, std::size_t layer = 0) {
  return at(source, name_of(tensor, layer), shape_of(tensor, source.shape()));
}

/// Elements [first, first + out.size()) of a tensor of a source as floats, exactly; whole rows of it. A source whose
/// tensors are more than their bytes has a member of that name. Throws io_error, with the file and the tensor, for
/// types that floats do not hold, and unless there are as many.
template <tensor_source Source>
void read_f32(const Source& source, const tensor_view& tensor, std::size_t first, std::span<float> out) {
  if constexpr (requires { source.read_f32(tensor, first, out); }) {
    source.read_f32(tensor, first, out);
  } else {
    const std::size_t count = element_count(tensor);
    require<io_error>(first <= count && out.size() <= count - first,
                      "{}: tensor '{}': elements [{}, {}) are wanted, but it has {}", tensor.source, tensor.name,
                      first, first + out.size(), count);
    const tensor_view part = subtensor(tensor, first, out.size());
    copy_to_f32(part, out);
    if constexpr (requires { source.release_pages(part); }) source.release_pages(part);
  }
}

/// Throws io_error, with the file and the tensor, unless the source holds every tensor of a decoder of its kind and
/// shape.
template <tensor_source Source>
void require_complete(const Source& source) {
  for_each_tensor(source.shape(), [&](const std::string& name, std::span<const std::size_t> extents) {
    static_cast<void>(at(source, name, extents));
  });
}

}  // namespace zoqat::io
