// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::eval {

/// Token sequences of equal length.
using chunks = std::vector<std::vector<std::uint32_t>>;

/// How a text falls into documents.
struct document_rule {
  std::string_view separator = "<|endoftext|>";  ///< between documents; a text without any is one document
  std::size_t min_characters = 200;              ///< documents of no more than this are left out
};

/// The documents of a text, without white space at their ends. The views point into `text`. Adds the number of those
/// that are left out for being short to `left_out`, unless it is null. Throws value_error for an empty separator.
[[nodiscard]] inline std::vector<std::string_view> split_documents(std::string_view text, document_rule rule = {},
                                                                   std::size_t* left_out = nullptr) {
  require(!rule.separator.empty(), "corpus: the separator between documents is empty");
  constexpr std::string_view white = " \t\r\n";
  std::vector<std::string_view> documents;
  for (std::size_t first = 0; first <= text.size();) {
    const std::size_t end = std::min(text.find(rule.separator, first), text.size());
    std::string_view document = text.substr(first, end - first);
    first = end + rule.separator.size();
    const std::size_t begin = document.find_first_not_of(white);
    if (begin == document.npos) continue;
    document = document.substr(begin, document.find_last_not_of(white) + 1 - begin);
    if (document.size() > rule.min_characters)
      documents.push_back(document);
    else if (left_out)
      ++*left_out;
  }
  return documents;
}

/// Encodes documents one by one, lines the tokens up and cuts them into chunks of `length`; what is left at the end
/// is dropped, as the perplexities of the quantization literature are computed. `encode(document)` returns a range
/// of tokens, BOS included if there is to be one. Throws value_error for a length of zero and when not even one chunk
/// comes together.
template <class Encode>
[[nodiscard]] chunks chunk_documents(const std::vector<std::string_view>& documents, std::size_t length,
                                     Encode&& encode) {
  require(length > 0, "corpus: chunks of no tokens");
  chunks result;
  std::vector<std::uint32_t> open;
  for (const std::string_view document : documents)
    for (const std::uint32_t token : encode(document)) {
      open.push_back(token);
      if (open.size() < length) continue;
      result.push_back(std::move(open));
      open.clear();
    }
  require(!result.empty(), "corpus: {} with {} in all cannot fill one chunk of {}",
          plural(documents.size(), "document"), plural(open.size(), "token"), length);
  return result;
}

}  // namespace zoqat::eval
