// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/nn/trainable.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::nn {

/// Where a tensor of a model belongs.
struct tensor_use {
  bool in_checkpoint = false;  ///< A full-precision checkpoint has it, by this name.
  bool stored = false;         ///< The file of a deployed model has it.
  bool trains = false;         ///< It can train, unless it is frozen.
  bool vector = false;         ///< That file gives it one dimension.
};
/// The uses that there are.
namespace use {
inline constexpr tensor_use embedding{.in_checkpoint = true, .stored = true};
inline constexpr tensor_use weight{.in_checkpoint = true, .stored = true, .trains = true};
inline constexpr tensor_use bias{.in_checkpoint = true, .stored = true, .trains = true, .vector = true};
inline constexpr tensor_use master{.in_checkpoint = true, .trains = true};  ///< packed codes are stored in its place
inline constexpr tensor_use added{.stored = true, .trains = true};          ///< by a scheme
inline constexpr tensor_use training_only{.trains = true};                  ///< deployment folds it into others
}  // namespace use

// Every part of a model has one member `visit(v)`, which shows `v` its tensors in a fixed order; a part that consists
// of others only passes `v` on. A visitor has
//   v.tensor(trainable&, tensor_use)                    for each tensor that is there, and it may have
//   v.packed(name, shape, std::span<T>)                 for each tensor of packed codes and their grids
//   v.linear(linear layer, smoothing)                   for each linear layer, which is then not visited itself

/// Whether a visitor looks at packed codes.
template <class V>
concept visits_packed = requires(V& v, std::string name, std::vector<std::size_t> shape) {
  v.packed(name, shape, std::span<std::uint8_t>());
};

/// A visitor that calls f(trainable&, tensor_use).
template <class F>
struct tensor_visitor {
  F f;
  void tensor(trainable& t, const tensor_use& u) { f(t, u); }
};
template <class F>
tensor_visitor(F) -> tensor_visitor<F>;

/// A visitor that calls f(trainable&, tensor_use) for what belongs to no linear layer, and g(layer, smoothing) for
/// these.
template <class F, class G>
struct layer_visitor {
  F f;
  G g;
  void tensor(trainable& t, const tensor_use& u) { f(t, u); }
  template <class Linear, class Smoothing>
  void linear(Linear& layer, Smoothing& smoothing) {
    g(layer, smoothing);
  }
};
template <class F, class G>
layer_visitor(F, G) -> layer_visitor<F, G>;

/// Calls f(trainable&) for everything in a part of a model that can train and has memory, frozen or not.
template <class Part, class F>
void for_each_trainable(Part& part, F&& f) {
  part.visit(tensor_visitor{[&](trainable& t, const tensor_use& u) {
    if (u.trains && !t.empty()) f(t);
  }});
}
/// Calls f(trainable&) for the tensors of a full-precision checkpoint, which have their Hugging Face names. A
/// deployed layer has none of its weights left.
template <class Part, class F>
void for_each_base_tensor(Part& part, F&& f) {
  part.visit(tensor_visitor{[&](trainable& t, const tensor_use& u) {
    if (u.in_checkpoint) f(t);
  }});
}

namespace detail {
template <class F>
struct stored_visitor {
  F& f;
  void tensor(trainable& t, const tensor_use& u) {
    if (!u.stored) return;
    std::vector<std::size_t> shape{t.rows(), t.cols()};
    if (u.vector) shape = {t.cols()};
    f(t.name(), std::move(shape), t.values().flat());
  }
  template <class T>
  void packed(const std::string& name, std::vector<std::size_t> shape, std::span<T> values) {
    f(name, std::move(shape), values);
  }
};
}  // namespace detail

/// Calls f(name, shape, std::span<T>) for the tensors that a deployed part of a model consists of.
template <class Part, class F>
void for_each_stored(Part& part, F&& f) {
  part.visit(detail::stored_visitor<F>{f});
}

}  // namespace zoqat::nn
