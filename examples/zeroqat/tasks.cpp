// SPDX-License-Identifier: Apache-2.0
#include <zeroqat/tasks.hpp>

#include <zoqat/core/plural.hpp>         // plural
#include <zoqat/eval/number_answer.hpp>  // strict_number, flexible_number, comparable_number
#include <zoqat/eval/proportion.hpp>     // proportion_of, pooled
#include <zoqat/eval/request.hpp>        // encode_request, choose
#include <zoqat/io/atomic_file.hpp>      // atomic_file
#include <zoqat/tasks/benchmark.hpp>     // find_benchmarks, read_benchmark

#include <common/plan.hpp>           // require_writable, require_apart
#include <common/settings_text.hpp>  // parts_of

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <initializer_list>
#include <iterator>
#include <map>
#include <utility>
#include <variant>

namespace zoqat::programs {

namespace {

/// A metric of a task: its name, and that of the filter that answers went through, as the harness's results have
/// them.
struct metric {
  std::string name, filter;
  eval::proportion of_items;
};

/// What a task came to.
struct task_result {
  std::vector<metric> metrics{};
  io::json samples = io::json::array();  ///< each question as the harness logs it, where they are asked for
  double chance = 0;                     ///< accuracy of guesses
  std::size_t cut = 0;                   ///< items that were longer than the model's positions
};

std::size_t shots_of(const tasks::benchmark& task, const settings& s) { return s.shots.value_or(task.shots); }

std::vector<tasks::found_benchmark> found_tasks(const settings& s) {
  return tasks::find_benchmarks(parts_of(s.tasks), s.task_data);
}

/// What was asked of a question: each candidate after its prompt.
io::json arguments_of(const tasks::choice_item& item) {
  io::json all = io::json::array();
  for (const std::string& choice : item.choices) all.push_back({item.prompt, choice});
  return all;
}
io::json arguments_of(const tasks::cloze_item& item) {
  io::json all = io::json::array();
  for (const std::string& prompt : item.prompts) all.push_back({prompt, item.completion});
  return all;
}

/// Chooses among candidates by log-likelihood.
template <class Item>
task_result choose_all(asked_model& model, const tokenizer_file& tokenizer, const std::vector<Item>& items,
                       bool normalized, bool keeps_samples) {
  const eval::encoding how{.positions = model.positions(), .bos = tokenizer.bos().has_value()};
  std::vector<eval::choice_request> requests;
  std::vector<const eval::continuation*> texts;
  for (const Item& item : items) requests.push_back(eval::encode_request(tokenizer, item, how));
  for (const eval::choice_request& request : requests)
    for (const eval::continuation& candidate : request.item.candidates) texts.push_back(&candidate);
  const std::vector<double> all = model.losses(texts);
  std::span<const double> losses = all;
  std::size_t right = 0, right_normalized = 0;
  task_result result;
  for (const eval::choice_request& request : requests) {
    const eval::choice_answer answer = eval::choose(request, losses);
    losses = losses.subspan(request.item.candidates.size());
    right += answer.chosen == request.item.correct;
    right_normalized += answer.chosen_normalized == request.item.correct;
    result.chance += 1 / static_cast<double>(request.item.candidates.size() * requests.size());
    result.cut += request.is_cut;
    if (!keeps_samples) continue;
    const std::size_t number = result.samples.size();
    result.samples.push_back({{"doc_id", number},
                              {"arguments", arguments_of(items[number])},
                              {"target", request.item.correct},
                              {"log_likelihoods", answer.log_likelihoods},
                              {"acc", answer.chosen == request.item.correct ? 1 : 0}});
  }
  result.metrics.push_back({"acc", "none", eval::proportion_of(right, items.size())});
  if (normalized) result.metrics.push_back({"acc_norm", "none", eval::proportion_of(right_normalized, items.size())});
  return result;
}

/// Answers by itself, and compares the numbers in the answers: GSM8K.
task_result answer_all(asked_model& model, const tokenizer_file& tokenizer,
                       const std::vector<tasks::answer_item>& items, bool keeps_samples) {
  const eval::encoding how{.positions = model.positions(), .bos = tokenizer.bos().has_value()};
  const std::size_t most =
      std::min<std::size_t>(256, how.positions / 2);  // the harness's 256 in a model that has room
  eval::answer_end end{.max_tokens = most, .texts = {"Question:", "</s>", "<|im_end|>"}};
  if (const auto eos = tokenizer.eos()) end.tokens = {*eos};
  std::size_t strict = 0, flexible = 0;
  task_result result;
  for (const tasks::answer_item& item : items) {
    bool is_cut = false;
    const auto prompt = eval::encode_prompt_request(tokenizer, item.prompt, how, end.max_tokens, is_cut);
    const std::string answer = model.answer(tokenizer, prompt, end), gold = eval::comparable_number(item.answers[0]);
    strict += eval::comparable_number(eval::strict_number(answer)) == gold;
    flexible += eval::comparable_number(eval::flexible_number(answer)) == gold;
    result.cut += is_cut;
    if (keeps_samples)
      result.samples.push_back({{"doc_id", result.samples.size()},
                                {"arguments", {item.prompt}},
                                {"target", item.answers[0]},
                                {"answer", answer}});
  }
  result.metrics = {{"exact_match", "strict-match", eval::proportion_of(strict, items.size())},
                    {"exact_match", "flexible-extract", eval::proportion_of(flexible, items.size())}};
  return result;
}

task_result run_task(asked_model& model, const tokenizer_file& tokenizer, const tasks::found_benchmark& task,
                     const settings& s) {
  const tasks::benchmark_items all = tasks::read_benchmark(task, shots_of(*task.what, s), s.limit);
  return std::visit(
      [&]<class Item>(const std::vector<Item>& items) {
        if constexpr (std::is_same_v<Item, tasks::answer_item>)
          return answer_all(model, tokenizer, items, !s.samples.empty());
        else
          return choose_all(model, tokenizer, items, task.what->normalized, !s.samples.empty());
      },
      all);
}

void print_task(const std::string& name, const task_result& result, std::size_t shots) {
  fmt::print("{}:", name);
  for (const metric& m : result.metrics)
    fmt::print(" {}{} {:.4f} ± {:.4f} ", m.name, m.filter == "none" ? "" : "," + m.filter, m.of_items.value,
               m.of_items.standard_error);
  fmt::print(" {}, {}, chance {:.4f}", plural(result.metrics.front().of_items.items, "item"), plural(shots, "shot"),
             result.chance);
  if (result.cut > 0) fmt::print("; {} longer than the model reads, without their beginning", result.cut);
  fmt::print("\n");
  std::fflush(stdout);
}

/// Writes a text so that a file is there whole or not at all.
void write_whole(const std::string& text, const std::string& path) {
  io::atomic_file file(path);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

/// The metrics of a task under the names that the harness gives them.
io::json json_of(const std::string& name, const task_result& result) {
  io::json object = {{"alias", name}, {"chance", result.chance}, {"cut", result.cut}};
  for (const metric& m : result.metrics) {
    object[m.name + "," + m.filter] = m.of_items.value;
    object[m.name + "_stderr," + m.filter] = m.of_items.standard_error;
  }
  return object;
}

/// The result of a group: that of all items of its parts.
task_result joined(const std::vector<task_result>& parts) {
  task_result all = parts.front();
  for (std::size_t m = 0; m != all.metrics.size(); ++m) {
    std::vector<eval::proportion> of_parts;
    for (const task_result& part : parts) of_parts.push_back(part.metrics[m].of_items);
    all.metrics[m].of_items = eval::pooled(of_parts);
  }
  const auto items = static_cast<double>(all.metrics.front().of_items.items);
  all.chance = 0, all.cut = 0;
  for (const task_result& part : parts) {
    all.chance += part.chance * static_cast<double>(part.metrics.front().of_items.items) / items;
    all.cut += part.cut;
  }
  return all;
}

}  // namespace

void require_evaluable(const settings& s) {
  require(!s.eval.empty() || !s.tasks.empty(), "eval: give it a text, as --eval FILE, or --tasks");
  require(s.teacher.empty() || !s.eval.empty(),
          "--teacher {}: the models are compared on a text; name one as --eval FILE", s.teacher);
  require(s.samples.empty() || !s.tasks.empty(), "--samples {}: there are questions in --tasks alone", s.samples);
  std::vector<named_file> inputs;
  for (const auto& [option, path] : std::initializer_list<named_file>{
           {"--model", s.model}, {"--teacher", s.teacher}, {"--tokenizer", s.tokenizer_path()}, {"--eval", s.eval}})
    std::ranges::copy(files_at(option, path), std::back_inserter(inputs));
  if (!s.tasks.empty())
    for (const tasks::found_benchmark& task : found_tasks(s)) {
      static_cast<void>(
          tasks::read_benchmark(task, shots_of(*task.what, s), s.limit));  // throws for a file that fails
      inputs.push_back({"--tasks", task.scored});
      if (task.examples) inputs.push_back({"--tasks", *task.examples});
    }
  const std::array<named_file, 2> outputs{{{"--report", s.report}, {"--samples", s.samples}}};
  require_apart(outputs, inputs);
  require_writable(outputs);
}

io::json evaluate_tasks(asked_model& model, const tokenizer_file& tokenizer, const settings& s) {
  io::json found = io::json::object();
  const auto add = [&](const char* kind, const tasks::benchmark& what, const std::string& name,
                       const task_result& result) {
    print_task(name, result, shots_of(what, s));
    found[kind][name] = json_of(name, result);
    found["versions"][name] = what.version;
    found["n-shot"][name] = shots_of(what, s);
    found["n-samples"][name]["effective"] = result.metrics.front().of_items.items;
  };
  std::map<const tasks::benchmark*, std::vector<task_result>> groups;
  std::string samples;
  for (const tasks::found_benchmark& task : found_tasks(s)) {
    const task_result result = run_task(model, tokenizer, task, s);
    add("results", *task.what, task.name, result);
    for (io::json sample : result.samples) {
      sample["task"] = task.name;
      samples += sample.dump(-1, ' ', false, io::json::error_handler_t::replace) + "\n";
    }
    if (task.is_part()) groups[task.what].push_back(result);
  }
  for (const auto& [what, parts] : groups)
    if (parts.size() > 1) add("groups", *what, std::string(what->name), joined(parts));
  if (!s.samples.empty()) write_whole(samples, s.samples);
  return found;
}

io::json print_divergence(std::span<const eval::token_divergence> tokens) {
  const eval::divergence_summary all = eval::summarize(tokens);
  io::json found = {{"tokens", all.tokens}};
  const auto show = [&](const char* name, const char* key, const eval::estimate_of_mean& figure) {
    fmt::print("{}: {:10.6f} ± {:10.6f}\n", name, figure.value, figure.uncertainty);
    found[key] = {{"value", figure.value}, {"uncertainty", figure.uncertainty}};
  };
  const auto show_percent = [&](const char* name, const char* key, const eval::estimate_of_mean& figure) {
    fmt::print("{}: {:6.3f} ± {:5.3f} %\n", name, 100 * figure.value, 100 * figure.uncertainty);
    found[key] = {{"value", figure.value}, {"uncertainty", figure.uncertainty}};
  };
  const auto show_percentiles = [&](const char* of, const char* key, std::span<const double> ascending,
                                    std::initializer_list<double> percents, auto&& print) {
    for (const double percent : percents) {
      const double value = eval::percentile(ascending, percent / 100);
      const std::string name = percent == 100  ? "Maximum"
                               : percent == 50 ? "Median "
                               : percent == 0  ? "Minimum"
                                               : fmt::format("{:4.1f}%  ", percent);
      print(name + " " + of, value);
      found[key][fmt::format("{:g}", percent)] = value;
    }
  };
  fmt::print("====== Perplexity statistics ======\n");
  show("Mean PPL(Q)                   ", "perplexity", all.perplexity);
  show("Mean PPL(base)                ", "reference_perplexity", all.reference_perplexity);
  fmt::print("Cor(ln(PPL(Q)), ln(PPL(base))): {:6.2f}%\n", 100 * all.correlation);
  found["correlation"] = all.correlation;
  show("Mean ln(PPL(Q)/PPL(base))     ", "log_ratio", all.log_ratio);
  show("Mean PPL(Q)/PPL(base)         ", "ratio", all.ratio);
  show("Mean PPL(Q)-PPL(base)         ", "difference", all.difference);
  fmt::print("\n====== KL divergence statistics ======\n");
  show("Mean    KLD", "divergence", all.divergence);
  show_percentiles("KLD", "divergence_percentiles", all.divergences, {100, 99.9, 99, 95, 90, 50, 10, 5, 1, 0.1, 0},
                   [](const std::string& name, double value) { fmt::print("{}: {:10.6f}\n", name, value); });
  fmt::print("\n====== Token probability statistics ======\n");
  show_percent("Mean    Δp", "probability_difference", all.probability_difference);
  show_percentiles("Δp", "probability_difference_percentiles", all.probability_differences,
                   {100, 99.9, 99, 95, 90, 75, 50, 25, 10, 5, 1, 0.1, 0},
                   [](const std::string& name, double value) { fmt::print("{}: {:6.3f}%\n", name, 100 * value); });
  show_percent("RMS Δp    ", "probability_difference_rms", all.probability_difference_rms);
  show_percent("Same top p", "same_top", all.same_top);
  return found;
}

void write_found(const io::json& found, const settings& s) {
  if (s.report.empty()) return;
  write_whole(found.dump(2) + "\n", s.report);
}

}  // namespace zoqat::programs
