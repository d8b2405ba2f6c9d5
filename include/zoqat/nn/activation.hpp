// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <concepts>
#include <cstddef>

namespace zoqat::inline ZOQAT_ABI::nn {

/// An element-wise non-linearity, in place. One that files know by name says so in a constant `function`.
template <class A>
concept activation = requires(float* x, std::size_t n) { A::template apply<simd::default_kernels>(x, n); };

struct silu {
  static constexpr activation_function function = activation_function::silu;

  template <class Kernels>
  static void apply(float* x, std::size_t n) noexcept {
    Kernels::silu(x, n);
  }
};
struct relu {
  static constexpr activation_function function = activation_function::relu;

  template <class Kernels>
  static void apply(float* x, std::size_t n) noexcept {
    Kernels::relu(x, n);
  }
};
/// GELU by its tanh approximation (`gelu_new`).
struct gelu_tanh {
  static constexpr activation_function function = activation_function::gelu_tanh;

  template <class Kernels>
  static void apply(float* x, std::size_t n) noexcept {
    Kernels::gelu_tanh(x, n);
  }
};
/// GELU by the error function.
struct gelu_erf {
  static constexpr activation_function function = activation_function::gelu_erf;

  template <class Kernels>
  static void apply(float* x, std::size_t n) noexcept {
    Kernels::gelu_erf(x, n);
  }
};

}  // namespace zoqat::nn
