// SPDX-License-Identifier: Apache-2.0
//
// Quantization-aware training of a language model (LLaMA, Mistral, Qwen, SmolLM, OPT) with forward passes alone: from
// the files of a model to a table of perplexities. In the order of a run: settings.hpp, the data in workbench.hpp,
// the start, the training and the table in training.hpp; inference.hpp is what a trained model is for.
//
//   zeroqat train                              the model in examples/models, on text that it writes itself
//   zeroqat train --model M --tokenizer T --text train.txt --eval eval.txt --scheme w3a16
//   zeroqat train --model m.gguf --text train.txt --output n.gguf   a GGUF file in, trained, and out again
//   zeroqat --config run.toml train            options from a file
//   zeroqat replay --log run.zlog              the trained model again, from the base model and the log alone
//   zeroqat eval --model q.safetensors …       perplexity of a base model or a trained one, accuracy on --tasks
//   zeroqat generate --model q.safetensors …   text from it
//   zeroqat info q.safetensors                 what is in a model, a trained one or a run log
//   zeroqat verify FILE…                       whether run logs and trained models are whole
//   zeroqat export --model M --gguf m.gguf …   the same model as a file for llama.cpp and its kin
//   zeroqat export --model M --hf folder …     or as a Hugging Face folder; --pack-quantized with packed weights
//   zeroqat report --output page.html FILE…    a page about runs, from logs, metrics, tables and trained models
//
// Returns 0; 1 for an error; 3 where the training ended worse than it began (see --allow-worse); and 128 and the
// number of SIGINT or SIGTERM, after which a run ends with its step: its log and output are whole, and --resume goes
// on.

#include <zoqat/quant/scheme_registry.hpp>  // standard_schemes
#include <zoqat/zo/log/run_log.hpp>         // run_log

#include <common/guarded_main.hpp>   // guarded_main
#include <common/options.hpp>        // add_options, require_useful
#include <common/plan.hpp>           // require_within
#include <common/report_page.hpp>    // write_report
#include <common/settings_text.hpp>  // read_text
#include <zeroqat/export.hpp>        // export_model
#include <zeroqat/family_list.hpp>   // family_list: those that CMake was told to build
#include <zeroqat/files.hpp>         // trained_scheme_of
#include <zeroqat/info.hpp>          // info_of, version_text
#include <zeroqat/plan.hpp>          // require_sensible, require_outputs
#include <zeroqat/scheme.hpp>
#include <zeroqat/scheme_list.hpp>  // schemes: those that CMake was told to build
#include <zeroqat/stored.hpp>       // train_stored, replay_stored
#include <zeroqat/tasks.hpp>        // require_evaluable
#include <zeroqat/verify.hpp>       // verify_files

#include <CLI/CLI.hpp>

using namespace zoqat;
using namespace zoqat::programs;

/// What --start may be.
std::vector<std::string> start_names() {
  std::vector<std::string> names(ptq::stage_names.begin(), ptq::stage_names.end());
  names.emplace_back(settings::omniquant);
  return names;
}

/// Throws for options of a start that was not asked for.
void require_options_of_start(const CLI::App& train, const settings& s) {
  const std::string smoothing = fmt::format("smoothquant, ranges, codes or {}", settings::omniquant);
  const std::array<std::array<std::string_view, 2>, 7> of_start{{{"output-metric", "codes"},
                                                                 {"clip-metric", "clip"},
                                                                 {"gptq-order", "gptq"},
                                                                 {"gptq-grids", "gptq"},
                                                                 {"gptq-damping", "gptq"},
                                                                 {"smoothing-alpha", smoothing},
                                                                 {"transform-steps", settings::omniquant}}};
  for (const auto& [option, starts] : of_start)
    require(starts.find(s.start) != starts.npos || train.count(fmt::format("--{}", option)) == 0,
            "--{}: --start {} has no use for it; leave it out, or take --start {}", option, s.start, starts);
}

