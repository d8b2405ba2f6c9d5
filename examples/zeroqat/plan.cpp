// SPDX-License-Identifier: Apache-2.0
#include <zeroqat/plan.hpp>

#include <zoqat/zo/log/run_log.hpp>  // run_log

#include <common/plan.hpp>  // require_within, require_writable, require_no_other_start

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::programs {

namespace {

/// Throws where --output has the name of what the scheme does not write.
void require_kind_of_output(const settings& s) {
  require(s.output.empty() || !s.trains_stored() || is_gguf(s.output),
          "--output {}: --scheme stored writes the .gguf file again; name one", s.output);
  require(
      s.trains_stored() || !is_gguf(s.output),
      "--output {}: under --scheme {} it is a .safetensors file, of which `zeroqat export` makes a .gguf file; or "
      "take --scheme stored, under which a .gguf file stays in its types",
      s.output, s.scheme);
}

/// What --scheme stored asks of the other options.
void require_sensible_stored(const settings& s) {
  require(is_gguf(s.model),
          "--scheme stored: --model {} is no .gguf file, whose types a model could stay in; take another scheme",
          s.model);
  require(s.loss == "text" || !s.teacher.empty(),
          "--loss {}: a file in its own types is its own teacher, from which it learns nothing; give it a --teacher, "
          "such as the model that it was made of, or take --loss text",
          s.loss);
  require(!s.text.empty() || !s.teacher.empty(), "--scheme stored: give it a --text to learn from, or a --teacher");
  const per_group<bool> trained = s.trained();
  require(trained.weight || trained.step_tensor || trained.step_row || trained.step_column || trained.step_group ||
              trained.norm || trained.norm_scale,
          "--train {}: --scheme stored trains norm, norm_scale, step_tensor, step_row, step_column, step_group and "
          "weight; name some of these",
          s.train);
}

/// What a scheme that packs the model in its own way asks of them.
void require_sensible_packed(const settings& s) {
  require(
      s.teacher.empty(),
      "--teacher {}: under --scheme {} the model in full precision is the teacher; leave it out, or take --scheme "
      "stored",
      s.teacher, s.scheme);
  const per_group<bool> trained = s.trained();
  require((s.start != "codes" && s.start != "gptq") || !(trained.weight || trained.clipping),
          "--train {}: --start {} holds codes and ranges where they are, so neither weight nor clipping moves from "
          "there; leave them out, or take --start ranges or rtn",
          s.train, s.start);
}

}  // namespace

void require_sensible(const settings& s) {
  constexpr double any = 1e9;
  require_within("--length", static_cast<double>(s.length),
                 {2, any});  // a token that begins a text and one to predict
  require_within("--sampled", static_cast<double>(s.sampled), {8, any});
  require_within("--calibration", static_cast<double>(s.calibration), {1, any});
  require_within("--batch", static_cast<double>(s.batch), {1, any});
  require_within("--micro-batches", s.micro_batches, {1, static_cast<double>(s.batch)});
  require_within("--directions", s.directions, {1, 1e6});
  require_within("--steps", s.steps, {0, any});
  require_within("--smoothing-alpha", static_cast<double>(s.smoothing_alpha), {0, 1});
  require_within("--gptq-damping", s.gptq_damping, {0, 1});
  require_within("--transform-steps", s.transform_steps, {0, any});
  require_within("--elevation", s.elevation, {0, 10, true});
  require_within("--trust", s.trust, {0, 2, true});  // twice the way to the bottom is as high on the other side
  require_within("--clip", static_cast<double>(s.clip), {0, 1e6});
  require_within("--epsilon", static_cast<double>(s.epsilon), {0, 10, true});
  require_within("--weight-rate", static_cast<double>(s.weight_rate), {0, 1e3});
  require_within("--smoothing-rate", static_cast<double>(s.smoothing_rate), {0, 1e3});
  require_within("--clipping-rate", static_cast<double>(s.clipping_rate), {0, 1e3});
  if (s.trains_stored())
    require_sensible_stored(s);
  else
    require_sensible_packed(s);
  if (!s.text.empty()) return;
  const std::size_t held = s.keep == "best" && s.steps > 0 ? std::min<std::size_t>(128, s.sampled / 8) : 0;
  require(s.batch <= s.sampled - held, "--batch {}: the model writes only {} chunks to train on; give more --sampled",
          s.batch, s.sampled - held);
}

run_inputs inputs_of(const settings& s) {
  run_inputs inputs =
      inputs_of_run(s.model, s.tokenizer_path(), std::array<named_file, 2>{{{"--text", s.text}, {"--eval", s.eval}}});
  if (!s.teacher.empty()) inputs["teacher"] = inputs_of_run(s.teacher, s.tokenizer_path(), {}).at("model");
  return inputs;
}

void require_outputs(const settings& s) {
  require_kind_of_output(s);
  const std::array<named_file, 5> outputs{{{"--output", s.output},
                                           {"--report", s.report},
                                           {"--metrics", s.metrics},
                                           {"--snapshot", s.snapshot ? s.start_path() : ""},
                                           {"--log", s.log}}};
  std::vector<named_file> inputs;
  for (const auto& [option, path] : std::initializer_list<named_file>{{"--model", s.model},
                                                                      {"--teacher", s.teacher},
                                                                      {"--tokenizer", s.tokenizer_path()},
                                                                      {"--text", s.text},
                                                                      {"--eval", s.eval}})
    std::ranges::copy(files_at(option, path), std::back_inserter(inputs));
  require_apart(outputs, inputs);
  require_writable(std::span(outputs).first(4));
  if (s.resume) {
    zo::run_log::require_resumable(s.log);
    return require_same_inputs(zo::run_log::read_intact(s.log), inputs_of(s));
  }
  if (s.log.empty() || s.reads_log) return;
  zo::run_log::require_creatable(s.log, s.log_how());
  require_no_other_start(s.log, s.snapshot, s.overwrite);
}

void require_groups(const per_group<bool>& there, const settings& s) {
  std::vector<std::string> has, lacks;
  for (const std::string& name : parts_of(s.train)) (there[group_named(name)] ? has : lacks).push_back(name);
  std::vector<std::string_view> all;
  for (const parameter_group group : all_parameter_groups)
    if (there[group]) all.push_back(parameter_group_names[static_cast<std::size_t>(group)]);
  require(!has.empty(), "--train '{}': the model has nothing of that to train under --scheme {}, but {}; name some",
          s.train, s.scheme, fmt::join(all, ", "));
  if (!lacks.empty() && s.train != settings().train)
    fmt::print(stderr, "--train {}: the model has no {} under --scheme {}, only {}\n", s.train,
               fmt::join(lacks, ", "), s.scheme, fmt::join(all, ", "));
}

void require_space_for(const settings& s, std::uintmax_t output, std::uintmax_t start) {
  const std::uintmax_t log = s.reads_log ? 0 : std::uintmax_t{s.steps} * zo::run_log::record_bytes(s.directions);
  require_space(std::array<output_size, 3>{{{"--output", s.output, output},
                                            {"--log", s.reads_log ? "" : s.log, log},
                                            {"--snapshot", s.snapshot ? s.start_path() : "", start}}});
}

}  // namespace zoqat::programs
