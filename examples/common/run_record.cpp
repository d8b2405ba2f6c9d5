// SPDX-License-Identifier: Apache-2.0
#include <common/run_record.hpp>

#include <zoqat/core/error.hpp>          // require
#include <zoqat/io/gguf/file.hpp>        // gguf::file
#include <zoqat/io/json.hpp>             // read_json
#include <zoqat/io/quantized_model.hpp>  // scheme_of, shape_of_quantized
#include <zoqat/io/tensor_source.hpp>    // for_each_tensor, is_linear_weight
#include <zoqat/io/text_file.hpp>        // read_text
#include <zoqat/zo/log/run_log.hpp>      // run_log

#include <common/exported_bytes.hpp>  // exported_bytes_of
#include <common/model_origin.hpp>    // require_made_by, origin_in
#include <common/plan.hpp>            // is_run_log

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>
#include <system_error>

namespace zoqat::programs {

namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();
/// The versions of a model in the order of a run.
constexpr std::array<std::string_view, 5> versions{"full_precision", "rtn", "smoothquant", "reconstructed",
                                                   "zeroqat"};

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (std::size_t end = 0; end != text.npos; text.remove_prefix(std::min(end + 1, text.size()))) {
    end = text.find(at);
    parts.push_back(text.substr(0, end));
  }
  return parts;
}

/// A cell as a number; NaN for an empty one, nothing for what is no number.
std::optional<double> number(std::string_view cell) {
  double value = none;
  if (cell.empty()) return value;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  return error == std::errc{} && end == cell.data() + cell.size() ? std::optional(value) : std::nullopt;
}

void read_log(run_record& run, const zo::run_log& log) {
  for (const std::string_view line : split(log.header().settings, '\n')) {
    const std::size_t equals = line.find('=');
    if (equals != line.npos) run.settings.emplace(line.substr(0, equals), line.substr(equals + 1));
  }
  run.steps = log.steps();
  run.planned_steps = log.header().steps;
  if (const auto scheme = run.settings.find("scheme"); scheme != run.settings.end()) run.scheme = scheme->second;
  if (!log.damage().empty()) run.notes.push_back(log.damage());
  if (run.steps < run.planned_steps)
    run.notes.push_back(fmt::format("the log has {} of {} steps", run.steps, run.planned_steps));
}

/// A figure of a table: a number that is not negative, the last of several, or none.
double figure(const io::json& version, const char* name, const std::string& path) {
  const auto found = version.find(name);
  require<io_error>(found != version.end(), "{}: a version has no \"{}\": the file is no table of zeroqat train",
                    path, name);
  const io::json& value = found->is_array() && !found->empty() ? found->back() : *found;
  const double number = value.is_null() ? none : io::as<double>(value, name, path);
  require<io_error>(!(number < 0), "{}: \"{}\" is {}, but is never negative", path, name, number);
  return number;
}

std::vector<version_figures> read_table(const std::filesystem::path& path, const zo::run_log* log) {
  const io::json all = io::read_json(path);
  require<io_error>(all.is_object(), "{}: the file is no table of zeroqat train", path.native());
  std::vector<version_figures> table;
  const auto add = [&](const std::string& name, const io::json& version) {
    if (const auto chain = io::get_if<std::string>(version, "run_log_chain", path.native()); chain && log)
      require_made_by({{"run_log_chain", *chain}}, *log, path);
    table.push_back(
        {name, figure(version, "perplexity", path.native()), figure(version, "weight_bytes", path.native())});
  };
  for (const std::string_view name : versions)
    if (const auto found = all.find(name); found != all.end()) add(std::string(name), *found);
  for (const auto& [name, version] : all.items())
    if (std::ranges::find(versions, name) == versions.end()) add(name, version);
  return table;
}

/// Bits of the codes and grids of linear layers, for each of their weights.
double bits_of(const io::safetensors_file& file) {
  std::size_t weights = 0, bytes = 0;
  io::for_each_tensor(io::shape_of_quantized(file),
                      [&](const std::string& name, std::span<const std::size_t> extents) {
                        if (io::is_linear_weight(name, extents)) weights += *io::checked_product(extents);
                      });
  for (const io::tensor_view& t : file.tensors())
    if (t.name.ends_with(".codes") || t.name.ends_with(".scales") || t.name.ends_with(".zero_points") ||
        t.name.ends_with(".minima"))
      bytes += t.data.size();
  return 8 * static_cast<double>(bytes) / static_cast<double>(weights);
}

