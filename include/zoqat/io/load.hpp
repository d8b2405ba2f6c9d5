// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/model_kind.hpp>
#include <zoqat/io/tensor.hpp>
#include <zoqat/io/tensor_source.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

namespace zoqat::inline ZOQAT_ABI::io {

/// Fills a tensor with name(), rows(), cols() and values() from a source, straight from the mapped file, whose memory
/// it gives back. A tensor of one row may be stored without its row dimension. Throws io_error, with the file and the
/// tensor, for one that is missing, of another shape, or holds a value that is not finite.
template <class Tensor, tensor_source Source>
void load_tensor(const Source& source, Tensor& tensor) {
  const std::array<std::size_t, 2> extents{tensor.rows(), tensor.cols()};
  const tensor_view* const stored = source.find(tensor.name());
  const bool flat = tensor.rows() == 1 && stored && stored->shape.size() == 1;
  const tensor_view& found = at(source, tensor.name(), std::span<const std::size_t>(extents).subspan(flat ? 1 : 0));
  const std::span<float> to = tensor.values().flat();
  // Some megabytes at a time, so that the file and the tensor are not both in memory.
  constexpr std::size_t at_a_time = std::size_t{1} << 20;
  if constexpr (requires { source.read_f32(found, 0, to); }) {
    const std::size_t whole_rows = std::max(at_a_time / extents[1], std::size_t{1}) * extents[1];
    for (std::size_t first = 0; first < to.size(); first += whole_rows) {
      const std::span<float> part = to.subspan(first, std::min(whole_rows, to.size() - first));
      source.read_f32(found, first, part);
      require_finite(found, part, first);
    }
  } else if constexpr (requires { source.release_pages(found); }) {
    detail::require_room(found, to.size());
    for (std::size_t first = 0; first < to.size(); first += at_a_time) {
      const tensor_view piece = subtensor(found, first, std::min(at_a_time, to.size() - first));
      copy_to_f32(piece, to.subspan(first, piece.shape[0]));
      require_finite(found, to.subspan(first, piece.shape[0]), first);
      source.release_pages(piece);
    }
  } else {
    copy_to_f32(found, to);
    require_finite(found, to);
  }
}

namespace detail {
template <tensor_source Source>
struct base_tensor_loader {
  const Source& source;
  template <class Tensor, class Use>
  void tensor(Tensor& t, const Use& use) const {
    if (use.in_checkpoint) load_tensor(source, t);
  }
};
}  // namespace detail

/// Fills a model's full-precision tensors from a source of the same shape. The model names what it wants through
/// `visit(v)`: v.tensor(tensor, use) for each tensor, where `use.in_checkpoint` says whether to fill it. Throws as
/// `load_tensor` does, and for a source of another kind.
template <class Model, tensor_source Source>
void load_base_tensors(const Source& source, Model& model) {
  require_kind<Model>(source.shape().kind, source.path().native());
  model.visit(detail::base_tensor_loader<Source>{source});
}

/// A model of type `Model` with the weights of a source. Throws io_error, before anything is allocated where the
/// source holds a model of another kind.
template <class Model, tensor_source Source>
[[nodiscard]] Model load(const Source& source) {
  require_kind<Model>(source.shape().kind, source.path().native());
  Model model(source.shape());
  load_base_tensors(source, model);
  return model;
}

/// The same for fine-tuning as `plan` says (nn::storage_plan), tensor by tensor: memory never holds more than what
/// stays and one tensor of the source in fp32.
template <class Model, tensor_source Source, class Plan>
[[nodiscard]] Model load(const Source& source, const Plan& plan) {
  require_kind<Model>(source.shape().kind, source.path().native());
  return Model::build(
      source.shape(), [&](auto& tensor) { load_tensor(source, tensor); }, plan);
}

}  // namespace zoqat::io
