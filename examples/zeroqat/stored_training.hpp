// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/gguf/stored_model.hpp>  // load_stored, write_stored
#include <zoqat/io/load.hpp>               // load
#include <zoqat/io/tensor_source.hpp>      // for_each_tensor, is_linear_weight
#include <zoqat/nn/linear.hpp>             // stored
#include <zoqat/nn/storage_plan.hpp>       // storage_plan

#include <fmt/ranges.h>

#include <common/settings_text.hpp>  // parts_of
#include <zeroqat/make_workbench.hpp>
#include <zeroqat/stored.hpp>
#include <zeroqat/training.hpp>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

/// A run of --scheme stored in its order: the workbench, the model, training and replay.
namespace zoqat::programs {

using stored_scheme = nn::stored<io::gguf::stored_matrix>;

/// Throws value_error for a pattern of --weights that is no layer's, with those that there are.
inline void require_layers(const settings& s, const model_shape& shape) {
  std::vector<std::string> layers, kinds;
  io::for_each_tensor(shape, [&](const std::string& name, std::span<const std::size_t> extents) {
    if (!io::is_linear_weight(name, extents)) return;
    layers.push_back(name.substr(0, name.rfind('.')));  // without ".weight"
    const std::string kind = "*" + layers.back().substr(layers.back().rfind('.'));
    if (std::ranges::find(kinds, kind) == kinds.end()) kinds.push_back(kind);
  });
  for (const std::string& pattern : parts_of(s.weights))
    require(std::ranges::any_of(layers, [&](const auto& l) { return nn::storage_plan::matches(pattern, l); }),
            "--weights '{}': no layer of the model has a name like '{}'; there are {}, and in one layer such as {}; "
            "name several by commas",
            s.weights, pattern, fmt::join(kinds, ", "), layers.front());
}

/// What such a run works on: texts, and a teacher if there is one.
template <class Family>
struct stored_workbench : texts_of_run {
  explicit stored_workbench(const settings& s) : texts_of_run(s) {
    if (s.trained().weight) require_layers(s, source.shape());
    if (s.teacher.empty()) {
      read(s);
      hold_out(s);
      return;
    }
    const io::model_source from = open_base_model(s.teacher, s.unused_tensors == "ignored");
    require(from.shape().vocabulary == source.shape().vocabulary,
            "--teacher {}: knows {} tokens, but the model {} knows {}; it must be of the same kind", s.teacher,
            from.shape().vocabulary, s.model, source.shape().vocabulary);
    teacher.emplace(io::load<teacher_model<Family>>(from));
    read_or_write_texts(*this, s, *teacher);
  }
  [[nodiscard]] const io::gguf::model_file& file() const { return std::get<io::gguf::model_file>(source.format()); }
  /// Of all tensors of the file, and of one that is trained.
  [[nodiscard]] std::size_t file_bytes() const {
    std::size_t bytes = 0;
    for (const io::gguf::tensor& t : file().file().tensors()) bytes += t.data.size();
    return bytes;
  }

  std::optional<teacher_model<Family>> teacher;
};

template <class Model, class Family>
[[nodiscard]] auto loss_of(Model& model, stored_workbench<Family>& bench, const settings& s) {
  using loss = train::language_model_loss<Model, teacher_model<Family>, thread_pool>;
  return s.loss == "teacher" ? loss(model, bench.teacher.value(), bench.training, bench.threads, loss_options(s))
                             : loss(model, bench.training, bench.threads, loss_options(s));
}

/// The model of a file, with what the settings say trains.
template <class Family>
[[nodiscard]] model_of<Family, stored_scheme> load_file(const stored_workbench<Family>& bench, const settings& s) {
  const per_group<bool> trained = s.trained();
  nn::storage_plan plan;
  plan.trained = trained.weight ? parts_of(s.weights) : std::vector<std::string>();
  plan.fixed_quantization = !(trained.step_tensor || trained.step_row || trained.step_column || trained.step_group);
  plan.norms = trained.norm || trained.norm_scale;
  return io::gguf::load_stored<model_of<Family, stored_scheme>>(bench.file(), plan);
}

/// A trained file's last steps. Returns its perplexity.
template <class Model, class Family>
double finish_stored(Model& model, stored_workbench<Family>& bench, const settings& s, results_table& results,
                     const io::safetensors_metadata& made_by) {
  return finish_with(model, bench.file_bytes(), bench, s, results, made_by, [&] {
    io::gguf::write_stored(s.output, bench.file(), model, with_origin(bench.file().file().metadata(), made_by));
  });
}

template <class Family>
int train_stored(const settings& s) {
  require_space_for(s, std::filesystem::file_size(s.model));
  stored_workbench<Family> bench(s);
  results_table results = new_table();
  if (bench.teacher) results.add("teacher", {bench.perplexity(*bench.teacher), bench.teacher->weight_bytes()});
  auto model = load_file(bench, s);
  const double start = bench.perplexity(model);
  results.add("stored", {start, bench.file_bytes()});
  io::safetensors_metadata made_by;
  const int stopped = train_to_the_end(model, bench, s, made_by);
  const int found = verdict(s, start, finish_stored(model, bench, s, results, made_by));
  return stopped != 0 ? stopped : found;
}

template <class Family>
void replay_stored(const settings& s) {
  const zo::run_log log = log_to_replay(s);
  stored_workbench<Family> bench(s);
  results_table results = new_table();
  auto model = load_file(bench, s);
  const std::uint32_t kept = replay_steps(model, bench, s, log);
  finish_stored(model, bench, s, results, origin_of(log, kept));
}

}  // namespace zoqat::programs
