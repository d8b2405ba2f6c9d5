// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/gguf/file.hpp>        // gguf::file
#include <zoqat/io/load.hpp>             // load
#include <zoqat/io/quantized_model.hpp>  // load_quantized
#include <zoqat/nn/generate.hpp>         // generator
#include <zoqat/random/stream.hpp>       // engine

#include <zeroqat/scheme.hpp>
#include <zeroqat/tasks.hpp>
#include <zeroqat/workbench.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace zoqat::programs {

/// The base model at `s.model`, or the trained one of a quantized scheme.
template <class Scheme, class Family>
model_of<Family, Scheme> load_model(const settings& s) {
  if constexpr (std::is_same_v<Scheme, quant::full_precision>)
    return io::load<teacher_model<Family>>(open_base_model(s.model, s.unused_tensors == "ignored"));
  else
    return io::load_quantized<model_of<Family, Scheme>>(open_trained_model(s.model));
}

/// Weights of a GGUF file and the bytes that they take there.
struct file_weights {
  std::size_t weights = 0, bytes = 0;
  [[nodiscard]] double bits() const noexcept { return 8 * static_cast<double>(bytes) / static_cast<double>(weights); }
};
[[nodiscard]] inline file_weights bytes_of_gguf(const std::filesystem::path& path) {
  const io::gguf::file file(path);
  file_weights all;
  for (const io::gguf::tensor& t : file.tensors()) {
    all.weights += *io::checked_product(t.shape);
    all.bytes += t.data.size();
  }
  return all;
}

/// Perplexity of a model on the text of `s`, and how far it is from the model at `s.teacher` if there is one.
template <class Family, class Model>
[[nodiscard]] io::json evaluate_text(Model& model, const settings& s, const tokenizer_file& tokenizer,
                                     thread_pool& threads, nn::workspace& work) {
  const eval::chunks corpus = read_corpus(s.eval, s, tokenizer, std::min(s.length, model.shape().positions));
  std::optional<teacher_model<Family>> teacher;
  if (!s.teacher.empty()) {
    const io::model_source from = open_base_model(s.teacher, s.unused_tensors == "ignored");
    require_teacher_of(from.shape(), model.shape(), s);
    teacher.emplace(io::load<teacher_model<Family>>(from));
  }
  const nn::token_loss loss = eval::cross_entropy(model, corpus, threads, work);
  const bool in_blocks = is_gguf(s.model);  // the model in memory has their values as floats
  fmt::print("perplexity {:.4f}  loss {:.17g}  tokens {}  weight bytes {}{}\n", std::exp(loss.mean()), loss.mean(),
             loss.tokens, in_blocks ? bytes_of_gguf(s.model).bytes : model.weight_bytes(),
             in_blocks ? fmt::format("  bits per weight {:.3f}", bytes_of_gguf(s.model).bits()) : "");
  io::json found = {{"perplexity", std::exp(loss.mean())}, {"loss", loss.mean()}, {"tokens", loss.tokens}};
  if (teacher)
    found["against_teacher"] = print_divergence(eval::token_divergences(model, *teacher, corpus, threads, work));
  return found;
}

template <class Scheme, class Family>
void evaluate_model(const settings& s) {
  auto model = load_model<Scheme, Family>(s);
  thread_pool threads(s.threads);
  nn::workspace work;
  const tokenizer_file tokenizer = open_tokenizer(s, model.shape().vocabulary);
  io::json found = {{"model", s.model}};
  if (!s.eval.empty()) found["text"] = evaluate_text<Family>(model, s, tokenizer, threads, work);
  if (!s.tasks.empty()) {
    asked<model_of<Family, Scheme>> asked_of(model, threads, work);
    found.update(evaluate_tasks(asked_of, tokenizer, s));
  }
  write_found(found, s);
}

/// Prints the text of tokens as they come: what can no longer change when more of them follow.
class printed_text {
 public:
  explicit printed_text(const tokenizer_file& tokenizer) : tokenizer_(tokenizer) {}

  void add(nn::token t) {
    if (t >= tokenizer_.size()) return;  // fills the model's vocabulary up, and has no text
    tokens_.push_back(t);
    const std::string text = tokenizer_.decode(tokens_);
    const std::size_t whole = whole_characters(text);
    if (whole > printed_) fmt::print("{}", std::string_view(text).substr(printed_, whole - printed_));
    printed_ = std::max(printed_, whole);
    std::fflush(stdout);
  }

 private:
  /// Where the last character begins if its bytes are not all there.
  static std::size_t whole_characters(std::string_view text) {
    std::size_t last = text.size();
    for (std::size_t i = 1; i <= std::min<std::size_t>(4, text.size()); ++i) {
      const auto byte = static_cast<unsigned char>(text[text.size() - i]);
      if ((byte & 0xC0) == 0x80) continue;
      const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
      if (length > i) last = text.size() - i;
      break;
    }
    return last;
  }

  const tokenizer_file& tokenizer_;
  std::vector<nn::token> tokens_;
  std::size_t printed_ = 0;
};

template <class Scheme, class Family>
void generate_text(const settings& s) {
  auto model = load_model<Scheme, Family>(s);
  thread_pool threads(s.threads);
  const tokenizer_file tokenizer = open_tokenizer(s, model.shape().vocabulary);
  nn::generator generate(model, threads);
  rng::engine random({.seed = s.seed, .use = rng::purpose::sampling});
  const auto prompt = tokenizer.encode(s.prompt, true);
  require(!prompt.empty(), "--prompt: it has no tokens, and this tokenizer puts none in front; give some text");
  printed_text text(tokenizer);
  for (const nn::token t : prompt) text.add(t);
  generate(
      prompt, s.count, {s.temperature, s.top_p}, random,
      [&](nn::token t) { return t == tokenizer.bos() || t == tokenizer.eos(); }, [&](nn::token t) { text.add(t); });
  fmt::print("\n");
}

}  // namespace zoqat::programs
