// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Everything in `zoqat::io`: reading models and tokenizers, writing tensors.

#include <zoqat/io/added_tokens.hpp>
#include <zoqat/io/atomic_file.hpp>
#include <zoqat/io/bpe_merger.hpp>
#include <zoqat/io/bpe_model.hpp>
#include <zoqat/io/bpe_tokenizer.hpp>
#include <zoqat/io/byte_alphabet.hpp>
#include <zoqat/io/byte_level_bpe.hpp>
#include <zoqat/io/file_descriptor.hpp>
#include <zoqat/io/hugging_face.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/llama2c.hpp>
#include <zoqat/io/llama2c_tokenizer.hpp>
#include <zoqat/io/llama_config.hpp>
#include <zoqat/io/load.hpp>
#include <zoqat/io/mapped_file.hpp>
#include <zoqat/io/merges_text.hpp>
#include <zoqat/io/model_source.hpp>
#include <zoqat/io/name_map.hpp>
#include <zoqat/io/open_tokenizer.hpp>
#include <zoqat/io/pre_tokenizer.hpp>
#include <zoqat/io/quantized_model.hpp>
#include <zoqat/io/safetensors.hpp>
#include <zoqat/io/safetensors_folder.hpp>
#include <zoqat/io/shape_limits.hpp>
#include <zoqat/io/special_names.hpp>
#include <zoqat/io/string_map.hpp>
#include <zoqat/io/tensor.hpp>
#include <zoqat/io/tensor_index.hpp>
#include <zoqat/io/tensor_source.hpp>
#include <zoqat/io/text_file.hpp>
#include <zoqat/io/text_normalizer.hpp>
#include <zoqat/io/text_pieces.hpp>
#include <zoqat/io/token_decoder.hpp>
#include <zoqat/io/tokenizer_json.hpp>
#include <zoqat/io/tokenizer_steps.hpp>
#include <zoqat/io/unicode.hpp>
#include <zoqat/io/utf8_characters.hpp>
#include <zoqat/io/vocabulary_list.hpp>
