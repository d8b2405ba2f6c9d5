// SPDX-License-Identifier: Apache-2.0
#include <common/report_page.hpp>

#include <zoqat/core/error.hpp>      // require
#include <zoqat/core/plural.hpp>     // plural
#include <zoqat/io/atomic_file.hpp>  // atomic_file

#include <common/plan.hpp>  // require_apart
#include <common/svg_chart.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::programs {

namespace {

using points = std::vector<std::array<double, 2>>;

constexpr std::size_t most_points = 150;  // of a line: means of neighbors show where it goes

constexpr std::string_view style = R"(
:root { color-scheme: light dark; --ground: #fff; --text: #1b1f24; --faint: #5d6672; --line: #d5dae0;
  --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37; --c3: #8250df;
  --c4: #bf3989; --c5: #9a6700; --c6: #0f7b83; --c7: #57606a; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14181d; --text: #e4e8ec; --faint: #9aa4af; --line: #343b44;
    --c0: #58a6ff; --c1: #f0883e; --c2: #56d364; --c3: #bc8cff;
    --c4: #f778ba; --c5: #e3b341; --c6: #4cc9d4; --c7: #b1bac4; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem; font: 16px/1.5 system-ui, sans-serif;
  background: var(--ground); color: var(--text); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 2rem 0; } figcaption { font-weight: 600; margin-bottom: .4rem; }
svg { display: block; width: 100%; height: auto; font-size: 13px; fill: var(--faint); }
.axes line { stroke: var(--line); }
.rule line { stroke: var(--faint); stroke-dasharray: 5 4; }
polyline { fill: none; stroke: currentColor; stroke-width: 1.8; }
circle { fill: var(--ground); stroke: currentColor; stroke-width: 2; }
.legend { list-style: none; margin: .4rem 0 0; padding: 0; display: flex; flex-wrap: wrap;
  gap: .2rem 1.2rem; font-size: .9rem; }
.legend li::before { content: ""; display: inline-block; width: 1rem; height: .2rem; margin-right: .4rem;
  vertical-align: middle; background: currentColor; }
.note { color: var(--faint); font-size: .9rem; margin: .3rem 0; }
pre { overflow-x: auto; font-size: .85rem; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); } .c3 { color: var(--c3); }
.c4 { color: var(--c4); } .c5 { color: var(--c5); } .c6 { color: var(--c6); } .c7 { color: var(--c7); }
)";

constexpr std::string_view table_note =
    "Columns from full_precision to zeroqat are perplexities on the evaluation text: zeroqat is the trained model, "
    "what stands before it is where training began. Bits per weight are those of the codes and grids of linear "
    "layers: as stored in the file of the model, and as exported to the .gguf type that holds the scheme, if there "
    "is "
    "one. A step passes forward over its data twice for each direction.";

constexpr std::string_view passes_note =
    "The last point of a run is the model that was kept, at the passes that were spent. A run without its log, which "
    "says how many directions a step has, is not drawn. Points between are those of --evaluate-every with --metrics.";
constexpr std::string_view bits_note =
    "From where training began to the trained model. A run without its model, which says the bits, is not drawn.";

/// A figure of a table, or a dash where it is none.
std::string cell(std::optional<double> value, int decimals) {
  return value && std::isfinite(*value) ? fmt::format("{:.{}f}", *value, decimals) : "–";
}

/// The names of all versions that some run has, in the order of a run.
std::vector<std::string> versions_of(std::span<const run_record> runs) {
  std::vector<std::string> names;
  for (const run_record& run : runs)
    for (auto before = names.begin(); const version_figures& v : run.table) {
      const auto found = std::ranges::find(names, v.name);
      before = found == names.end() ? names.insert(before, v.name) + 1 : found + 1;
    }
  return names;
}

std::string row_of(const run_record& run, std::span<const std::string> versions) {
  const bool logged = !run.settings.empty();
  const auto passes = run.passes_per_step();
  std::string row =
      fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
                  escaped(run.name), run.scheme.empty() ? "–" : escaped(run.scheme), cell(run.bits, 3),
                  cell(run.exported_bits, 3), logged ? fmt::format("{}", run.steps) : "–",
                  run.kept ? fmt::format("{}", *run.kept) : "–", passes ? cell(*passes * run.steps, 0) : "–");
  for (const std::string& name : versions) {
    const version_figures* const v = run.find(name);
    row += fmt::format("<td>{}</td>", cell(v ? std::optional(v->perplexity) : std::nullopt, 4));
  }
  const version_figures* const trained = run.find("zeroqat");
  return row +
         fmt::format("<td>{}</td></tr>\n", cell(trained ? std::optional(trained->weight_bytes) : std::nullopt, 0));
}

std::string table_of(std::span<const run_record> runs) {
  const auto versions = versions_of(runs);
  std::string head;
  for (const char* const name : {"run", "scheme", "bits per weight, stored", "bits per weight, exported", "steps",
                                 "kept step", "forward passes"})
    head += fmt::format("<th>{}</th>", name);
  for (const std::string& name : versions) head += fmt::format("<th>{}</th>", escaped(name));
  head += "<th>weight bytes</th>";
  std::string rows;
  for (const run_record& run : runs) rows += row_of(run, versions);
  return fmt::format(
      "<div class=\"wide\"><table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody></table></div>\n"
      "<p class=\"note\">{}</p>\n",
      head, rows, table_note);
}

