// SPDX-License-Identifier: Apache-2.0
#include <common/exported_bytes.hpp>

#include <zoqat/io/gguf/encode.hpp>         // type_of
#include <zoqat/io/gguf/llama_layout.hpp>   // llama_layout
#include <zoqat/io/quantized_model.hpp>     // scheme_of, shape_of_quantized
#include <zoqat/io/tensor_source.hpp>       // for_each_tensor, is_linear_weight
#include <zoqat/quant/scheme_registry.hpp>  // standard_schemes

#include <fmt/format.h>

#include <span>

namespace zoqat::programs {

namespace gguf = io::gguf;

namespace {

/// The type that holds the weights of a scheme, unless engines do not compute with them what was trained. Nothing for
/// a scheme of somebody's own.
std::optional<gguf::tensor_type> type_of_scheme(const std::string& name) {
  std::optional<gguf::tensor_type> type;
  if (fmt::format(", {},", quant::standard_schemes::names()).find(fmt::format(", {},", name)) == std::string::npos)
    return type;
  quant::standard_schemes::with(name, [&]<class Scheme>() {
    if constexpr (!Scheme::smooths_inputs && !Scheme::quantizes_attention)
      type = gguf::type_of<typename Scheme::weight_type>();
  });
  return type;
}

}  // namespace

double exported_bytes::bits_of_linear_layers(const model_shape& shape) const {
  std::size_t weights = 0, all = 0;
  io::for_each_tensor(shape, [&](const std::string& name, std::span<const std::size_t> extents) {
    if (!io::is_linear_weight(name, extents)) return;
    weights += *io::checked_product(extents);
    all += bytes.at(name);
  });
  return 8 * static_cast<double>(all) / static_cast<double>(weights);
}

std::optional<exported_bytes> exported_bytes_of(const io::safetensors_file& trained) {
  const model_shape shape = io::shape_of_quantized(trained);
  const auto type = type_of_scheme(io::scheme_of(trained));
  if (!type || !gguf::llama_architecture_of(shape)) return std::nullopt;
  exported_bytes result{*type, {}};
  gguf::tensor_plan plan;
  gguf::llama_layout(shape, gguf::info_of(*type).elements).for_each_place([&](gguf::llama_place p) {
    if (p.is_matrix() && !p.is_embedding()) plan.choose_type(p.info, p.info.name, {*type, gguf::tensor_type::f32});
    result.bytes.emplace(io::name_of(p.tensor, p.layer), *gguf::checked_bytes(p.info));
  });
  return result;
}

}  // namespace zoqat::programs
