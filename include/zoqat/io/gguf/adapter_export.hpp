// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/adapter_names.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/gguf/llama.hpp>
#include <zoqat/io/gguf/llama_layout.hpp>
#include <zoqat/io/gguf/tensor_plan.hpp>
#include <zoqat/io/gguf/tensor_type.hpp>
#include <zoqat/io/gguf/writer.hpp>
#include <zoqat/io/name_map.hpp>
#include <zoqat/io/quantized_model.hpp>
#include <zoqat/io/safetensors.hpp>
#include <zoqat/io/tensor.hpp>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// Writes the adapters of a saved model as a file that llama.cpp loads beside the model's own (`--lora`): A and B of
/// each as NAME.lora_a [rank, in] and NAME.lora_b [out, rank] in F32, with rows of B in the order of the file's
/// weights. `types` are those of the model's file, which may fill up its sizes. Throws io_error for a file without
/// adapters, for one with a prefix, which engines do not read from files, and for a model that they have no
/// architecture for; value_error for one whose inputs are smoothed, since the file of such a model has other inputs.
inline void export_adapters(const std::filesystem::path& path, const safetensors_file& file, export_types types) {
  const model_shape shape = shape_of_quantized(file);
  require<io_error>(has_adapters(file) && file.metadata().contains("lora_alpha"), "{}: has no low-rank adapters",
                    file.path().native());
  require<io_error>(!file.metadata().contains("prefix_tokens"),
                    "{}: has a prefix too, which engines that read GGUF take from no file", file.path().native());
  for (const tensor_view& t : file.tensors())
    require(!t.name.ends_with(".log_scale"), "{}: inputs are smoothed ('{}'), which is not so in a GGUF file",
            file.path().native(), t.name);
  const auto alpha = io::detail::number_at<float>(file, "lora_alpha");
  const llama_layout layout(shape, info_of(types.weights).elements, types.fill_stream);
  tensor_plan plan;
  layout.for_each_place([&](llama_place p) {
    if (!p.is_matrix() || p.is_embedding()) return;
    const std::string name = io::name_of(p.tensor, p.layer), layer = name.substr(0, name.rfind(".weight"));
    const tensor_view* const a = file.find(layer + std::string(lora_a_ending));
    if (a == nullptr) return;
    const tensor_view& b = file.at(layer + std::string(lora_b_ending));
    const bool fits = a->type == dtype::f32 && b.type == dtype::f32 && a->shape.size() == 2 && b.shape.size() == 2 &&
                      a->shape[1] == p.cols && b.shape[0] == p.rows && a->shape[0] == b.shape[1];
    require<io_error>(fits, "{}: tensors '{}' and '{}' are no adapter of a layer [{}, {}]", file.path().native(),
                      a->name, b.name, p.rows, p.cols);
    const std::size_t rank = a->shape[0], in = p.cols;
    const tensor_info down{p.info.name + ".lora_a", tensor_type::f32, {rank, p.file_cols()}};
    plan.add(down, [down, a, in](writer& to) {
      std::vector<float> values(down.shape[1]);  // inputs that fill the layer up stay zero
      write_rows(to, down, [&](std::size_t row, std::span<std::byte> out) {
        copy_to_f32(subtensor(*a, row * in, in), std::span(values).first(in));
        std::memcpy(out.data(), values.data(), out.size());
      });
    });
    p.info = {p.info.name + ".lora_b", tensor_type::f32, {p.file_rows(), rank}};
    p.cols = rank;
    plan.add(p.info, [p, &b, layout](writer& to) {
      layout.write_values(to, p, [&](std::size_t row, std::span<float> values) {
        copy_to_f32(subtensor(b, row * p.cols, p.cols), values);
      });
    });
  });
  plan.write_file(path, {{"general.architecture", layout.architecture().name},
                         {"general.type", "adapter"},
                         {"adapter.type", "lora"},
                         {"adapter.lora.alpha", alpha}});
}

}  // namespace zoqat::io::gguf
