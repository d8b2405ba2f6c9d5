// SPDX-License-Identifier: Apache-2.0
//
// The same engine in C, fine-tuned at 3 and at 4 bits with no number chosen: the weights start from a reconstruction,
// and the step sizes of its grids train by the engine's own loss. The lines that an engine adds are in `fine_tune`.
//
//   fine_tune_engine [steps] [seed]

#include "engine/stories.hpp"  // the engine, which knows no type of the library; its texts, perplexity and moments

#include <zoqat/core/executor.hpp>           // thread_pool
#include <zoqat/ptq/reconstruct_matrix.hpp>  // reconstruct_matrix: where training starts
#include <zoqat/quant/fake_quantize.hpp>     // fake_quantize: rounding to nearest, to compare with
#include <zoqat/quant/host_matrix.hpp>       // host_matrix: codes whose step sizes train
#include <zoqat/zo/embed/fine_tuner.hpp>     // fine_tuner

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

using namespace stories;

namespace {

/// Sequences of the training text that a part of a step sees.
constexpr std::size_t sequences = 2;

/// The engine's matrices as they are deployed, and the buffers that its forward pass reads them from.
template <class Weight>
struct deployment {
  std::vector<quant::host_matrix<Weight>> matrices;
  std::vector<matrix<float>> buffers;

  deployment(engine* e, const std::vector<ptq::input_moments>& moments, thread_pool& threads) {
    for (int i = 0; i != engine_matrices(e); ++i) {
      const auto weights = weights_of(engine_matrix_at(e, i));
      matrices.emplace_back(
          ptq::reconstruct_matrix<Weight>(weights, moments[static_cast<std::size_t>(i)], threads).packed);
      engine_use(e, i, buffers.emplace_back(weights.rows(), weights.cols()).data());
    }
    materialize();
  }
  void materialize() {
    for (std::size_t i = 0; i != matrices.size(); ++i) matrices[i].materialize(buffers[i]);
  }
};

template <class Weight>
zo::fine_tuner_result fine_tune(engine* e, deployment<Weight>& deployed, const chunks& text, std::uint32_t steps,
                                std::uint64_t seed) {
  zo::fine_tuner tuner({.seed = seed});
  for (int i = 0; i != engine_matrices(e); ++i)
    tuner.add(engine_matrix_at(e, i).name, deployed.matrices[static_cast<std::size_t>(i)]);
  const auto result = tuner.run(steps, [&](std::uint32_t step, std::uint32_t micro_batch) {
    deployed.materialize();
    double loss = 0;
    for (std::size_t i = 0; i != sequences; ++i) {
      const auto& tokens = text[((step * 2 + micro_batch) * sequences + i) % text.size()];
      loss += engine_loss(e, tokens.data(), static_cast<int>(tokens.size())) / static_cast<double>(tokens.size() - 1);
    }
    return loss / sequences;
  });
  deployed.materialize();
  std::printf("%s\n", tuner.probe_line().c_str());
  return result;
}

template <class Weight>
void compare(const char* name, setting& s, const std::vector<ptq::input_moments>& moments, std::uint32_t steps,
             std::uint64_t seed) {
  engine* const e = s.engine_of_stories.get();
  thread_pool threads;
  const auto start = std::chrono::steady_clock::now();
  deployment<Weight> deployed(e, moments, threads);
  const double before = perplexity(e, s.text);
  const auto result = fine_tune(e, deployed, s.calibration, steps, seed);
  const double after = perplexity(e, s.text);
  for (std::size_t i = 0; i != deployed.buffers.size(); ++i) {
    const int at = static_cast<int>(i);
    engine_use(e, at, nullptr);
    quant::fake_quantize<Weight>(weights_of(engine_matrix_at(e, at)), deployed.buffers[i], {}, threads);
    engine_use(e, at, deployed.buffers[i].data());
  }
  std::printf("%-20s round-to-nearest %7.3f   reconstructed %7.3f   fine-tuned %7.3f%s   %.0f s\n", name,
              perplexity(e, s.text), before, after, result.kept_start ? " (the start: training did not help)" : "",
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  for (int i = 0; i != engine_matrices(e); ++i) engine_use(e, i, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, unsigned long otherwise) {
    return argc > i ? std::strtoul(argv[i], nullptr, 10) : otherwise;
  };
  const auto steps = static_cast<std::uint32_t>(number(1, 300));
  const std::uint64_t seed = number(2, 0);
  return with_setting("fine_tune_engine", 250, [&](setting& s) {
    std::printf("perplexity in full precision %.3f\n", perplexity(s.engine_of_stories.get(), s.text));
    const auto moments = gather(s.engine_of_stories.get(), s.calibration);
    compare<quant::weight<3>>("3 bits per channel", s, moments, steps, seed);
    compare<quant::weight<4, quant::group<32>>>("4 bits, groups of 32", s, moments, steps, seed);
  });
}
