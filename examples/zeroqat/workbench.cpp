// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/plural.hpp>      // plural
#include <zoqat/eval/sample.hpp>      // sample_corpus
#include <zoqat/io/load.hpp>          // load
#include <zoqat/train/step_data.hpp>  // draw_chunks

#include <zeroqat/workbench.hpp>

#include <algorithm>

namespace zoqat::programs {

workbench::workbench(const settings& s)
    : threads(s.threads),
      source(open_base_model(s.model)),
      tokenizer(open_tokenizer(s, source.shape().vocabulary)),
      teacher(io::load<teacher_model>(source)),
      length(std::min(s.length, source.shape().positions)) {
  const auto sample = [&](std::size_t chunks, std::uint64_t seed) {
    return eval::sample_corpus(teacher, chunks, length, {.temperature = 1}, tokenizer.bos(), seed, threads);
  };
  if (s.text.empty()) {
    fmt::print("no --text: the model writes {} chunks of {} tokens itself\n", s.sampled + s.sampled / 8, length);
    training = sample(s.sampled, s.seed);
  } else {
    training = read_corpus(s.text, tokenizer, length);
  }
  if (!s.eval.empty())
    evaluation = read_corpus(s.eval, tokenizer, length);
  else if (s.text.empty())
    evaluation = sample(s.sampled / 8 + 1, ~s.seed);
  else
    evaluation = hold_out("evaluation");
  if (s.keep == "best" && s.steps > 0) validation = hold_out("--keep best");
  require(s.batch <= training.size(),
          "--batch {}: the training text makes only {}; give more text, a smaller batch or "
          "shorter chunks (--length)",
          s.batch, plural(training.size(), "chunk"));
}

eval::chunks workbench::hold_out(const char* purpose) {
  const std::size_t held = std::min<std::size_t>(128, training.size() / 8);
  require(held > 0, "the training text makes only {}: too few to hold some out for {}",
          plural(training.size(), "chunk"), purpose);
  const eval::chunks part(training.end() - static_cast<std::ptrdiff_t>(held), training.end());
  training.resize(training.size() - held);
  return part;
}

std::vector<nn::token_batch> workbench::calibration(const settings& s) const {
  eval::chunks chosen;
  constexpr std::uint32_t before_the_first_step = ~0u;
  for (const std::uint32_t i : train::draw_chunks(training.size(), s.calibration, s.seed, before_the_first_step))
    chosen.push_back(training[i]);
  return eval::batches_of(chosen);
}

}  // namespace zoqat::programs
