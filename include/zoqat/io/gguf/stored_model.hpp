// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/gguf/content.hpp>
#include <zoqat/io/gguf/model_file.hpp>
#include <zoqat/io/gguf/stored_matrix.hpp>
#include <zoqat/io/gguf/tensor_plan.hpp>
#include <zoqat/io/gguf/writer.hpp>
#include <zoqat/io/load.hpp>
#include <zoqat/io/model_kind.hpp>
#include <zoqat/io/tensor.hpp>
#include <zoqat/io/tensor_source.hpp>
#include <zoqat/params/compact_masters.hpp>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

/// A GGUF file in, trained, and out again: linear layers stay in its types while a model of scheme
/// nn::stored<gguf::stored_matrix> trains, and of the new file everything that did not train has the bytes it had.
namespace zoqat::inline ZOQAT_ABI::io::gguf {

namespace detail {

/// What the file of a model has of the tensor of that canonical name.
[[nodiscard]] inline const stored_part& part_at(const model_file& source, const std::string& name) {
  const tensor_view* const view = source.find(name);
  require<io_error>(view != nullptr, "{}: no tensor '{}'", source.path().native(), name);
  return source.stored(*view);
}

/// Gives the tensors of a model what its file has.
struct stored_loader {
  const model_file& source;

  template <class T>
  void operator()(T& to) const {
    if constexpr (requires { to.take(stored_matrix()); })
      take(to);
    else
      load_tensor(source, to);
  }

 private:
  template <class Weights>
  void take(Weights& to) const {
    const std::string name = to.name() + ".weight";
    const stored_part& part = part_at(source, name);
    stored_matrix stored(part.rows, part.factor);
    std::vector<float> row(stored.cols());
    for (std::size_t r = 0; r != stored.rows(); ++r) {
      stored.read_row(r, nullptr, {}, row.data());
      require_finite(*source.find(name), row, r * row.size());
    }
    source.file().release_pages(part.rows.data);
    to.take(std::move(stored));
  }
};

/// The masters that hold the embeddings of a file exactly.
[[nodiscard]] inline master_format embeddings_of(const model_file& source) {
  std::vector<std::string> names(tied_names.begin(), tied_names.end());
  if (source.shape().kind.family == model_family::opt) names.emplace_back("model.embed_positions.weight");
  const auto all_are = [&](tensor_type type) {
    return std::ranges::all_of(names, [&](const auto& name) { return part_at(source, name).rows.type == type; });
  };
  return all_are(tensor_type::f16)    ? master_format::fp16
         : all_are(tensor_type::bf16) ? master_format::bf16
                                      : master_format::fp32;
}

/// Says for the tensors of a model that may have trained how they are written again.
class trained_tensors {
 public:
  explicit trained_tensors(const model_file& source) : source_(source), write_(source.file().tensors().size()) {}

  template <class Tensor, class Use>
  void tensor(Tensor& t, const Use& use) {
    if (!use.in_checkpoint)
      return require(
          !use.stored || t.empty(),
          "{}: has no place for '{}', which stands beside its layers; merge adapters, and leave prefixes out",
          source_.path().native(), t.name());
    if (!use.trains) return;
    const stored_part& part = part_at(source_, t.name());
    if (part.rows.type != tensor_type::f32) return;  // which load_stored lets nobody train
    writer_of(part) = [&t, factor = part.factor](writer& to) {
      std::vector<float> values(t.values().flat().begin(), t.values().flat().end());
      for (float& x : values) x *= factor;
      to.write(std::as_bytes(std::span(values)));
    };
  }
  template <class Linear, class Smoothing>
  void linear(Linear& layer, Smoothing&) {
    const auto& weights = layer.stored_weights();
    const stored_part& part = part_at(source_, layer.name() + ".weight");
    writer_of(part) = [&weights, &info = part.rows](writer& to) {
      write_rows(to, info, [&](std::size_t r, std::span<std::byte> bytes) { weights.write_row(r, bytes); });
    };
    layer.visit(only_tensors{*this});
  }
  /// Writes tensor `i` of the file, part by part.
  void write(std::size_t i, writer& to) const {
    for (const auto& [row, write_part] : write_[i]) write_part(to);
    if (!write_[i].empty()) return;
    const gguf::tensor& same = source_.file().tensors()[i];
    to.write(same.data);
    source_.file().release_pages(same.data);
  }

 private:
  struct only_tensors {
    trained_tensors& to;
    template <class Tensor, class Use>
    void tensor(Tensor& t, const Use& use) {
      to.tensor(t, use);
    }
  };
  using parts = std::map<std::size_t, std::function<void(writer&)>>;  // by their first rows

  [[nodiscard]] std::function<void(writer&)>& writer_of(const stored_part& part) {
    return write_[part.index][part.first_row];
  }

  const model_file& source_;
  std::vector<parts> write_;  // of each tensor of the file; none for what stays, else all of it
};

}  // namespace detail

/// A model of type `Model`, whose scheme is nn::stored<gguf::stored_matrix>, for training as `plan` (a
/// nn::storage_plan) says: the layers that it names train their weights, all others the steps of their blocks unless
/// these are fixed, and norms and biases if it says so. The embeddings are kept exactly, whatever it says. Takes the
/// memory of the file's matrices as they are. Throws io_error as `load` does, and for norms and biases that are to
/// train and not stored as F32; value_error for adapters, for which the file has no place.
template <class Model, class Plan>
[[nodiscard]] Model load_stored(const model_file& source, Plan plan) {
  require_kind<Model>(source.shape().kind, source.path().native());
  require(plan.adapters.layers.empty(), "{}: has no place for adapters beside its layers; train chosen layers of it",
          source.path().native());
  if (plan.norms || plan.biases)
    for_each_tensor(source.shape(), [&](const std::string& name, std::span<const std::size_t> extents) {
      const tensor& t = detail::part_at(source, name).rows;
      require<io_error>(extents.size() != 1 || t.type == tensor_type::f32,
                        "{}: tensor '{}': is stored as {}, but norms and biases are trained in files that have them "
                        "as F32; leave norms and biases out of what trains",
                        source.path().native(), t.name, info_of(t.type).name);
    });
  plan.embeddings = detail::embeddings_of(source);
  return Model::build(source.shape(), detail::stored_loader{source}, plan);
}

/// Writes the file that a model was made of by `load_stored` again, all or nothing, with what was trained: norms and
/// biases in F32, and matrices in their types. The order of tensors and the bytes of all others are those of the
/// file, and what is read from the new one is what the model computes with, bit by bit. The metadata are `entries`.
/// The model is deployed by that. Throws as `writer` does.
template <class Model>
void write_stored(const std::filesystem::path& path, const model_file& source, Model& model,
                  const metadata& entries) {
  model.deploy();
  detail::trained_tensors trained(source);
  model.visit(trained);
  const content& all = source.file().content();
  writer to(path, entries, std::vector<tensor_info>(all.tensors.begin(), all.tensors.end()), all.version,
            all.padded_end);
  for (std::size_t i = 0; i != all.tensors.size(); ++i) trained.write(i, to);
  to.commit();
}
/// The same with the metadata of the file.
template <class Model>
void write_stored(const std::filesystem::path& path, const model_file& source, Model& model) {
  write_stored(path, source, model, source.file().metadata());
}

}  // namespace zoqat::io::gguf
