// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/gguf/stored_model.hpp>  // load_stored, write_stored
#include <zoqat/io/load.hpp>               // load
#include <zoqat/nn/linear.hpp>             // stored
#include <zoqat/nn/storage_plan.hpp>       // storage_plan

#include <common/model_parts.hpp>    // require_layers
#include <common/settings_text.hpp>  // parts_of
#include <zeroqat/make_workbench.hpp>
#include <zeroqat/stored.hpp>
#include <zeroqat/training.hpp>

#include <filesystem>
#include <optional>
#include <variant>
#include <vector>

/// A run of --scheme stored in its order: the workbench, the model, training and replay.
namespace zoqat::programs {

using stored_scheme = nn::stored<io::gguf::stored_matrix>;

[[nodiscard]] inline const io::gguf::model_file& file_of(const io::model_source& source) {
  return std::get<io::gguf::model_file>(source.format());
}

/// What such a run works on: texts, and a teacher if there is one.
template <class Family>
struct stored_workbench : texts_of_run {
  explicit stored_workbench(const settings& s) : texts_of_run(s) {
    if (s.teacher.empty()) {
      read(s);
      hold_out(s);
      return;
    }
    const io::model_source from = open_base_model(s.teacher, s.unused_tensors == "ignored");
    require_teacher_of(from.shape(), source.shape(), s);
    teacher.emplace(io::load<teacher_model<Family>>(from));
    read_or_write_texts(*this, s, *teacher);
  }
  [[nodiscard]] const io::gguf::model_file& file() const { return file_of(source); }
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
[[nodiscard]] model_of<Family, stored_scheme> load_file(const io::gguf::model_file& file, const settings& s) {
  const per_group<bool> trained = s.trained();
  nn::storage_plan plan;
  plan.trained = trained.weight ? parts_of(s.weights) : std::vector<std::string>();
  plan.fixed_quantization = !(trained.step_tensor || trained.step_row || trained.step_column || trained.step_group);
  plan.norms = trained.norm || trained.norm_scale;
  return io::gguf::load_stored<model_of<Family, stored_scheme>>(file, plan);
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
  const io::model_source source = open_base_model(s.model, s.unused_tensors == "ignored");
  if (s.trained().weight) require_layers("--weights", s.weights, source.shape());
  auto model = load_file<Family>(file_of(source), s);
  require_ready(model, s, std::filesystem::file_size(s.model));
  stored_workbench<Family> bench(s);
  results_table results = new_table();
  if (bench.teacher) results.add("teacher", {bench.perplexity(*bench.teacher), bench.teacher->weight_bytes()});
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
  require_space_for(s, std::filesystem::file_size(s.model));
  stored_workbench<Family> bench(s);
  results_table results = new_table();
  auto model = load_file<Family>(bench.file(), s);
  const std::uint32_t kept = replay_steps(model, bench, s, log);
  finish_stored(model, bench, s, results, origin_of(log, kept));
}

}  // namespace zoqat::programs
