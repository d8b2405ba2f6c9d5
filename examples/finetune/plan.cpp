// SPDX-License-Identifier: Apache-2.0
#include <finetune/plan.hpp>

#include <zoqat/zo/log/run_log.hpp>  // run_log

#include <common/model_parts.hpp>  // require_layers
#include <common/plan.hpp>         // require_within, require_writable, require_space, require_no_other_start

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <vector>

namespace zoqat::programs {

namespace {

/// What trains, as patterns of layers where it is layers.
std::vector<std::string> trained_of(const settings& s) {
  std::vector<std::string> trained;
  for (const std::string& choice : s.trains) trained.push_back(settings::trained_of(choice));
  return trained;
}
/// The rows of the table that are trained.
std::vector<std::string> rows_of(const settings& s) {
  std::vector<std::string> rows;
  if (!s.only_zeroqat) rows.emplace_back(mezo);
  for (const std::string& trained : trained_of(s)) rows.push_back(settings::row_of(trained));
  return rows;
}

template <class Value>
void require_each_once(const char* option, const std::vector<Value>& values) {
  require(!values.empty(), "{}: name one at least", option);
  for (auto value = values.begin(); value != values.end(); ++value)
    require(std::find(values.begin(), value, *value) == value, "{}: '{}' comes twice; name it once", option, *value);
}

}  // namespace

void require_sensible(const settings& s) {
  constexpr double any = 1e9;
  require_within("--train-items", static_cast<double>(s.train_items), {1, any});
  require_within("--validation-items", static_cast<double>(s.validation_items), {1, any});
  require_within("--test-items", static_cast<double>(s.test_items), {1, any});
  require_within("--calibration", static_cast<double>(s.calibration), {1, any});
  require_within("--batch", static_cast<double>(s.batch), {1, any});
  require_within("--micro-batches", s.micro_batches, {1, static_cast<double>(s.batch)});
  require_within("--length", static_cast<double>(s.length), {2, any});  // a token to begin with and one to predict
  require_within("--part-tokens", static_cast<double>(s.part_tokens), {1, any});
  require_within("--steps", s.steps, {0, any});
  require_within("--every", s.every, {1, any});
  require_within("--elevation", s.elevation, {0, 10, true});
  require_within("--smooth-elevation", s.smooth_elevation, {0, 10, true});
  require_within("--trust", s.trust, {0, 2, true});  // twice the way to the bottom is as high on the other side
  require_within("--final-rate", s.final_rate, {0, 1});
  require_within("--epsilon", static_cast<double>(s.epsilon), {0, 10, true});
  require_within("--rate", static_cast<double>(s.rate), {0, 1e3});
  require_within("--lora-rank", static_cast<double>(s.lora_rank), {1, any});
  require_within("--prefix-tokens", static_cast<double>(s.prefix_tokens), {1, any});
  require_within("--lora-alpha", static_cast<double>(s.lora_alpha), {0, any, true});
}

void require_outputs(const settings& s) {
  require_each_once("--seeds", s.seeds);
  require_each_once("--trains", trained_of(s));
  const std::vector<std::string> rows = rows_of(s);
  std::vector<named_file> logs, starts, written{{"--report", s.report}};
  for (const std::uint64_t seed : s.seeds)
    for (const std::string& row : rows) {
      logs.push_back({"--output", s.path(row, seed) + log_ending});
      if (row != mezo) written.push_back({"--output", s.path(row, seed) + model_ending});
      if (s.snapshot) starts.push_back({"--snapshot", start_path_of(logs.back().path.native())});
    }
  for (const named_file& file : written) {
    const bool is_new = file.option == "--report" || s.overwrite || s.resume || !std::filesystem::exists(file.path);
    require<io_error>(
        is_new,
        "{}: is there already, from another run; give --overwrite to replace it, --resume to go on with "
        "that run, or another --output",
        file.path.native());
  }
  std::vector<named_file> inputs;
  for (const auto& [option, path] : std::initializer_list<named_file>{
           {"--model", s.model}, {"--tokenizer", s.tokenizer_path()}, {"--train", s.train}, {"--test", s.test}})
    std::ranges::copy(files_at(option, path), std::back_inserter(inputs));
  std::vector<named_file> outputs = written;
  for (const auto* more : {&logs, &starts}) outputs.insert(outputs.end(), more->begin(), more->end());
  require_apart(outputs, inputs);
  std::filesystem::create_directories(s.output);
  require_writable(written);
  require_writable(starts);
  for (const named_file& log : logs) {
    if (s.resume && zo::run_log::is_begun(log.path)) {
      zo::run_log::require_resumable(log.path);
    } else {
      zo::run_log::require_creatable(log.path, s.log_how());
      require_no_other_start(log.path.native(), s.snapshot, s.overwrite);
    }
  }
}

void require_ready(const settings& s, const model_shape& shape, std::uintmax_t output) {
  for (const std::string& trained : trained_of(s)) {
    if (settings::names_layers(trained)) require_layers("--trains", trained, shape);
    if (trained == only_lora) require_layers("--lora-layers", s.lora_layers, shape);
  }
  const std::uintmax_t log = std::uintmax_t{s.steps} * zo::run_log::record_bytes(1);
  std::vector<output_size> outputs;
  const auto add = [&](const char* option, const std::string& path, std::uintmax_t bytes) {
    if (!s.resume || !std::filesystem::exists(path)) outputs.push_back({option, path, bytes});
  };
  for (const std::uint64_t seed : s.seeds)
    for (const std::string& row : rows_of(s)) {
      const std::string path = s.path(row, seed);
      add("--output", path + log_ending, log);
      if (row != mezo) add("--output", path + model_ending, output);
      if (s.snapshot) add("--snapshot", start_path_of(path + log_ending), output);  // at least what is frozen
    }
  require_space(outputs);
}

}  // namespace zoqat::programs
