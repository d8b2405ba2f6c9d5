// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>    // thread_pool
#include <zoqat/eval/perplexity.hpp>  // perplexity
#include <zoqat/nn/llama.hpp>         // llama<scheme>

#include <zeroqat/files.hpp>
#include <zeroqat/settings.hpp>

#include <cstddef>
#include <vector>

namespace zoqat::programs {

using teacher_model = nn::llama<quant::full_precision>;

/// Everything a run works on besides the model it trains.
struct workbench {
  explicit workbench(const settings& s);

  [[nodiscard]] std::vector<nn::token_batch> calibration(const settings& s) const;
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
  text::llama2c_tokenizer tokenizer;
  teacher_model teacher;
  std::size_t length;
  eval::chunks training, validation, evaluation;
  nn::workspace work;

 private:
  /// The last chunks of the training text, at most an eighth of it, which are then no part of it any more.
  [[nodiscard]] eval::chunks hold_out(const char* purpose);
};

}  // namespace zoqat::programs