double bits_of(const io::gguf::file& file) {
  std::size_t weights = 0, bytes = 0;
  for (const io::gguf::tensor& t : file.tensors()) {
    if (t.shape.size() != 2 || !t.name.starts_with("blk.")) continue;
    weights += *io::checked_product(t.shape);
    bytes += t.data.size();
  }
  require<io_error>(weights != 0, "{}: holds no linear layers of a model", file.path().native());
  return 8 * static_cast<double>(bytes) / static_cast<double>(weights);
}

void read_model(run_record& run, const std::filesystem::path& path, const zo::run_log* log) {
  const io::safetensors_file file(path);
  run.scheme = io::scheme_of(file);
  run.bits = bits_of(file);
  if (const auto exported = exported_bytes_of(file))
    run.exported_bits = exported->bits_of_linear_layers(io::shape_of_quantized(file));
  if (log) require_made_by(file.metadata(), *log, path);
  if (file.metadata().contains("run_log_steps"))
    run.kept = static_cast<std::uint32_t>(io::detail::number_at<std::uint32_t>(file, "run_log_steps"));
}

void read_gguf(run_record& run, const std::filesystem::path& path, const zo::run_log* log) {
  const io::gguf::file file(path);
  run.bits = bits_of(file);
  const io::safetensors_metadata origin = origin_in(file.metadata());
  if (log) require_made_by(origin, *log, path);
  if (const auto steps = origin.find("run_log_steps"); steps != origin.end()) {
    const auto kept = number(steps->second);
    require<io_error>(kept && *kept >= 0 && *kept <= static_cast<double>(~std::uint32_t{0}),
                      "{}: zoqat.run_log_steps: '{}' is no number of steps", path.native(), steps->second);
    run.kept = static_cast<std::uint32_t>(*kept);
  }
}

/// Throws io_error unless the lines of metrics are of steps of the log, and of what it has of them; says where they
/// are fewer.
void require_metrics_of(run_record& run, const std::filesystem::path& path, const zo::run_log& log) {
  const metric_columns& columns = run.metrics;
  const std::vector<double>& steps = columns.at("step");
  const auto update = [&](double step) {
    const auto found =
        std::ranges::lower_bound(log.updates(), static_cast<std::uint32_t>(step), {}, &zo::planned_update::step);
    require<io_error>(found != log.updates().end() && found->step == step,
                      "{}: has step {}, which {} has not: they are of two runs", path.native(), step,
                      log.path().native());
    return *found;
  };
  for (std::size_t i = 0; i != steps.size(); ++i) {
    const zo::planned_update u = update(steps[i]);
    const auto same = [&](const std::string& name, float logged) {
      const auto column = columns.find(name);
      const bool holds = column == columns.end() || static_cast<float>(column->second[i]) == logged ||
                         (std::isnan(logged) && std::isnan(column->second[i]));
      require<io_error>(holds, "{}: step {}: {} is {}, but {} in {}: they are of two runs", path.native(), steps[i],
                        name, column->second[i], logged, log.path().native());
    };
    same("slope", u.half_difference.empty() ? 0.0f : u.half_difference.front());
    same("agreed_power", u.signal_power);
    same("power", u.total_power);
    for (const parameter_group group : all_parameter_groups)
      same(fmt::format("gain_{}", parameter_group_names[static_cast<std::size_t>(group)]), u.gain[group]);
  }
  if (steps.size() < log.steps())
    run.notes.push_back(
        fmt::format("{} has {} of the {} steps of the log", path.native(), steps.size(), log.steps()));
}

/// Whether a metric may be: losses of distillation by rounding, what is measured along a direction, and what it
/// makes.
bool may_be_negative(std::string_view name) {
  return name == "loss" || name == "slope" || name == "agreed_power" || name.starts_with("gain_");
}
/// Throws io_error unless the last step of a file of metrics is a number of one, and after the one before.
void require_step(const std::vector<double>& steps, const std::filesystem::path& path, std::size_t line) {
  const double step = steps.back(), before = steps.size() > 1 ? steps[steps.size() - 2] : -1;
  require<io_error>(step == std::floor(step) && step > before && step < 4294967296.0,
                    "{}: line {}: step {} does not follow step {}", path.native(), line, step, before);
}

/// The files of a run, by what they are.
struct run_files {
  std::string name{};
  std::filesystem::path log{}, metrics{}, table{}, model{};
};

/// The place in `files` for a file of that kind.
std::filesystem::path& place_of(run_files& files, const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  require<io_error>(std::filesystem::exists(status), "{}: there is no such file", path.native());
  require<io_error>(std::filesystem::is_regular_file(status), "{}: is not a regular file", path.native());
  if (is_run_log(path)) return files.log;
  if (path.extension() == ".csv") return files.metrics;
  if (path.extension() == ".json") return files.table;
  require<io_error>(path.extension() == ".safetensors" || io::has_extension(path, ".gguf"),
                    "{}: no file of a run: those are run logs, metrics (.csv), tables (.json) and trained models "
                    "(.safetensors, .gguf)",
                    path.native());
  return files.model;
}

