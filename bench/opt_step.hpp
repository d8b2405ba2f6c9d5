// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "products.hpp"

#include <zoqat/core/error.hpp>
#include <zoqat/nn/loss.hpp>
#include <zoqat/nn/opt.hpp>
#include <zoqat/ptq/prepare.hpp>
#include <zoqat/zo/deferred_update.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/optimizers/sgd.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace zoqat::bench {

/// A model of random weights, made in place so that its memory is the model's and no more.
template <class Model>
[[nodiscard]] Model random_model(const model_shape& shape) {
  Model model(shape);
  std::uint32_t tensor = 0;
  nn::for_each_base_tensor(model, [&](nn::trainable& t) {
    const bool gain = t.rows() == 1 && t.values()(0, 0) == 1;
    fill_normal(t.values().flat(), tensor++, 0.02f);
    if (gain)
      for (float& x : t.values().flat()) x += 1;
  });
  ptq::prepare(model);
  return model;
}

/// What of a model trains.
enum class model_variant {
  full,         ///< everything
  lightweight,  ///< the weights of q_proj and v_proj; all others are packed, and nothing else moves (section 4.3)
  deployed,     ///< nothing
};

/// A random model of OPT-125M's shape; `masters` is how the lightweight variant stores what trains.
template <class Model>
[[nodiscard]] Model model_of(model_variant v, master_format masters = master_format::fp32) {
  Model model = random_model<Model>(opt_125m);
  if (v == model_variant::deployed) model.deploy();
  if (v == model_variant::lightweight) model.store({.masters = masters});
  return model;
}

/// How far a step perturbs the groups of parameters that train.
[[nodiscard]] inline per_group<float> epsilon_of(model_variant v) {
  constexpr float epsilon = 1e-3f;
  if (v == model_variant::lightweight) return {.weight = epsilon};
  return per_group<float>::all(epsilon);
}

/// Sequences of `length` random tokens.
[[nodiscard]] inline nn::token_batch random_batch(std::size_t sequences, std::size_t length, std::size_t vocabulary) {
  rng::engine draw({.seed = 11, .use = rng::purpose::data});
  nn::token_batch batch;
  std::vector<nn::token> tokens(length);
  for (std::size_t i = 0; i != sequences; ++i) {
    for (nn::token& t : tokens) t = draw.below(static_cast<std::uint32_t>(vocabulary));
    batch.add(tokens);
  }
  return batch;
}

/// What a forward pass is reduced to.
enum class reduction {
  final_norm,     ///< mean square of the final norm's output: a stand-in that leaves out the head
  cross_entropy,  ///< the head on every token and the loss
};

/// Runs the model and reduces each lane to a number.
template <class Model, class Pass>
void reduce(Model& model, const Pass& pass, reduction how, std::span<double> losses) {
  if (how == reduction::cross_entropy) {
    std::vector<nn::token_loss> of_lane(losses.size());
    nn::cross_entropy(model, pass, std::span(of_lane));
    for (std::size_t lane = 0; lane != losses.size(); ++lane) losses[lane] = of_lane[lane].mean();
    return;
  }
  model.forward(pass);
  for (std::size_t lane = 0; lane != losses.size(); ++lane) {
    double squares = 0;
    for (std::size_t i = 0; i != pass.tokens(); ++i) {
      const auto row = pass.work.normed.row(lane * pass.tokens() + i);
      squares += double{Pass::kernels::dot(row.data(), row.data(), row.size())};
    }
    losses[lane] = squares / static_cast<double>(pass.tokens() * model.shape().hidden);
  }
}

/// A forward pass of one lane over a batch.
template <class Model, executor Executor>
class inference {
 public:
  inference(Model& model, const nn::token_batch& batch, Executor& threads, reduction how = reduction::final_norm)
      : model_(model), batch_(batch), threads_(threads), how_(how) {}
  void operator()() {
    constexpr inference_lane lane;
    double loss = 0;
    const nn::forward_pass<kernels, inference_lane, Executor> pass{lane, threads_, batch_, work_};
    reduce(model_, pass, how_, {&loss, 1});
  }

 private:
  Model& model_;
  const nn::token_batch& batch_;
  Executor& threads_;
  reduction how_;
  nn::workspace work_;
};

/// The objective of a training step on micro-batches; makes the update of the step before on its way, as
/// train::language_model_loss does.
template <class Model, executor Executor>
class batch_objective {
 public:
  batch_objective(Model& model, std::span<const nn::token_batch> batches, Executor& threads, reduction how)
      : model_(model), batches_(batches), threads_(threads), how_(how) {}

  template <zo::distribution Distribution>
  void operator()(const zo::lane_points<Distribution>& points, std::size_t micro_batch, std::span<double> losses) {
    using lanes_type = zo::lanes<Distribution, kernels, zo::deferred_update<kernels>>;
    const lanes_type lanes(points, &deferred_);
    const nn::forward_pass<kernels, lanes_type, Executor> pass{lanes, threads_, batches_[micro_batch], work_};
    reduce(model_, pass, how_, losses);
  }
  template <zo::distribution Distribution>
  void defer(const zo::update<Distribution>& u) {
    deferred_.defer(u, model_, threads_);
  }

 private:
  Model& model_;
  std::span<const nn::token_batch> batches_;
  Executor& threads_;
  reduction how_;
  nn::workspace work_;
  zo::deferred_update<kernels> deferred_;
};

/// A step of training in its steady state, as train::run makes it: an antithetic pair, the update it leads
/// to, and the update before it.
template <class Model, zo::distribution Distribution, executor Executor>
class training_step {
 public:
  training_step(Model& model, const per_group<float>& epsilon, std::span<const nn::token_batch> micro_batches,
                Executor& threads, reduction how = reduction::final_norm)
      : loss_(model, micro_batches, threads, how),
        estimator_{.epsilon = epsilon, .micro_batches = static_cast<std::uint32_t>(micro_batches.size())} {}
  training_step(Model& model, model_variant what, const nn::token_batch& batch, Executor& threads,
                reduction how = reduction::final_norm)
      : training_step(model, epsilon_of(what), {&batch, 1}, threads, how) {}
  void operator()() {
    const auto estimate = estimator_(step_++, loss_);
    require(!estimate.rejected(), "training_step: the loss is not finite, so there is no update to measure");
    loss_.defer(zo::plan(optimizer_, estimate));
  }

 private:
  batch_objective<Model, Executor> loss_;
  zo::estimator<zo::central, Distribution> estimator_;
  zo::sgd<> optimizer_{.learning_rate = per_group<float>::all(1e-7f)};
  std::uint32_t step_ = 0;
};

}  // namespace zoqat::bench
