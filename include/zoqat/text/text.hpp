// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Tokenizers.

// The order is for reading.
// clang-format off

// Characters and words.
#include <zoqat/text/unicode.hpp>
#include <zoqat/text/utf8_characters.hpp>
#include <zoqat/text/byte_alphabet.hpp>
#include <zoqat/text/string_map.hpp>

// Byte-pair encoding.
#include <zoqat/text/piece_table.hpp>
#include <zoqat/text/bpe_merger.hpp>
#include <zoqat/text/bpe_model.hpp>
#include <zoqat/text/bpe_tokenizer.hpp>
#include <zoqat/text/byte_level_bpe.hpp>
#include <zoqat/text/byte_junctions.hpp>
#include <zoqat/text/merges_text.hpp>
#include <zoqat/text/vocabulary_list.hpp>
#include <zoqat/text/added_tokens.hpp>
#include <zoqat/text/special_names.hpp>

// The steps around it.
#include <zoqat/text/text_normalizer.hpp>
#include <zoqat/text/text_pieces.hpp>
#include <zoqat/text/pre_tokenizer.hpp>
#include <zoqat/text/token_decoder.hpp>
#include <zoqat/text/tokenizer_steps.hpp>

// Conversations.
#include <zoqat/text/chat_template.hpp>

// Files.
#include <zoqat/text/open_tokenizer.hpp>
#include <zoqat/text/llama2c_tokenizer.hpp>
#include <zoqat/text/tokenizer_json.hpp>
#include <zoqat/text/gguf_words.hpp>
#include <zoqat/text/gguf_vocabulary.hpp>
#include <zoqat/text/gguf_tokenizer.hpp>
#include <zoqat/text/hugging_face_tokenizer.hpp>

// clang-format on
