// SPDX-License-Identifier: Apache-2.0
//
// Fine-tuning of a LLaMA or OPT model on a downstream task, quantized, with forward passes alone (sections 4.3 and
// 5.2 of the paper): from a model and a task's files to a table of test scores. In the order of a run: settings.hpp,
// the task in workbench.hpp, one training in training.hpp, the rows of the table in rows.hpp.
//
//   finetune --task sst2 --train train.tsv --test dev.tsv                       the model beside the examples
//   finetune --model M --task choices --train a.jsonl --test b.jsonl --scheme w2a16g128 --seeds 0,1,2
//   finetune … --resume                                                         after a kill, to the same bits
//   finetune … --only-zeroqat --trains '*.q_proj' '*.q_proj,*.v_proj' '*'       Table D.4: which layers train
//   finetune … --only-zeroqat --trains lora prefix scales norms                 beside layers that stay as they are

#include <common/guarded_main.hpp>   // guarded_main
#include <common/options.hpp>        // add_options, require_useful
#include <common/stop_signal.hpp>    // ended_by_signal
#include <finetune/plan.hpp>         // require_sensible, require_outputs
#include <finetune/scheme.hpp>       // fine_tune
#include <finetune/scheme_list.hpp>  // schemes: those that CMake was told to build

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::programs;

/// Throws for options of a training that change nothing beside the others.
void require_options_of_training(const CLI::App& app, const settings& s) {
  const bool measures = s.optimizer == "parabolic";
  constexpr std::string_view unmeasured = "is for --optimizer parabolic, which measures how far to go";
  constexpr std::string_view measured = "--optimizer parabolic measures that";
  require_useful(app,
                 std::array<option_use, 8>{
                     {{"elevation", measures, unmeasured},
                      {"smooth-elevation", measures, unmeasured},
                      {"smooth-elevation", !s.only_zeroqat, "--only-zeroqat leaves out what is in full precision"},
                      {"trust", measures, unmeasured},
                      {"epsilon", !measures, measured},
                      {"rate", !measures, measured},
                      {"calibration", !s.only_zeroqat || s.start != "rtn", "--start rtn looks at no item"},
                      {"chat", s.task == "chat", "--task chat alone has conversations"}}});
}

int run(int argc, char** argv) {
  settings s;
  CLI::App app("Quantized fine-tuning of LLaMA and OPT models with forward passes alone (ZeroQAT, arXiv 2509.00031)");
  add_options(app, s);
  app.get_option("--task")->required()->check(
      CLI::IsMember({"sst2", "cb", "choices", "squad", "drop", "alpaca", "chat"}));
  app.get_option("--chat")->check(CLI::IsMember({"template", "chatml", "llama3", "alpaca"}));
  for (const char* file : {"--train", "--test"}) app.get_option(file)->required()->check(CLI::ExistingFile);
  app.get_option("--scheme")->description("what is quantized, one of " + schemes::names());
  app.get_option("--start")->check(CLI::IsMember({"smoothquant", "reconstructed", "rtn"}));
  for (const char* stored : {"--masters", "--embeddings"})
    app.get_option(stored)->check(CLI::IsMember(master_format_names));
  app.get_option("--optimizer")->check(CLI::IsMember({"parabolic", "sgd"}));
  app.add_option("--seeds", s.seeds, "of items, their order and directions; a row of the table is the mean over them")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option(
         "--trains", s.trains,
         "what trains, a row for each: full (all layers), lightweight (Q and V), patterns of layers' names by "
         "commas, or of frozen layers lora, prefix, scales, norms or biases")
      ->capture_default_str();
  std::vector<std::pair<std::string, CLI::Option*>> beside;
  settings::for_each_beside(s, [&](const char* what, const std::string& name, auto& value, const char* help) {
    beside.emplace_back(what, app.add_option("--" + name, value, help)->capture_default_str());
  });
  app.add_flag("--only-zeroqat", s.only_zeroqat, "leave out the rows in full precision and those made from it");
  app.add_option("--output", s.output, "folder for run logs and trained models")->capture_default_str();
  app.add_flag("--overwrite", s.overwrite, "replace the logs and models that another run left in that folder");
  app.add_flag("--resume", s.resume,
               "go on with the runs whose logs are in that folder; give the same options as before");
  app.add_flag("--snapshot", s.snapshot,
               "keep the start of each run in LOG.start, as large as the model: --resume takes it from there");
  app.add_option("--sync-every", s.sync_every, "seconds between waits for the disk to have a log; 0: each step")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  app.add_option("--report", s.report, "file for the table as JSON");
  app.add_option("--threads", s.threads, "0: one per core; the result does not depend on it")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    require(app.get_option("--masters")->count() == 0 || std::ranges::any_of(s.trains, settings::names_layers),
            "--masters: is of layers that train, and none does");
    for (const auto& [what, option] : beside)
      require(option->count() == 0 || std::ranges::find(s.trains, what) != s.trains.end(),
              "{}: only --trains {} has a use for it", option->get_name(), what);
    if (std::filesystem::equivalent(s.train, s.test))
      fmt::print(stderr, "finetune: --train and --test are one file, {}: the table shows what was learned by heart\n",
                 s.test);
    require(!s.resume || !s.overwrite, "--overwrite: --resume goes on with the logs; leave one of them out");
    require_options_of_training(app, s);
    require_sensible(s);
    require_outputs(s);
    schemes::with(s.scheme, [&]<class Scheme>() { fine_tune<Scheme>(s); });
  } catch (const ended_by_signal& e) {
    fmt::print(stderr, "finetune: ended by a signal after a step; --resume goes on with the same options\n");
    return e.status;
  }
  return 0;
}

int main(int argc, char** argv) {
  return guarded_main("finetune", [&] { return run(argc, argv); });
}
