// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace zoqat {

/// How rotary embeddings pair up the elements of a head of size d.
enum class rope_pairing {
  half_split,   ///< (i, i + d/2): Hugging Face LLaMA
  interleaved,  ///< (2i, 2i + 1): llama2.c, the original LLaMA
};

/// The sizes of a decoder, read from the model's file. Sizes are values; what is computed is a type.
struct model_shape {
  std::size_t hidden = 0;        ///< width of the residual stream
  std::size_t intermediate = 0;  ///< width inside the MLP
  std::size_t layers = 0;
  std::size_t heads = 0;      ///< query heads
  std::size_t kv_heads = 0;   ///< key and value heads; divides `heads` (grouped-query attention)
  std::size_t head_size = 0;  ///< width of one head
  std::size_t vocabulary = 0;
  std::size_t positions = 0;  ///< longest sequence
  float norm_epsilon = 1e-5f;
  float rope_theta = 1e4f;
  rope_pairing rope = rope_pairing::half_split;
  bool tied_head = true;  ///< the head is the embedding matrix
  bool biases = false;    ///< the linear layers of the blocks have biases

  friend bool operator==(const model_shape&, const model_shape&) = default;
};

}  // namespace zoqat