/// Throws for options that say how a text is read where there is none of that kind.
void require_options_of_texts(const CLI::App& command, std::initializer_list<std::string> texts) {
  const auto is_of = [&](bool records) {
    return std::ranges::any_of(
        texts, [&](const std::string& text) { return !text.empty() && holds_records(text) == records; });
  };
  constexpr std::string_view no_records = "no text has records, in a file that ends in .json or .jsonl";
  require_useful(command, std::array<option_use, 3>{{{"text-field", is_of(true), no_records},
                                                     {"chat", is_of(true), no_records},
                                                     {"min-characters", is_of(false),
                                                      "there is no plain text to leave documents out of"}}});
}

/// Throws for options of a training that change nothing beside the others.
void require_options_of_training(const CLI::App& train, const settings& s) {
  require_options_of_start(train, s);
  const bool measures = s.optimizer == "parabolic";
  constexpr std::string_view unmeasured = "is for --optimizer parabolic, which measures how far to go";
  constexpr std::string_view measured = "--optimizer parabolic measures that";
  require_useful(train, std::array<option_use, 11>{
                            {{"elevation", measures, unmeasured},
                             {"scales", measures, unmeasured},
                             {"trust", measures, unmeasured},
                             {"epsilon", !measures, measured},
                             {"weight-rate", !measures, measured},
                             {"smoothing-rate", !measures, measured},
                             {"clipping-rate", !measures, measured},
                             {"weight-rate", s.trained().weight, "--train names no weight"},
                             {"calibration", s.start != "rtn", "--start rtn looks at no text"},
                             {"sampled", s.text.empty(), "there is a --text, so the model writes none"},
                             {"validate-every", s.keep == "best", "--keep last looks at no held-out text"}}});
  require_options_of_texts(train, {s.text, s.eval});
}

/// Throws for options that say how a base model is read where the model is a trained one.
void require_options_of_model(const CLI::App& command, const settings& s) {
  require_useful(command, std::array<option_use, 1>{{{"unused-tensors", trained_scheme_of(s.model).empty(),
                                                      "the model is a trained one, of which every tensor is used"}}});
}

/// Everything that makes a run, as it was when its log was begun.
settings of_log(settings s) {
  read_text(s, zo::run_log::read_intact(s.log).header().settings, s.log);
  s.reads_log = true;
  return s;
}

/// Throws unless there is a command, with those that there are.
void require_command(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  const std::vector<std::string> unknown = app.remaining();
  require(unknown.empty(), "there is no command '{}'; there are {}", unknown.empty() ? "" : unknown.front(),
          fmt::join(names, ", "));
  require(!app.get_subcommands().empty(), "a command is wanted, one of {}; --help says more", fmt::join(names, ", "));
}

/// Throws for options beside --resume that make a run: those of the log count.
void require_new_settings(const CLI::App& train, const settings& s) {
  settings::for_each(s, [&](const std::string& name, const auto&, const auto&) {
    require(!s.resume || train.count("--" + name) == 0,
            "--{}: --resume takes it from the log, as it was when the run was begun; leave it out", name);
  });
  require(!s.resume || !s.snapshot, "--snapshot: --resume takes the start that is there; leave one of them out");
  require(!s.resume || !s.overwrite, "--overwrite: --resume goes on with the log; leave one of them out");
}

/// Calls f.operator()<Family>() with the family of the model at `s.model`, which is a .gguf file.
template <class F>
void with_stored_model(const settings& s, F&& f) {
  family_list::with(kind_of(s.model, s.unused_tensors == "ignored"), s.model, [&]<class Family>() {
    if constexpr (in_gguf<Family>) f.template operator()<Family>();
  });
}

/// Fills in what is understood where the options do not say it: a .gguf file that is trained into another stays in
/// its types, and learns from the text unless there is a teacher. Throws for options that say nothing there.
void complete(const CLI::App& train, settings& s) {
  if (train.count("--scheme") == 0 && is_gguf(s.output)) s.scheme = settings::stored_scheme;
  require(train.count("--weights") == 0 || (s.trains_stored() && s.trained().weight),
          "--weights: names what trains under --scheme {} where --train names weight; leave it out",
          settings::stored_scheme);
  if (!s.trains_stored()) return;
  if (train.count("--loss") == 0 && s.teacher.empty()) s.loss = "text";
  for (const char* option : {"--start", "--output-metric", "--calibration", "--smoothing-alpha", "--clip-metric",
                             "--gptq-order", "--gptq-grids", "--gptq-damping", "--transform-steps", "--layers"})
    require(train.count(option) == 0,
            "{}: --scheme {} starts from what the file holds, and prepares nothing; leave it out", option, s.scheme);
}