run_record read_run(const run_files& files) {
  run_record run{.name = files.name};
  std::optional<zo::run_log> log;
  if (!files.log.empty()) read_log(run, log.emplace(zo::run_log::read_intact(files.log)));
  const zo::run_log* const of_run = log ? &*log : nullptr;
  if (!files.metrics.empty()) {
    bool cut = false;
    run.metrics = read_metrics(files.metrics, &cut);
    if (cut) run.notes.push_back(fmt::format("the last line of {} is cut off", files.metrics.native()));
    if (of_run) require_metrics_of(run, files.metrics, *of_run);
  }
  if (!files.table.empty()) run.table = read_table(files.table, of_run);
  if (io::has_extension(files.model, ".gguf"))
    read_gguf(run, files.model, of_run);
  else if (!files.model.empty())
    read_model(run, files.model, of_run);
  return run;
}

}  // namespace

metric_columns read_metrics(const std::filesystem::path& path, bool* cut) {
  const std::string text = io::read_text(path);
  std::vector<std::string_view> lines = split(text, '\n');
  const bool is_cut = !lines.back().empty();
  if (cut) *cut = is_cut;
  lines.pop_back();  // empty, or what a run that was killed left of its last line
  require<io_error>(!lines.empty() && lines.front().starts_with("step,loss"),
                    "{}: begins with no line \"step,loss,…\": the file holds no metrics of a run", path.native());
  const auto names = split(lines.front(), ',');
  require<io_error>(std::set(names.begin(), names.end()).size() == names.size(), "{}: line 1: a name comes twice",
                    path.native());
  require<io_error>(lines.size() > 1, "{}: holds no step of a run{}", path.native(),
                    is_cut ? ": its first one is cut off" : "");
  metric_columns columns;
  for (const std::string_view name : names) columns[std::string(name)].reserve(lines.size());
  for (std::size_t i = 1; i != lines.size(); ++i) {
    const auto cells = split(lines[i], ',');
    require<io_error>(cells.size() == names.size(), "{}: line {}: {} cells, but there are names for {}",
                      path.native(), i + 1, cells.size(), names.size());
    for (std::size_t c = 0; c != cells.size(); ++c) {
      const auto value = number(cells[c]);
      require<io_error>(value.has_value(), "{}: line {}: '{}' is no {}", path.native(), i + 1, cells[c], names[c]);
      require<io_error>(!(*value < 0) || may_be_negative(names[c]), "{}: line {}: {} is {}, but is never negative",
                        path.native(), i + 1, names[c], cells[c]);
      columns.find(names[c])->second.push_back(*value);
    }
    require_step(columns.at("step"), path, i + 1);
  }
  return columns;
}

std::optional<double> run_record::passes_per_step() const {
  const auto found = settings.find("directions");
  if (found == settings.end()) return std::nullopt;
  const auto directions = number(found->second);
  return directions ? std::optional(2 * *directions) : std::nullopt;
}

const version_figures* run_record::find(std::string_view version) const {
  const auto found = std::ranges::find(table, version, &version_figures::name);
  return found == table.end() ? nullptr : &*found;
}

const version_figures* run_record::start() const {
  for (const std::string_view version : {"reconstructed", "smoothquant", "rtn"})
    if (const version_figures* const found = find(version)) return found;
  return nullptr;
}

std::vector<run_record> read_runs(std::span<const std::filesystem::path> files) {
  std::vector<run_files> runs;
  for (const std::filesystem::path& path : files) {
    if (path.extension() == ".start") continue;
    const std::string name = (path.parent_path() / path.stem()).native();
    auto run = std::ranges::find(runs, name, &run_files::name);
    if (run == runs.end()) run = runs.insert(run, {.name = name});
    std::filesystem::path& place = place_of(*run, path);
    require<io_error>(place.empty(), "{} and {}: are two of a kind of the run '{}'; give each run a name of its own",
                      place.native(), path.native(), name);
    place = path;
  }
  std::vector<run_record> records;
  std::set<std::string> stems;
  for (const run_files& run : runs) {
    records.push_back(read_run(run));
    stems.insert(std::filesystem::path(run.name).filename().native());
  }
  if (stems.size() == records.size())  // which tell the runs apart without their folders
    for (run_record& record : records) record.name = std::filesystem::path(record.name).filename().native();
  return records;
}

}  // namespace zoqat::programs
