// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Reading and writing models.

// The order is for reading.
// clang-format off

// Files and what is in them.
#include <zoqat/io/mapped_file.hpp>
#include <zoqat/io/file_kind.hpp>
#include <zoqat/io/atomic_file.hpp>
#include <zoqat/io/text_file.hpp>
#include <zoqat/io/json_parser.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/json_place.hpp>
#include <zoqat/io/config_settings.hpp>

// Tensors by name.
#include <zoqat/io/tensor.hpp>
#include <zoqat/io/tensor_source.hpp>
#include <zoqat/io/tensor_index.hpp>
#include <zoqat/io/shape_limits.hpp>
#include <zoqat/io/safetensors.hpp>
#include <zoqat/io/safetensors_writer.hpp>
#include <zoqat/io/checksums.hpp>
#include <zoqat/io/safetensors_folder.hpp>

// GGUF files.
#include <zoqat/io/gguf/tensor_type.hpp>
#include <zoqat/io/gguf/value.hpp>
#include <zoqat/io/gguf/content.hpp>
#include <zoqat/io/gguf/file.hpp>
#include <zoqat/io/gguf/writer.hpp>
#include <zoqat/io/gguf/blocks.hpp>
#include <zoqat/io/gguf/decode.hpp>
#include <zoqat/io/gguf/encode.hpp>
#include <zoqat/io/gguf/round.hpp>

// Formats of models.
#include <zoqat/io/gguf/architecture.hpp>
#include <zoqat/io/gguf/llama_shape.hpp>
#include <zoqat/io/gguf/opt_shape.hpp>
#include <zoqat/io/gguf/model_file.hpp>
#include <zoqat/io/model_source.hpp>
#include <zoqat/io/model_kind.hpp>
#include <zoqat/io/model_config.hpp>
#include <zoqat/io/name_map.hpp>
#include <zoqat/io/llama_config.hpp>
#include <zoqat/io/rope_config.hpp>
#include <zoqat/io/opt_config.hpp>
#include <zoqat/io/opt_name_map.hpp>
#include <zoqat/io/hugging_face.hpp>
#include <zoqat/io/llama2c.hpp>

// Models in, models out.
#include <zoqat/io/load.hpp>
#include <zoqat/io/quantized_model.hpp>
#include <zoqat/io/packed_weight.hpp>
#include <zoqat/io/gguf/llama.hpp>
#include <zoqat/io/gguf/opt.hpp>
#include <zoqat/io/gguf/rope.hpp>
#include <zoqat/io/gguf/tensor_plan.hpp>
#include <zoqat/io/gguf/mix.hpp>
#include <zoqat/io/gguf/llama_layout.hpp>
#include <zoqat/io/gguf/llama_export.hpp>
#include <zoqat/io/gguf/adapter_export.hpp>
#include <zoqat/io/gguf/opt_export.hpp>
#include <zoqat/io/gguf/stored_matrix.hpp>
#include <zoqat/io/gguf/stored_model.hpp>
#include <zoqat/io/hugging_face_config.hpp>
#include <zoqat/io/hugging_face_export.hpp>
#include <zoqat/io/compressed_tensors.hpp>

// clang-format on