/// The scheme `name`, among those of this build, and the family of the model at `path`:
/// f.operator()<Scheme, Family>() is called with them.
template <class F>
void with_model(const std::string& scheme, const settings& s, F&& f) {
  const auto with_family = [&]<class Scheme>() {
    family_list::with(kind_of(s.model, s.unused_tensors == "ignored"), s.model,
                      [&]<class Family>() { f.template operator()<Scheme, Family>(); });
  };
  if (scheme.empty()) return with_family.template operator()<quant::full_precision>();
  const std::string all = schemes::names();
  require((", " + all + ",").find(", " + scheme + ",") != std::string::npos,
          "this build has no scheme '{}', but {}; configure it with -D ZOQAT_SCHEMES={} or =all", scheme, all,
          scheme);
  schemes::with(scheme, with_family);
}

int run(int argc, char** argv) {
  settings s;
  CLI::App app(
      "Quantization-aware training of language models with forward passes alone (ZeroQAT, arXiv 2509.00031)");
  app.require_subcommand(0, 1);  // what is none is named below, with those that there are
  app.allow_extras();
  CLI::App* const train = app.add_subcommand("train", "quantize a model, train it, print the table");
  CLI::App* const replay = app.add_subcommand("replay", "make a trained model again from its log");
  CLI::App* const eval =
      app.add_subcommand("eval", "perplexity of a base or a trained model on --eval, its accuracy on --tasks");
  CLI::App* const generate = app.add_subcommand("generate", "text from a base or a trained model");
  CLI::App* const verify = app.add_subcommand("verify", "whether run logs and quantized models are whole");
  std::vector<std::string> files;
  verify->add_option("files", files, "run logs, and models that --output wrote (.safetensors)")->required();
  CLI::App* const exporting =
      app.add_subcommand("export", "write a base or a trained model as a GGUF file or a folder");
  CLI::App* const report = app.add_subcommand("report", "a page about runs, as one HTML file that needs no other");
  std::string page;
  std::vector<std::filesystem::path> of_runs;
  report
      ->add_option("files", of_runs,
                   "of runs: logs, metrics (.csv), tables (.json), trained models (.safetensors); those of one run "
                   "have one name")
      ->required();
  report->add_option("--output", page, "page to write (.html)")->required();
  CLI::App* const info = app.add_subcommand("info", "what is in a model, a trained model or a run log");
  std::string file;
  info->add_option("file", file, "folder or file")->required();
  app.set_version_flag("--version", version_text());
  app.set_config("--config", "", "TOML file of options, in a section for each command, such as [train]")
      ->check([](const std::string& path) {
        std::error_code ignored;
        return std::filesystem::is_regular_file(path, ignored) ? "" : path + ": is not a regular file";
      });
  app.allow_config_extras(CLI::config_extras_mode::error);
  export_settings to;
  to.model = s.model;
  add_export_options(*exporting, to);
  add_options(*train, s);
  train->get_option("--scheme")
      ->description("what is quantized, one of " + schemes::names() +
                    "; or stored: a .gguf file stays in its types, and what trains are norms, scales of blocks and "
                    "weights on the grids that they have (by default where --output is a .gguf file)");
  train->get_option("--start")->check(CLI::IsMember(start_names()));
  train->get_option("--clip-metric")->check(CLI::IsMember({"inputs", "weights"}));
  train->get_option("--gptq-order")->check(CLI::IsMember({"activations", "columns"}));
  train->get_option("--gptq-grids")->check(CLI::IsMember({"range", "clipped"}));
  train->get_option("--optimizer")->check(CLI::IsMember({"parabolic", "sgd"}));
  train->get_option("--loss")->check(CLI::IsMember({"teacher", "text"}));
  train->get_option("--scales")->check(CLI::IsMember({"balanced", "least-error"}));
  train->get_option("--output-metric")->check(CLI::IsMember({"none", "identity", "head", "recursive"}));
  train->get_option("--validate-every")->check(CLI::PositiveNumber);
  train->get_option("--keep")->check(CLI::IsMember({"best", "last"}));
  train->get_option("--direction")->check(CLI::IsMember({"rademacher", "gaussian"}));
  CLI::Option* const log = train->add_option("--log", s.log, "run log to write");
  train
      ->add_flag("--resume", s.resume,
                 "go on with the run in --log; everything that makes the run is taken from there")
      ->needs(log);
  train->add_flag("--overwrite", s.overwrite, "replace the log of another run")->needs(log);
  train->add_option("--sync-every", s.sync_every, "seconds between waits for the disk to have the log; 0: each step")
      ->needs(log)
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  train
      ->add_flag(
          "--snapshot", s.snapshot,
          "keep the start in LOG.start, as large as the model in fp32: replay and --resume take it from there, "
          "so that they give the same bits on every instruction set")
      ->needs(log);
  train->add_flag("--allow-worse", s.allow_worse, "return 0 also where the training ended worse than it began");
  train->add_option("--metrics", s.metrics, "CSV file with one line per step");
  train->add_option("--evaluate-every", s.evaluate_every, "steps between evaluations, 0 for none")
      ->capture_default_str();
  replay->add_option("--log", s.log, "run log")->required();
  replay->add_flag("--allow-partial", s.allow_partial,
                   "make what a log holds that is damaged or was broken off, which is another model");
  for (CLI::App* command : {train, replay}) {
    command->add_option("--output", s.output,
                        "file for the trained quantized model (.safetensors, under --scheme stored .gguf)");
    command->add_option("--report", s.report, "file for the table as JSON");
  }
  for (CLI::App* command : {eval, generate}) {
    command->add_option("--model", s.model, "base model, or a trained one that --output wrote")
        ->capture_default_str();
    command->add_option("--tokenizer", s.tokenizer, "folder or file of the tokenizer; by default the model's folder");
    command->add_option("--unused-tensors", s.unused_tensors, "tensors that a base model does not use")
        ->capture_default_str();
  }
  CLI::Option* const text = eval->add_option("--eval", s.eval, "text");
  eval->add_option("--teacher", s.teacher,
                   "base model from whose predictions on --eval those of the model are said to differ");
  CLI::Option* const tasks = eval->add_option(
      "--tasks", s.tasks,
      "tasks of lm-evaluation-harness, by commas, each NAME or NAME=FILE: piqa, arc_easy, arc_challenge, "
      "hellaswag, winogrande, mmlu or mmlu_SUBJECT, boolq, openbookqa, rte, gsm8k");
  eval->add_option("--task-data", s.task_data, "folder whose folders piqa, arc, … hold the files of tasks")
      ->capture_default_str();
  eval->add_option("--num-fewshot", s.shots,
                   "examples before each question; by default 5 for mmlu and gsm8k, else 0");
  eval->add_option("--limit", s.limit, "questions of each task that are asked, the first of its file; 0: all")
      ->capture_default_str();
  eval->add_option("--report", s.report, "file for all figures as JSON");
  eval->add_option(
      "--samples", s.samples,
      "file for each question of the tasks as JSON lines: what was asked, and what the model made of it");
  eval->add_option("--length", s.length, "tokens in a chunk")->capture_default_str();
  eval->add_option("--text-field", s.text_field, "what holds the text of a record")->capture_default_str();
  eval->add_option("--chat", s.chat, "how conversations are written")->capture_default_str();
  eval->add_option("--min-characters", s.min_characters, "documents of a plain text that have no more are left out")
      ->capture_default_str();
  for (const char* const name : {"--task-data", "--num-fewshot", "--limit"}) eval->get_option(name)->needs(tasks);
  eval->get_option("--length")->needs(text);
  for (CLI::App* command : {train, eval})
    command->get_option("--chat")->check(CLI::IsMember({"template", "chatml", "llama3", "alpaca"}));
  for (CLI::App* command : {train, eval, generate})
    command->get_option("--unused-tensors")->check(CLI::IsMember({"refused", "ignored"}));
  generate->add_option("--prompt", s.prompt, "what the text begins with")->capture_default_str();
  generate->add_option("--tokens", s.count, "how many at most")->capture_default_str();
  generate->add_option("--temperature", s.temperature, "0: always the most likely token")->capture_default_str();
  generate->add_option("--top-p", s.top_p, "sample from the fewest tokens of this probability")
      ->capture_default_str();
  generate->add_option("--seed", s.seed, "of the sampling")->capture_default_str();
  for (CLI::App* command : {train, replay, eval, generate})
    command->add_option("--threads", s.threads, "0: one per core; the result does not depend on it")
        ->check(CLI::Range(0, 1024))
        ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  require_command(app);
  if (*train) {
    require_new_settings(*train, s);
    require_options_of_training(*train, s);
    if (s.resume)
      s = of_log(s);
    else
      complete(*train, s);
    require_sensible(s);
    require_outputs(s);
    int status = 0;
    if (s.trains_stored()) {
      with_stored_model(s, [&]<class Family>() { status = train_stored<Family>(s); });
      return status;
    }
    with_model(s.scheme, s, [&]<class Scheme, class Family>() {
      if constexpr (!std::is_same_v<Scheme, quant::full_precision>) status = train_model<Scheme, Family>(s);
    });
    return status;
  } else if (*replay) {
    s = of_log(s);
    require_outputs(s);
    if (s.trains_stored()) return with_stored_model(s, [&]<class Family>() { replay_stored<Family>(s); }), 0;
    with_model(s.scheme, s, [&]<class Scheme, class Family>() {
      if constexpr (!std::is_same_v<Scheme, quant::full_precision>) replay_model<Scheme, Family>(s);
    });
  } else if (*info) {
    fmt::print("{}", info_of(file));
  } else if (*verify) {
    return verify_files(files);
  } else if (*report) {
    write_report(of_runs, page);
    fmt::print("{}: a report, {} bytes\n", page, std::filesystem::file_size(page));
  } else if (*exporting) {
    const auto measure = [&](const std::string& model) {
      if (to.eval.empty()) return;
      s.model = to.model, s.tokenizer = to.tokenizer, s.eval = to.eval, s.length = to.length;
      s.tokenizer = s.tokenizer_path();  // of what is exported: not all that is written has one that is read
      s.model = model;
      fmt::print("{}: ", model);
      with_model(trained_scheme_of(model), s,
                 [&]<class Scheme, class Family>() { evaluate_model<Scheme, Family>(s); });
    };
    require_exportable(to);
    measure(to.model);
    export_model(to);
    measure(to.destination());
  } else if (*eval) {
    require_within("--length", static_cast<double>(s.length), {2, 1e9});
    require_within("--limit", static_cast<double>(s.limit), {0, 1e9});
    require_within("--num-fewshot", static_cast<double>(s.shots.value_or(0)), {0, 1e3});
    require_options_of_texts(*eval, {s.eval});
    require_options_of_model(*eval, s);
    require_evaluable(s);
    with_model(trained_scheme_of(s.model), s,
               [&]<class Scheme, class Family>() { evaluate_model<Scheme, Family>(s); });
  } else {
    require_within("--tokens", static_cast<double>(s.count), {0, 1e9});
    require_within("--temperature", static_cast<double>(s.temperature), {0, 1e3});
    constexpr std::string_view certain = "--temperature 0 takes the most likely token always";
    require_useful(*generate, std::array<option_use, 2>{
                                  {{"top-p", s.temperature > 0, certain}, {"seed", s.temperature > 0, certain}}});
    require_within("--top-p", static_cast<double>(s.top_p), {0, 1, true});
    require_options_of_model(*generate, s);
    with_model(trained_scheme_of(s.model), s,
               [&]<class Scheme, class Family>() { generate_text<Scheme, Family>(s); });
  }
  return 0;
}

int main(int argc, char** argv) {
  return guarded_main("zeroqat", [&] { return run(argc, argv); });
}
