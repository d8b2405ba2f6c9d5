// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>          // thread_pool
#include <zoqat/eval/answers.hpp>           // generate_answer
#include <zoqat/eval/divergence.hpp>        // token_divergence
#include <zoqat/eval/score.hpp>             // continuation_losses
#include <zoqat/io/json.hpp>                // json
#include <zoqat/params/inference_lane.hpp>  // inference_lane

#include <common/tokenizer_file.hpp>  // tokenizer_file
#include <zeroqat/settings.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

/// What `zeroqat eval` finds out, printed and as JSON. It is compiled once for all models.
namespace zoqat::programs {

/// What tasks ask of a model.
class asked_model {
 public:
  asked_model() = default;
  asked_model(const asked_model&) = delete;
  asked_model& operator=(const asked_model&) = delete;
  virtual ~asked_model() = default;

  /// −log p of the scored tokens of each text.
  [[nodiscard]] virtual std::vector<double> losses(std::span<const eval::continuation* const> texts) = 0;
  [[nodiscard]] virtual std::string answer(const tokenizer_file& tokenizer, std::span<const nn::token> prompt,
                                           const eval::answer_end& end) = 0;
  [[nodiscard]] virtual std::size_t positions() const = 0;
};

template <class Model>
class asked final : public asked_model {
 public:
  asked(Model& model, thread_pool& threads, nn::workspace& work)
      : model_(model), threads_(threads), work_(work), generate_(model, threads) {}

  std::vector<double> losses(std::span<const eval::continuation* const> texts) override {
    const matrix<double> losses =
        eval::continuation_losses(model_, inference_lane{}, texts, eval::default_part_tokens, threads_, work_);
    return {losses.row(0).begin(), losses.row(0).end()};
  }
  std::string answer(const tokenizer_file& tokenizer, std::span<const nn::token> prompt,
                     const eval::answer_end& end) override {
    return eval::generate_answer(generate_, tokenizer, prompt, end);
  }
  std::size_t positions() const override { return model_.shape().positions; }

 private:
  Model& model_;
  thread_pool& threads_;
  nn::workspace& work_;
  nn::generator<Model, thread_pool> generate_;
};

/// Throws unless the tasks of `s` are there and its report can be written.
void require_evaluable(const settings& s);

/// Runs the tasks of `s`, prints a line for each, and returns them in the form of lm-evaluation-harness's results.
[[nodiscard]] io::json evaluate_tasks(asked_model& model, const tokenizer_file& tokenizer, const settings& s);

/// Prints how far a model is from a reference, as llama-perplexity --kl-divergence does.
[[nodiscard]] io::json print_divergence(std::span<const eval::token_divergence> tokens);

/// Writes what was found to --report, if there is one.
void write_found(const io::json& found, const settings& s);

}  // namespace zoqat::programs
