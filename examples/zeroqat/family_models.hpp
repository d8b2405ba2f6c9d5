// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/nn/llama.hpp>  // llama<scheme>
#include <zoqat/nn/opt.hpp>    // opt<scheme, activation>
#include <zoqat/nn/qwen3.hpp>  // qwen3<scheme>

#include <zeroqat/families.hpp>

/// What each family is loaded as.
namespace zoqat::programs {

namespace families {

template <class Family>
struct models;
template <>
struct models<llama> {
  template <class Scheme>
  using type = nn::llama<Scheme>;
};
template <>
struct models<qwen3> {
  template <class Scheme>
  using type = nn::qwen3<Scheme>;
};
template <>
struct models<opt> {
  template <class Scheme>
  using type = nn::opt<Scheme>;
};
template <>
struct models<opt_gelu_tanh> {
  template <class Scheme>
  using type = nn::opt<Scheme, nn::gelu_tanh>;
};
template <>
struct models<opt_gelu_erf> {
  template <class Scheme>
  using type = nn::opt<Scheme, nn::gelu_erf>;
};

}  // namespace families

template <class Family, class Scheme>
using model_of = typename families::models<Family>::template type<Scheme>;
template <class Family>
using teacher_model = model_of<Family, quant::full_precision>;

}  // namespace zoqat::programs
