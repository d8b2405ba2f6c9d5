// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/plural.hpp>      // plural
#include <zoqat/train/step_data.hpp>  // draw_chunks

#include <zeroqat/workbench.hpp>

#include <algorithm>

namespace zoqat::programs {

texts_of_run::texts_of_run(const settings& s)
    : threads(s.threads),
      source(open_base_model(s.model, s.unused_tensors == "ignored")),
      tokenizer(open_tokenizer(s, source.shape().vocabulary)),
      length(std::min(s.length, source.shape().positions)) {}

void texts_of_run::read(const settings& s) {
  if (!s.text.empty()) training = read_corpus(s.text, s, tokenizer, length);
  if (!s.eval.empty()) evaluation = read_corpus(s.eval, s, tokenizer, length);
}

void texts_of_run::hold_out(const settings& s) {
  if (evaluation.empty()) evaluation = held_out("evaluation");
  if (s.keep == "best" && s.steps > 0) validation = held_out("--keep best");
  require(s.batch <= training.size(),
          "--batch {}: the training text makes only {}; give more text, a smaller batch or "
          "shorter chunks (--length)",
          s.batch, plural(training.size(), "chunk"));
}

eval::chunks texts_of_run::held_out(const char* purpose) {
  const std::size_t held = std::min<std::size_t>(128, training.size() / 8);
  require(held > 0, "the training text makes only {}: too few to hold some out for {}",
          plural(training.size(), "chunk"), purpose);
  const eval::chunks part(training.end() - static_cast<std::ptrdiff_t>(held), training.end());
  training.resize(training.size() - held);
  return part;
}

std::vector<nn::token_batch> texts_of_run::calibration(const settings& s) const {
  eval::chunks chosen;
  constexpr std::uint32_t before_the_first_step = ~0u;
  for (const std::uint32_t i : train::draw_chunks(training.size(), s.calibration, s.seed, before_the_first_step))
    chosen.push_back(training[i]);
  return eval::batches_of(chosen);
}

}  // namespace zoqat::programs
