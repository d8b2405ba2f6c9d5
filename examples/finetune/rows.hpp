// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>  // model_kind
#include <zoqat/nn/prefix.hpp>         // add_prefix
#include <zoqat/nn/visit.hpp>          // copy_base_tensors
#include <zoqat/ptq/prepare.hpp>       // prepare, set_weight_units

#include <common/model_files.hpp>  // open_base_model
#include <common/model_parts.hpp>  // packed_bytes
#include <common/recipe.hpp>
#include <finetune/full_precision.hpp>
#include <finetune/plan.hpp>  // require_ready
#include <finetune/scheme.hpp>
#include <finetune/training.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

/// The rows of the table, in their order.
namespace zoqat::programs {

/// A base model under a scheme, where ZeroQAT begins to train the layers named.
template <class Model, class Base>
Model quantized_start(const std::string& trained, workbench& bench, const settings& s) {
  const auto measured_in_steps = [&](Model model) {
    if (s.optimizer == "parabolic") ptq::set_weight_units(model);
    return model;
  };
  if (s.start == "rtn") return measured_in_steps(io::load<Model>(bench.source, s.plan(trained, bench.seed)));
  auto base = io::load<Base>(bench.source);
  auto model = io::load<Model>(bench.source);
  ptq::prepare_options how = recipe(s.start == "reconstructed" ? ptq::stage::codes : ptq::stage::smoothquant);
  how.weight_units = false;  // they are measured on the masters as the plan stores them
  ptq::prepare(model, base, bench.calibration, bench.threads, how);
  model.store(s.plan(trained, bench.seed));
  return measured_in_steps(std::move(model));
}

/// Gives a model the prefix that it trains, which starts as tokens of training items.
template <class Model>
void start_prefix(Model& model, workbench& bench, const settings& s) {
  std::vector<nn::token> tokens;
  for (const nn::token_batch& batch : bench.calibration)
    for (std::size_t i = 0; i != batch.tokens() && tokens.size() != s.prefix_tokens; ++i) tokens.push_back(batch[i]);
  require(tokens.size() == s.prefix_tokens, "--prefix-tokens {}: the calibration items have only {} to start from",
          s.prefix_tokens, tokens.size());
  nn::add_prefix(model, tokens, bench.threads);
}

/// Zero-shot, full-precision ZO, and what quantizing that leaves of it.
template <class Model, class Base>
void add_baselines(workbench& bench, const settings& s, results& to) {
  Base tuned = add_full_precision_rows<Base>(bench, s, to);
  Model quantized(bench.source.shape());
  nn::copy_base_tensors(tuned, quantized);
  ptq::prepare_options how = recipe(Model::scheme::smooths_inputs ? ptq::stage::smoothquant : ptq::stage::rtn);
  how.after_stage = [&](ptq::stage done) {
    to.add(done == ptq::stage::rtn ? "MeZO, rtn" : "MeZO, smoothquant", quantized, bench);
  };
  ptq::prepare(quantized, tuned, bench.calibration, bench.threads, how);
}

template <class Model, class Base>
void add_rows(workbench& bench, const settings& s, results& to) {
  if (!s.only_zeroqat) add_baselines<Model, Base>(bench, s, to);
  for (const std::string& choice : s.trains) {
    const std::string trained = settings::trained_of(choice);
    const auto make = [&] {
      auto model = quantized_start<Model, Base>(trained, bench, s);
      if (trained == only_prefix) start_prefix(model, bench, s);
      return model;
    };
    tune(settings::row_of(trained), trained, make, bench, s, to);
  }
}

/// Calls f.operator()<Model, the same in full precision>() with the model type of a file and a scheme. Shifts are for
/// OPT as it is published: more types would take their time to compile.
template <class Scheme, class F>
void with_model(const model_kind& kind, const std::string& scheme, F&& f) {
  const auto opt = [&]<class Activation>(Activation) {
    f.template operator()<nn::opt<Scheme, Activation>, full_opt<Activation>>();
  };
  if constexpr (Scheme::shifts_inputs) {
    require(kind.family == model_family::opt && kind.activation == activation_function::relu,
            "--scheme {}: is offered for OPT with ReLU; for another model take one without the shift", scheme);
    opt(nn::relu{});
  } else {
    if (kind.family == model_family::llama)
      f.template operator()<nn::llama<Scheme>, full_llama>();
    else if (kind.activation == activation_function::relu)
      opt(nn::relu{});
    else if (kind.activation == activation_function::gelu_tanh)
      opt(nn::gelu_tanh{});
    else
      opt(nn::gelu_erf{});
  }
}

template <class Scheme>
void fine_tune(const settings& s) {
  results all;
  const model_shape shape = open_base_model(s.model).shape();
  require_ready(s, shape, packed_bytes(shape, Scheme::weight_type::bits));
  with_model<Scheme>(shape.kind, s.scheme, [&]<class Model, class Base>() {
    require(s.start != "reconstructed" || ptq::holds_grids<Scheme>,
            "--start reconstructed: scheme {} has no grids that could be chosen; take w2a16g128", s.scheme);
    for (const std::uint64_t seed : s.seeds) {
      workbench bench(s, seed);
      add_rows<Model, Base>(bench, s, all);
    }
  });
  fmt::print("\n{}", all.table.text(fmt::format("{}, {}, {} masters", s.task, s.scheme, s.masters)));
  if (!s.report.empty()) all.table.write_json(s.report);
}

}  // namespace zoqat::programs
