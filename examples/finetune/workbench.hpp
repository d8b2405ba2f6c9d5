// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>    // thread_pool
#include <zoqat/eval/answers.hpp>     // answer_accuracy: the token F1 of answers
#include <zoqat/eval/choices.hpp>     // accuracy among candidates
#include <zoqat/io/model_source.hpp>  // model_source
#include <zoqat/tasks/item.hpp>       // answer_item

#include <common/run_inputs.hpp>  // run_inputs
#include <common/tokenizer_file.hpp>
#include <finetune/settings.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace zoqat::programs {

/// Items of a task; the questions themselves where they are answered freely.
struct task_part {
  std::vector<eval::encoded_item> items;
  std::vector<tasks::answer_item> questions;
};

/// What all rows of a seed share: the base model, and the task in its tokens.
///
/// A text begins with the tokenizer's BOS. For OPT that is </s> (id 2): Hugging Face's tokenizer puts it in front,
/// and OPT's own configuration names it. MeZO's run.py makes it <s> (id 0) instead; "bos_token": "<s>" in a
/// tokenizer_config.json beside the tokenizer does the same here.
struct workbench {
  /// Reads the model and the files of the task, and says on stdout how many items there are. Throws io_error where
  /// one is malformed, and where the tokenizer has more tokens than the model.
  workbench(const settings& s, std::uint64_t run_seed);

  [[nodiscard]] bool answers() const { return !test.questions.empty(); }
  /// Accuracy, or the token F1 of free answers, in percent.
  template <class Model>
  double score(Model& model, const task_part& part) {
    if (answers()) return 100 * eval::answer_accuracy(model, tokenizer, part.questions, how, end, threads).f1;
    return 100 * eval::accuracy(model, part.items, threads, work, part_tokens);
  }
  /// What the best step is chosen by, more is better: the validation score, or for instructions, whose outputs are
  /// longer than what is generated to be scored, minus the loss per token.
  template <class Model>
  double merit(Model& model) {
    if (!instructions) return score(model, validation);
    const auto texts = eval::all_candidates(validation.items);
    const matrix<double> losses =
        eval::continuation_losses(model, inference_lane{}, texts, part_tokens, threads, work);
    double loss = 0;
    std::size_t tokens = 0;
    for (std::size_t i = 0; i != texts.size(); ++i) loss += losses(0, i), tokens += texts[i]->scored();
    return -loss / static_cast<double>(tokens);
  }

  thread_pool threads;
  run_inputs inputs;
  io::model_source source;
  tokenizer_file tokenizer;
  std::uint64_t seed;
  std::size_t part_tokens;
  bool instructions;
  eval::encoding how;
  eval::answer_end end{};
  task_part train, validation, test;
  std::vector<nn::token_batch> calibration;
  nn::workspace work;

 private:
  void read_task(const settings& s);
  template <class Item>
  void encode(const std::vector<Item>& training, const std::vector<Item>& evaluation, const settings& s);
  template <class Item>
  [[nodiscard]] std::size_t cut_items(const std::vector<Item>& items,
                                      const std::vector<eval::encoded_item>& encoded) const;
};

}  // namespace zoqat::programs
