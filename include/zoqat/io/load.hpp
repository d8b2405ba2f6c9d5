// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/model_kind.hpp>
#include <zoqat/io/tensor.hpp>
#include <zoqat/io/tensor_source.hpp>

#include <array>
#include <cstddef>
#include <span>

namespace zoqat::io {

/// Fills a model's full-precision tensors from a source of the same shape. The model names what it wants through
/// `for_each_base_tensor(f)`, where f receives tensors with name(), rows(), cols() and values(). Each is converted
/// straight from the mapped file; a tensor of one row may be stored without its row dimension. Throws io_error, with
/// the file and the tensor, for one that is missing or of another shape, and for a source of another kind.
template <class Model, tensor_source Source>
void load_base_tensors(const Source& source, Model& model) {
  require_kind<Model>(source.shape().kind, source.path().native());
  model.for_each_base_tensor([&](auto& tensor) {
    const std::array<std::size_t, 2> extents{tensor.rows(), tensor.cols()};
    const tensor_view* const stored = source.find(tensor.name());
    const bool flat = tensor.rows() == 1 && stored && stored->shape.size() == 1;
    copy_to_f32(at(source, tensor.name(), std::span<const std::size_t>(extents).subspan(flat ? 1 : 0)),
                tensor.values().flat());
  });
}

/// A model of type `Model` with the weights of a source. Throws io_error, before anything is allocated where the source
/// holds a model of another kind.
template <class Model, tensor_source Source>
[[nodiscard]] Model load(const Source& source) {
  require_kind<Model>(source.shape().kind, source.path().native());
  Model model(source.shape());
  load_base_tensors(source, model);
  return model;
}

}  // namespace zoqat::io
