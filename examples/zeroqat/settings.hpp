// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>        // require
#include <zoqat/io/file_kind.hpp>      // has_extension
#include <zoqat/params/parameter.hpp>  // per_group, parameter_group_names
#include <zoqat/ptq/stage.hpp>         // stage, stage_names
#include <zoqat/zo/direction.hpp>      // runtime_distribution
#include <zoqat/zo/log/run_log.hpp>    // log_options

#include <common/settings_text.hpp>  // parts_of, folder_of_model, start_path_of

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace zoqat::programs {

[[nodiscard]] inline bool is_gguf(const std::filesystem::path& path) { return io::has_extension(path, ".gguf"); }

/// The group of parameters that --train calls so.
[[nodiscard]] inline parameter_group group_named(const std::string& name) {
  const auto found = std::ranges::find(parameter_group_names, name);
  require(found != parameter_group_names.end(), "--train: there is no parameter group '{}'; there are {}", name,
          fmt::join(parameter_group_names, ", "));
  return all_parameter_groups[static_cast<std::size_t>(found - parameter_group_names.begin())];
}

struct settings {
  // What makes a run: kept in its log, so that it can be made again.
  std::string model = ZOQAT_MODELS "/tiny-llama", tokenizer, text, eval;
  std::string scheme = "w4a4", start = "codes", optimizer = "parabolic", loss = "teacher", direction = "rademacher",
              scales = "balanced", clip_metric = "inputs", gptq_order = "activations", gptq_grids = "clipped",
              output_metric = "identity", keep = "best", text_field = "text", chat = "template",
              unused_tensors = "refused", teacher, weights = "*.q_proj,*.v_proj", layers = "*";
  std::string train = "smoothing,score_scale,step_tensor,step_row,step_column,step_group,norm,norm_scale";
  std::uint64_t seed = 0;
  std::size_t length = 256, calibration = 256, sampled = 512, batch = 4, min_characters = 200;
  std::uint32_t steps = 600, micro_batches = 2, directions = 1, validate_every = 100, transform_steps = 100;
  float smoothing_alpha = 0.5f, clip = 0, epsilon = 1e-3f;
  float weight_rate = 5e-7f, smoothing_rate = 5e-6f, clipping_rate = 1e-5f;
  double elevation = 0.05, trust = 0.6, gptq_damping = 0.01;
  // What does not change its result.
  std::string log, output, report, metrics, prompt = "Once upon a time";
  std::string tasks, task_data = ".", samples;
  std::optional<std::size_t> shots;
  std::size_t limit = 0;
  std::size_t threads = 0, count = 200;
  std::uint32_t evaluate_every = 0;
  float temperature = 0, top_p = 1;
  bool resume = false, reads_log = false, overwrite = false, allow_partial = false, allow_worse = false,
       snapshot = false;
  double sync_every = 1;

  /// Calls f(name, member, help) for everything that makes a run.
  template <class Settings, class F>
  static void for_each(Settings& s, F&& f) {
    f("model", s.model, "folder with config.json, .safetensors, .gguf or llama2.c .bin file");
    f("unused-tensors", s.unused_tensors, "tensors of the model's files that it does not use: refused or ignored");
    f("tokenizer", s.tokenizer, "folder or file of the tokenizer; by default the model's folder, or its .gguf file");
    f("text", s.text,
      "text to calibrate and train on, plain or in records (.json, .jsonl); without it the model writes its own");
    f("eval", s.eval, "text to evaluate on, likewise; without it a part of the training text is held out");
    f("text-field", s.text_field, "what holds the text of a record");
    f("chat", s.chat, "how conversations are written: chatml, llama3, alpaca, or as the model's chat template does");
    f("min-characters", s.min_characters, "documents of a plain text that have no more are left out");
    f("scheme", s.scheme, "what is quantized");
    f("teacher", s.teacher, "stored: a model to learn from, such as the one that the file was made of");
    f("start", s.start,
      "ranges (clipping by reconstruction) or codes (codes and steps too); or what these are measured against: rtn, "
      "clip (ranges of the least error), smoothquant, os+ (Outlier Suppression+), gptq, rptq (channels of inputs by "
      "range), omniquant (its clipping and smoothing, fitted by forward passes)");
    f("clip-metric", s.clip_metric, "clip: error of weights alike, or by the size of their inputs");
    f("gptq-order", s.gptq_order, "gptq: largest activations first, with static groups; or columns as they come");
    f("gptq-grids", s.gptq_grids,
      "gptq: clipped as --start clip --clip-metric weights does, or the range of the weights");
    f("gptq-damping", s.gptq_damping, "gptq: of the moments, relative to their mean diagonal");
    f("transform-steps", s.transform_steps, "omniquant: zeroth-order steps of each block");
    f("output-metric", s.output_metric,
      "codes: metric of the residual stream in which the rows of a matrix are rounded together: identity, head, "
      "recursive (by forward passes of each block); none: each row on its own");
    f("train", s.train,
      "parameter groups that train, by commas; weight and clipping too, from the starts rtn and ranges");
    f("weights", s.weights,
      "stored: layers whose weights train on the grids of their blocks where --train names weight, by commas");
    f("layers", s.layers,
      "linear layers that train, by commas; all others are packed as the start leaves them. The lightweight variant "
      "is *.q_proj,*.v_proj");
    f("loss", s.loss, "teacher: KL from the full-precision model; text: cross-entropy");
    f("optimizer", s.optimizer, "parabolic: epsilon and rate from measured curvature; sgd: from the options below");
    f("direction", s.direction, "rademacher or gaussian");
    f("seed", s.seed, "of directions, calibration and data order, and sampled text");
    f("length", s.length, "tokens in a chunk, at most the model's positions");
    f("calibration", s.calibration, "chunks drawn for smoothing and reconstruction");
    f("sampled", s.sampled, "chunks the model writes where there is no --text; an eighth more to evaluate on");
    f("batch", s.batch, "chunks per step (Table C.1: 4)");
    f("steps", s.steps, "steps, with a rate that falls linearly to zero (Table C.1: 10,000 for models of billions)");
    f("micro-batches", s.micro_batches,
      "parts of a batch whose agreement measures the signal; each is one forward pass");
    f("keep", s.keep,
      "best: the step that is best on held-out training text, the start among them; last: the last one");
    f("validate-every", s.validate_every, "steps between looks at the held-out training text");
    f("directions", s.directions, "directions averaged per step (q in eq. 2)");
    f("smoothing-alpha", s.smoothing_alpha, "SmoothQuant's exponent");
    f("elevation", s.elevation, "parabolic: what all perturbations together add to the loss, relative to it");
    f("scales", s.scales,
      "parabolic: balanced, so that all groups raise the loss alike, or least-error, so that the gradient is "
      "estimated best");
    f("trust", s.trust, "parabolic: part of the way to the bottom of the parabola");
    f("clip", s.clip, "bound on |L+ - L-| / 2, 0 for none");
    f("epsilon", s.epsilon, "sgd: perturbation (Table C.1: 1e-3 to 1e-4); for weights in step sizes");
    f("weight-rate", s.weight_rate, "sgd: learning rate of weights (Table C.1: 5e-7)");
    f("smoothing-rate", s.smoothing_rate, "sgd: learning rate of smoothing (Table C.1: 5e-6)");
    f("clipping-rate", s.clipping_rate, "sgd: learning rate of clipping and step sizes (Table C.1: 1e-5)");
  }

  [[nodiscard]] std::filesystem::path tokenizer_path() const {
    if (!tokenizer.empty()) return tokenizer;
    const std::filesystem::path path = model;
    return is_gguf(path) ? path : folder_of_model(path);
  }
  /// Whether the matrices of a .gguf file stay in its types.
  [[nodiscard]] bool trains_stored() const { return scheme == stored_scheme; }
  static constexpr std::string_view stored_scheme = "stored";
  /// What ptq::prepare does for --start.
  [[nodiscard]] ptq::stage stage() const {
    if (start == omniquant) return ptq::stage::smoothquant;
    return static_cast<ptq::stage>(std::ranges::find(ptq::stage_names, start) - ptq::stage_names.begin());
  }
  static constexpr std::string_view omniquant = "omniquant";
  /// The file beside the log with the start of its run.
  [[nodiscard]] std::string start_path() const { return start_path_of(log); }
  /// How its log is written.
  [[nodiscard]] zo::log_options log_how() const {
    return {.replace = overwrite, .sync_every = std::chrono::milliseconds(std::llround(1000 * sync_every))};
  }
  [[nodiscard]] zo::runtime_distribution distribution() const { return {direction == "gaussian"}; }
  [[nodiscard]] per_group<bool> trained() const {
    per_group<bool> groups;
    for (const std::string& name : parts_of(train)) groups[group_named(name)] = true;
    return groups;
  }
  /// One value for each group that trains, 0 for the others.
  template <class F>
  [[nodiscard]] per_group<float> of_trained(F&& value) const {
    per_group<float> result;
    for (const parameter_group group : all_parameter_groups) result[group] = trained()[group] ? value(group) : 0.0f;
    return result;
  }
  [[nodiscard]] per_group<float> rates() const {
    return of_trained([&](parameter_group group) {
      if (group == parameter_group::weight) return weight_rate;
      return group == parameter_group::smoothing || group == parameter_group::score_scale ? smoothing_rate
                                                                                          : clipping_rate;
    });
  }
};

}  // namespace zoqat::programs
