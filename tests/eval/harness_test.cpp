// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/benchmark.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/random_model.hpp>
#include <support/reference_llama.hpp>
#include <zoqat/eval/request.hpp>
#include <zoqat/eval/score.hpp>
#include <zoqat/io/llama2c.hpp>
#include <zoqat/io/load.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/text/llama2c_tokenizer.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

// Scoring of the benchmarks' own files with a real model, against scoring that is written down here once more, with
// a forward pass in double. ZOQAT_TASK_ITEMS says how many items of each: 200 take some minutes.

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using model_type = nn::llama<quant::full_precision>;
using tokens = std::vector<nn::token>;

/// A prompt with a candidate, and the length that its score may be divided by.
struct candidate {
  std::string prompt, text;
  double length;
};

double characters(const std::string& text) {
  double count = 0;
  for (const char c : text) count += (c & '\xC0') != '\x80';
  return count;
}
std::vector<candidate> candidates_of(const tasks::choice_item& item) {
  std::vector<candidate> all;
  for (const auto& choice : item.choices) all.push_back({item.prompt, choice, characters(choice) - 1});
  return all;
}
std::vector<candidate> candidates_of(const tasks::cloze_item& item) {
  std::vector<candidate> all;
  for (const auto& prompt : item.prompts) all.push_back({prompt, item.completion, 1});
  return all;
}

/// The harness's scoring, a candidate at a time.
class plain_scoring {
 public:
  plain_scoring(model_type& model, const text::llama2c_tokenizer& tokenizer)
      : reference_(model), tokenizer_(tokenizer), positions_(model.shape().positions) {}

  double log_likelihood(const candidate& c) {
    tokens whole = tokenizer_.encode(c.prompt + c.text, true);
    std::size_t scored = whole.size() - tokenizer_.encode(c.prompt, true).size();
    if (whole.size() > positions_ + 1)
      whole.erase(whole.begin(), whole.end() - static_cast<std::ptrdiff_t>(positions_ + 1));
    scored = std::min(scored, whole.size() - 1);
    const tokens read(whole.begin(), whole.end() - 1);
    if (read != read_) logits_ = reference_.logits(read_ = read);
    double sum = 0;
    for (std::size_t i = whole.size() - scored; i != whole.size(); ++i)
      sum += reference_llama::log_softmax(logits_[i - 1])[whole[i]];
    return sum;
  }

 private:
  reference_llama reference_;
  const text::llama2c_tokenizer& tokenizer_;
  std::size_t positions_;
  tokens read_;
  std::vector<std::vector<double>> logits_;
};

std::size_t first_of_highest(const std::vector<double>& values) {
  return static_cast<std::size_t>(std::ranges::max_element(values) - values.begin());
}

}  // namespace

TEST_CASE("choices and log-likelihoods of every benchmark are those of an independent implementation") {
  const auto data = shared_data("data"), checkpoint = shared_data("models/stories260K/stories260K.bin");
  if (!data || !checkpoint) return;
  const char* const wanted = std::getenv("ZOQAT_TASK_ITEMS");
  const std::size_t limit = wanted ? static_cast<std::size_t>(std::atol(wanted)) : 1;
  auto model = io::load<model_type>(io::llama2c_checkpoint(*checkpoint));
  const text::llama2c_tokenizer tokenizer(checkpoint->parent_path() / "tok512.bin", 512);
  plain_scoring expected(model, tokenizer);
  thread_pool threads(2);
  nn::workspace work;
  std::vector<std::string> names{"winogrande", "piqa",  "arc_easy", "arc_challenge", "hellaswag",
                                 "openbookqa", "boolq", "rte",      "mmlu_astronomy"};
  if (is_slow_build) names.resize(1);  // the shortest
  std::size_t compared = 0;
  double largest = 0;
  for (const tasks::found_benchmark& task : tasks::find_benchmarks(names, *data)) {
    std::visit(
        [&]<class Item>(const std::vector<Item>& items) {
          if constexpr (!std::is_same_v<Item, tasks::answer_item>)
            for (const Item& item : items) {
              const auto request = eval::encode_request(tokenizer, item, {.positions = model.shape().positions});
              std::vector<const eval::continuation*> texts;
              for (const auto& text : request.item.candidates) texts.push_back(&text);
              const auto losses = eval::continuation_losses(model, at_masters, texts, 2048, threads, work);
              const auto found = eval::choose(request, losses.row(0));
              std::vector<double> sums, normalized;
              for (const candidate& c : candidates_of(item)) {
                sums.push_back(expected.log_likelihood(c));
                normalized.push_back(sums.back() / c.length);
                const double error = std::abs(found.log_likelihoods[sums.size() - 1] - sums.back());
                CHECK_MESSAGE(error < 1e-4 * std::max(1.0, std::abs(sums.back()) / 10), task.name);
                largest = std::max(largest, error);
              }
              CHECK_MESSAGE(found.chosen == first_of_highest(sums), task.name);
              CHECK_MESSAGE(found.chosen_normalized == first_of_highest(normalized), task.name);
              ++compared;
            }
        },
        tasks::read_benchmark(task, task.what->shots, limit));
  }
  CHECK(compared >= names.size() * std::min<std::size_t>(limit, 152));
  MESSAGE(compared, " items of ", names.size(), " tasks, log-likelihoods within ", largest);
}
