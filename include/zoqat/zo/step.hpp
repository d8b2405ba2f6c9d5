// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/optimizer.hpp>
#include <zoqat/zo/update.hpp>

#include <cstdint>
#include <type_traits>

namespace zoqat::inline ZOQAT_ABI::zo {

/// One step of zeroth-order training, which is all there is to the method: Algorithm 1 of
///
///   ZeroQAT: End-to-End On-Device Quantization-Aware Training for LLMs at Inference Cost. arXiv 2509.00031, 2025,
///
/// after MeZO (S. Malladi et al., "Fine-Tuning Language Models with Just Forward Passes", NeurIPS 2023). In the
/// paper's symbols: θ are the masters (W, and s, δ, α, β of the quantizers), Q the quantized model, B the batch of
/// step t, u ~ N(0, I) or uniform on {−1, 1}ᵈ, ε the perturbation scale, η the learning rate.
///
/// `train::run` is this in a loop. It moves the masters in the sweep of the next forward pass instead of one of its
/// own (`deferred_update`); the bits are the same. Returns the estimate. Where anything throws, neither θ nor the
/// optimizer has changed.
template <parameter_store Store, class Objective, class Difference, distribution Distribution, class Shaping,
          optimizer Optimizer, class Executor = sequential>
  requires objective<Objective, Distribution> && executor<std::remove_cvref_t<Executor>>
estimate<Distribution> step(Store& theta, Objective& loss,
                            const estimator<Difference, Distribution, Shaping>& estimator, Optimizer& optimizer,
                            std::uint32_t t, Executor&& threads = {}) {
  // Perturb: the points θ + εu and θ − εu, for each direction u that (seed, t) names. Nothing is moved.
  const auto lanes = estimator.ask(t);
  // Two losses: L⁺ = L(Q(θ + εu); B) and L⁻ = L(Q(θ − εu); B), each a forward pass.
  const loss_table losses = evaluate(loss, lanes);
  // Estimate: ĝ = (L⁺ − L⁻) / 2ε · u, the mean over the directions (eq. 2).
  const estimate<Distribution> gradient = estimator.tell(t, losses);
  // Update: θ ← θ − η ĝ (eq. 3). A loss that is not finite leaves θ alone.
  tentative_plan plan(optimizer);
  apply(plan(gradient), theta, threads);
  plan.keep();
  return gradient;
}

}  // namespace zoqat::zo
