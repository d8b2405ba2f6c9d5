// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/eval/sample.hpp>  // sample_corpus
#include <zoqat/io/load.hpp>      // load

#include <zeroqat/workbench.hpp>

/// How a workbench is made, which is compiled once for each family.
namespace zoqat::programs {

/// Reads the texts of a run, which `writer` writes where there are none.
template <class Model>
void read_or_write_texts(texts_of_run& texts, const settings& s, Model& writer) {
  const auto sample = [&](std::size_t chunks, std::uint64_t seed) {
    const auto begin = texts.tokenizer.bos();
    require(begin.has_value(),
            "{}: the tokenizer has no token that begins a text, so the model cannot write its own; give a --text",
            s.tokenizer_path().native());
    return eval::sample_corpus(writer, chunks, texts.length, {.temperature = 1}, *begin, seed, texts.threads);
  };
  texts.read(s);
  if (s.text.empty()) {
    fmt::print("no --text: the model writes {} chunks of {} tokens itself\n", s.sampled + s.sampled / 8,
               texts.length);
    texts.training = sample(s.sampled, s.seed);
    if (s.eval.empty()) texts.evaluation = sample(s.sampled / 8 + 1, ~s.seed);
  }
  texts.hold_out(s);
}

template <class Family>
workbench<Family>::workbench(const settings& s) : texts_of_run(s), teacher(io::load<teacher_model<Family>>(source)) {
  read_or_write_texts(*this, s, teacher);
}

}  // namespace zoqat::programs