/// A chart with a series for each run that points_of(run) gives points of, or "" without any.
std::string chart_of(std::span<const run_record> runs, chart c,
                     const std::function<points(const run_record&)>& points_of, bool marked) {
  std::size_t left_out = 0;
  for (std::size_t i = 0; i != runs.size(); ++i) {
    points all = points_of(runs[i]);
    left_out += static_cast<std::size_t>(
        std::erase_if(all, [](const auto& p) { return !std::isfinite(p[0]) || !std::isfinite(p[1]); }));
    if (!all.empty()) c.series.push_back({runs[i].name, thinned(all, most_points), marked || all.size() == 1, i});
    if (!marked && all.size() > most_points && c.note.empty())
      c.note = fmt::format("Lines of more than {} points are drawn through the means of neighbors.", most_points);
  }
  if (left_out > 0)
    c.note += fmt::format("{}{} left out: not finite.", c.note.empty() ? "" : " ", plural(left_out, "point"));
  return c.series.empty() ? "" : figure_of(c);
}

/// Pairs of a column of metrics with the step; steps at which it is empty are none.
points by_step(const run_record& run, std::string_view column) {
  points all;
  const auto steps = run.metrics.find("step"), values = run.metrics.find(column);
  if (steps == run.metrics.end() || values == run.metrics.end()) return all;
  for (std::size_t i = 0; i != steps->second.size(); ++i)
    if (!std::isnan(values->second[i])) all.push_back({steps->second[i], values->second[i]});
  return all;
}

/// Perplexity against the forward passes that were spent: where training began, evaluations, the trained model.
points by_passes(const run_record& run) {
  const auto passes = run.passes_per_step();
  points all;
  if (!passes) return all;
  if (const version_figures* const start = run.start()) all.push_back({0, start->perplexity});
  for (const auto& [step, perplexity] : by_step(run, "perplexity")) all.push_back({(step + 1) * *passes, perplexity});
  if (const version_figures* const end = run.find("zeroqat")) all.push_back({run.steps * *passes, end->perplexity});
  return all;
}

points by_bits(const run_record& run) {
  points all;
  if (!run.bits) return all;
  for (const version_figures* const v : {run.start(), run.find("zeroqat")})
    if (v) all.push_back({*run.bits, v->perplexity});
  return all;
}

/// The perplexity in full precision, if it is the same for all runs that say it.
std::optional<double> full_precision_of(std::span<const run_record> runs) {
  std::optional<double> common;
  for (const run_record& run : runs) {
    const version_figures* const v = run.find("full_precision");
    if (!v || !std::isfinite(v->perplexity)) continue;
    if (common && *common != v->perplexity) return std::nullopt;
    common = v->perplexity;
  }
  return common;
}

std::string charts_of(std::span<const run_record> runs) {
  const auto with_rule = [&](chart c) {
    if (const auto rule = full_precision_of(runs)) c.rule_name = "full precision", c.rule = *rule;
    return c;
  };
  std::string out;
  out += chart_of(
      runs, {.title = "Loss of the training data, by step", .x_label = "step", .y_label = "loss"},
      [](const run_record& run) { return by_step(run, "loss"); }, false);
  out += chart_of(
      runs,
      {.title = "Share of codes that a perturbation flips, by step",
       .x_label = "step",
       .y_label = "share of codes",
       .from_zero = true},
      [](const run_record& run) { return by_step(run, "flip_rate"); }, false);
  out += chart_of(runs,
                  with_rule({.title = "Perplexity, by forward passes",
                             .x_label = "forward passes over the data of a step",
                             .y_label = "perplexity",
                             .note = std::string(passes_note)}),
                  by_passes, true);
  out += chart_of(runs,
                  with_rule({.title = "Perplexity, by bits per weight",
                             .x_label = "bits per weight of linear layers, as stored",
                             .y_label = "perplexity",
                             .note = std::string(bits_note)}),
                  by_bits, true);
  return out;
}

std::string details_of(const run_record& run) {
  std::string text, notes;
  for (const auto& [name, value] : run.settings) text += fmt::format("{} = {}\n", name, value);
  for (const std::string& note : run.notes) notes += fmt::format("<p class=\"note\">{}</p>\n", escaped(note));
  if (text.empty() && notes.empty()) return {};
  return fmt::format(
      "<h2>{}</h2>\n{}{}", escaped(run.name), notes,
      text.empty() ? ""
                   : fmt::format("<details><summary>Settings</summary><pre>{}</pre></details>\n", escaped(text)));
}

}  // namespace

std::string html_page(std::string_view title, std::string_view body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n"
      "<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>{0}</title>\n"
      "<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n{2}</body>\n</html>\n",
      escaped(title), style, body);
}

std::string report_page(std::span<const run_record> runs) {
  require(!runs.empty(), "a report is about one run at least; name its log, metrics, table or model");
  const std::string title = fmt::format("zeroqat: {}", plural(runs.size(), "run"));
  std::string details;
  for (const run_record& run : runs) details += details_of(run);
  return html_page(title, table_of(runs) + charts_of(runs) + details);
}

void write_report(std::span<const std::filesystem::path> files, const std::filesystem::path& output) {
  std::vector<named_file> inputs;
  for (const std::filesystem::path& file : files) inputs.push_back({"files", file.native()});
  require(output.extension() == ".html" || output.extension() == ".htm",
          "--output {}: a report is a page; give it a name that ends in .html", output.native());
  const std::array<named_file, 1> outputs{{{"--output", output.native()}}};
  require_apart(outputs, inputs);
  require_writable(outputs);
  const std::string page = report_page(read_runs(files));
  io::atomic_file file(output);
  file.write(page);
  file.commit();
}

}  // namespace zoqat::programs
