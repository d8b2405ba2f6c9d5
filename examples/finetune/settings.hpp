// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>              // require
#include <zoqat/eval/score.hpp>              // default_part_tokens
#include <zoqat/nn/storage_plan.hpp>         // storage_plan
#include <zoqat/params/compact_masters.hpp>  // master_format_names
#include <zoqat/zo/log/run_log.hpp>          // log_options

#include <common/settings_text.hpp>  // parts_of, folder_of_model, text_of

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace zoqat::programs {

inline constexpr const char* lightweight = "*.q_proj,*.v_proj";
inline constexpr const char* only_lora = "lora";      // adapters beside frozen layers
inline constexpr const char* only_prefix = "prefix";  // keys and values before every sequence
inline constexpr const char* only_scales = "scales";  // step sizes of packed layers
inline constexpr const char* only_norms = "norms";    // gains and biases of norms
inline constexpr const char* only_biases = "biases";  // biases of linear layers and norms
inline constexpr const char* mezo = "MeZO";           // the row of full-precision ZO
inline constexpr const char* log_ending = ".zlog";    // of the files that a run writes
inline constexpr const char* model_ending = ".safetensors";

struct settings {
  // What makes a run: kept in its log, so that it can be made again.
  std::string model = ZOQAT_MODELS "/tiny-llama", tokenizer, task, train, test, scheme = "w4a4";
  std::string chat = "template";
  std::string start = "smoothquant", masters = "fp32", embeddings = "fp32", optimizer = "parabolic";
  std::size_t train_items = 1000, validation_items = 500, test_items = 1000, calibration = 128;
  std::size_t batch = 32, length = 256, part_tokens = eval::default_part_tokens;
  std::uint32_t steps = 300, every = 50, micro_batches = 2;
  float epsilon = 1e-3f, rate = 5e-7f;
  double elevation = 0.4, smooth_elevation = 0.01, trust = 0.3, final_rate = 0;
  // What makes a run where adapters train, likewise.
  std::string lora_layers = lightweight;
  std::size_t lora_rank = 8;
  float lora_alpha = 16;
  std::size_t prefix_tokens = 5;
  // Which runs there are, and what becomes of them.
  std::vector<std::uint64_t> seeds{0};
  std::vector<std::string> trains{lightweight, "*"};
  bool only_zeroqat = false, overwrite = false, resume = false, snapshot = false;
  double sync_every = 1;
  std::string output = "finetuned", report;
  std::size_t threads = 0;

  /// Calls f(name, member, help) for everything that makes a run.
  template <class Settings, class F>
  static void for_each(Settings& s, F&& f) {
    f("model", s.model, "folder with config.json, .safetensors file or llama2.c .bin file, of LLaMA or OPT");
    f("tokenizer", s.tokenizer, "folder or file of the tokenizer; by default the model's folder");
    f("task", s.task,
      "sst2, cb, choices (lines of {prompt, choices, correct}), squad, drop, alpaca, or chat (conversations, of "
      "which "
      "what the assistant says is learned)");
    f("chat", s.chat, "how conversations are written: chatml, llama3, alpaca, or as the model's chat template does");
    f("train", s.train, "the task's file to draw training and validation items from");
    f("test", s.test, "and to test on");
    f("scheme", s.scheme, "what is quantized");
    f("start", s.start,
      "smoothquant; reconstructed: clipping and codes block by block (section 4.1), for w2a16g128; "
      "or rtn, loaded tensor by tensor, so that the base is never in memory whole");
    f("masters", s.masters, "of the weights that train: fp32, bf16 or int8");
    f("embeddings", s.embeddings, "of tokens and positions, which do not train: the same");
    f("train-items", s.train_items, "items to train with (appendix C.3)");
    f("validation-items", s.validation_items, "items to choose the best step by");
    f("test-items", s.test_items, "items to test with, at most");
    f("calibration", s.calibration, "training items that SmoothQuant and the reconstruction see");
    f("batch", s.batch, "items per step (MeZO: 16)");
    f("length", s.length, "tokens of a prompt with its answer, at most the model's positions");
    f("part-tokens", s.part_tokens, "tokens that go through the model at once");
    f("steps", s.steps, "steps of a training (Table C.1: 8,000 for models of billions)");
    f("every", s.every, "steps between validations");
    f("micro-batches", s.micro_batches, "parts of a batch whose agreement measures the signal");
    f("optimizer", s.optimizer, "parabolic: epsilon and rate from measured curvature; sgd: from the options below");
    f("elevation", s.elevation, "parabolic: what a perturbation adds to the loss, relative to it");
    f("smooth-elevation", s.smooth_elevation, "the same in full precision, where no rounding hides small ones");
    f("trust", s.trust, "parabolic: part of the way to the bottom of the parabola");
    f("final-rate", s.final_rate, "part of the rate that a linear fall leaves at the end; 1: constant (Table C.1)");
    f("epsilon", s.epsilon, "sgd: perturbation of weights (Table C.1: 1e-3)");
    f("rate", s.rate, "sgd: learning rate of weights (Table C.1: 5e-7, for models of billions)");
  }

  /// Calls f(what, name, member, help) for what makes a run in which `what` trains, beside all that makes any run.
  template <class Settings, class F>
  static void for_each_beside(Settings& s, F&& f) {
    f(only_lora, "lora-layers", s.lora_layers, "layers that get an adapter: patterns of their names, by commas");
    f(only_lora, "lora-rank", s.lora_rank, "rows of A and columns of B");
    f(only_lora, "lora-alpha", s.lora_alpha, "the product of B and A counts alpha / rank times");
    f(only_prefix, "prefix-tokens", s.prefix_tokens,
      "tokens of the prefix, which starts as those of a training item");
  }
  [[nodiscard]] bool trains_prefix() const { return std::ranges::find(trains, only_prefix) != trains.end(); }
  /// Whether a choice of --trains is of layers, by patterns, or of what is named above.
  [[nodiscard]] static bool names_layers(const std::string& choice) {
    return std::ranges::none_of(std::array{only_lora, only_prefix, only_scales, only_norms, only_biases},
                                [&](const char* name) { return choice == name; });
  }

  /// Patterns of the layers that train, of what stands in --trains.
  [[nodiscard]] static std::string trained_of(const std::string& choice) {
    return choice == "full" ? "*" : choice == "lightweight" ? lightweight : choice;
  }
  /// What a run's log keeps of its settings.
  [[nodiscard]] std::string as_text(const std::string& trained) const {
    std::string text = fmt::format("trains={}\n", trained) + text_of(*this);
    for_each_beside(*this, [&](const char* what, const char* name, const auto& value, const auto&) {
      if (trained == what) text += fmt::format("{}={}\n", name, value);
    });
    return text;
  }
  [[nodiscard]] std::filesystem::path tokenizer_path() const {
    return tokenizer.empty() ? folder_of_model(model) : std::filesystem::path(tokenizer);
  }
  /// The row of the table for a model of which the layers `trained` train.
  [[nodiscard]] static std::string row_of(const std::string& trained) {
    return "zeroqat " + (trained == lightweight ? "lightweight" : trained == "*" ? "full" : trained);
  }
  /// Where the files of a run go, but for their endings.
  [[nodiscard]] std::string path(const std::string& row, std::uint64_t seed) const {
    std::filesystem::path of_model = std::filesystem::weakly_canonical(model).lexically_normal();
    if (std::filesystem::is_regular_file(of_model)) of_model.replace_extension();
    std::string name =
        fmt::format("{}-{}-{}-{}-{}-{}-{}", task, of_model.filename().native(), scheme, start, masters, row, seed);
    for (const char special : {' ', '*', ',', '?', '/'}) std::ranges::replace(name, special, '_');
    return (std::filesystem::path(output) / name).native();
  }
  /// How the logs are written.
  [[nodiscard]] zo::log_options log_how() const {
    return {.replace = overwrite, .sync_every = std::chrono::milliseconds(std::llround(1000 * sync_every))};
  }
  /// What a model keeps in memory of which `trained` trains: layers, or what is named above.
  [[nodiscard]] nn::storage_plan plan(const std::string& trained, std::uint64_t seed) const {
    const auto format = [](const std::string& name) {
      return static_cast<master_format>(std::ranges::find(master_format_names, name) - master_format_names.begin());
    };
    nn::storage_plan plan{.trained = {}, .masters = format(masters), .embeddings = format(embeddings)};
    plan.norms = trained == only_norms;
    plan.biases = trained == only_biases;
    plan.steps = trained == only_scales;
    if (trained == only_lora)
      plan.adapters = {.layers = parts_of(lora_layers), .rank = lora_rank, .alpha = lora_alpha, .seed = seed};
    else if (names_layers(trained))
      plan.trained = parts_of(trained);
    return plan;
  }
};

}  // namespace zoqat::programs
