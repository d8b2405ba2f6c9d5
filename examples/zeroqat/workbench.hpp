// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>    // thread_pool
#include <zoqat/eval/perplexity.hpp>  // perplexity

#include <zeroqat/family_models.hpp>
#include <zeroqat/files.hpp>
#include <zeroqat/settings.hpp>

#include <cstddef>
#include <vector>

namespace zoqat::programs {

/// What a run works on, whatever the family of its model.
struct texts_of_run {
  explicit texts_of_run(const settings& s);

  /// Draws chunks of the training text to calibrate with.
  [[nodiscard]] std::vector<nn::token_batch> calibration(const settings& s) const;
  /// Reads what there are files for.
  void read(const settings& s);
  /// Holds chunks out where there is no file to evaluate on, and to validate with.
  void hold_out(const settings& s);

  template <class Model>
  double perplexity(Model& model) {
    return eval::perplexity(model, evaluation, threads, work);
  }
  /// That on training text that nothing was fitted to: what a step is chosen by.
  template <class Model>
  double validation_perplexity(Model& model) {
    return eval::perplexity(model, validation, threads, work);
  }

  thread_pool threads;
  io::model_source source;
  tokenizer_file tokenizer;
  std::size_t length;
  eval::chunks training, validation, evaluation;
  nn::workspace work;

 private:
  /// The last chunks of the training text, at most an eighth of it, which are then no part of it any more.
  [[nodiscard]] eval::chunks held_out(const char* purpose);
};

/// Everything a run works on besides the model it trains.
template <class Family>
struct workbench : texts_of_run {
  explicit workbench(const settings& s);

  teacher_model<Family> teacher;
};

}  // namespace zoqat::programs
