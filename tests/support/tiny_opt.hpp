// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <support/files.hpp>
#include <support/tiny_llama.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/opt_name_map.hpp>

#include <cstddef>
#include <string>

namespace zoqat::testing {

/// An OPT decoder of a few hundred weights, with heads of an odd size.
inline model_shape tiny_opt_shape(bool tied = true, bool biases = true) {
  return {.kind = {model_family::opt, activation_function::relu},
          .hidden = 6,
          .intermediate = 9,
          .layers = 3,
          .heads = 2,
          .kv_heads = 2,
          .head_size = 3,
          .vocabulary = 5,
          .positions = 7,
          .norm_epsilon = 1e-5f,
          .tied_head = tied,
          .biases = biases};
}

/// Its tensors as Hugging Face names them; the n-th counts from 1000 n. `prefix` stands for "model." in their names.
inline tensor_collection tiny_opt_tensors(const model_shape& shape, const std::string& prefix = "model.") {
  tensor_collection tensors;
  for (const io::opt_entry& entry : io::opt_tensors)
    for (std::size_t layer = 0; io::is_present(entry, shape) && layer != (io::is_per_layer(entry) ? shape.layers : 1);
         ++layer) {
      std::string name = fmt::format(fmt::runtime(entry.stored), layer);
      if (name.starts_with("model.")) name = prefix + name.substr(6);
      tensors.add(name, io::shape_of(entry, shape), 1000.0f * static_cast<float>(tensors.views().size()));
    }
  return tensors;
}

/// The config.json that belongs to `shape`, of an OPT with ReLU.
inline io::json tiny_opt_config(const model_shape& shape) {
  return {{"architectures", {"OPTForCausalLM"}},
          {"model_type", "opt"},
          {"hidden_size", shape.hidden},
          {"word_embed_proj_dim", shape.hidden},
          {"ffn_dim", shape.intermediate},
          {"num_hidden_layers", shape.layers},
          {"num_attention_heads", shape.heads},
          {"vocab_size", shape.vocabulary},
          {"max_position_embeddings", shape.positions},
          {"activation_function", "relu"},
          {"do_layer_norm_before", true},
          {"enable_bias", shape.biases.any()},
          {"layer_norm_elementwise_affine", true},
          {"tie_word_embeddings", shape.tied_head}};
}

}  // namespace zoqat::testing
