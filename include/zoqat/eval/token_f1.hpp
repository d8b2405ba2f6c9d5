// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::eval {

/// The words of an answer as SQuAD's official script compares them: lower case, without punctuation, without the
/// articles a, an and the. Only ASCII counts as letters to be lowered, as punctuation and as white space, where
/// Python's script knows Unicode: a letter such as É keeps its case, and quotation marks and dashes beyond ASCII stay
/// part of their word.
[[nodiscard]] inline std::vector<std::string> answer_words(std::string_view answer) {
  constexpr std::string_view punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
  constexpr std::string_view white = " \t\n\v\f\r\x1c\x1d\x1e\x1f";
  std::vector<std::string> words(1);
  for (const char c : answer) {
    if (white.find(c) != white.npos)
      words.emplace_back();
    else if (c >= 'A' && c <= 'Z')
      words.back() += static_cast<char>(c - 'A' + 'a');
    else if (punctuation.find(c) == punctuation.npos)
      words.back() += c;
  }
  std::erase_if(words, [](const std::string& w) { return w.empty() || w == "a" || w == "an" || w == "the"; });
  return words;
}

/// How well an answer agrees with golds: the best over them.
struct answer_score {
  double f1 = 0;     ///< harmonic mean of precision and recall of words, in [0, 1]
  double exact = 0;  ///< 1 where the words are the same, else 0
};

/// Compares an answer with one gold. Where either has no words, F1 is that of the exact match, as for the questions
/// without an answer of SQuAD 2.0.
[[nodiscard]] inline answer_score score_answer(std::string_view answer, std::string_view gold) {
  std::vector<std::string> found = answer_words(answer), wanted = answer_words(gold), common;
  const double exact = found == wanted ? 1 : 0;
  if (found.empty() || wanted.empty()) return {exact, exact};
  std::ranges::sort(found);
  std::ranges::sort(wanted);
  std::ranges::set_intersection(found, wanted, std::back_inserter(common));
  return {2 * static_cast<double>(common.size()) / static_cast<double>(found.size() + wanted.size()), exact};
}

/// Compares an answer with several golds: the maximum of each measure. Of no golds nothing. Where the first gold is
/// "no answer" or "CANNOTANSWER", F1 is the exact match with it, as in MeZO's metrics.py (arXiv 2305.17333): part of
/// the words is not part of the truth there.
[[nodiscard]] inline answer_score score_answer(std::string_view answer, std::span<const std::string> golds) {
  answer_score best;
  for (const std::string& gold : golds) {
    const answer_score score = score_answer(answer, std::string_view(gold));
    best = {std::max(best.f1, score.f1), std::max(best.exact, score.exact)};
  }
  if (!golds.empty() && (golds.front() == "no answer" || golds.front() == "CANNOTANSWER"))
    best.f1 = score_answer(answer, std::string_view(golds.front())).exact;
  return best;
}

}  // namespace zoqat::eval
