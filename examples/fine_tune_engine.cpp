// SPDX-License-Identifier: Apache-2.0
//
// The same engine in C, fine-tuned at 3 and at 4 bits by its own loss, with no number chosen:
//
//   fine_tune_engine [steps] [seed] [what] [bits]
//
// where `bits` is 3 or 4 for one of the two, and `what` is
//   step-sizes   the weights start from a reconstruction, and the step sizes of its grids train (the default);
//   weights      the engine's weights train where they lie, in the mapped file; it rounds them itself;
//   fp16         the same with weights that the engine keeps in 16 bits.
// The lines that an engine adds are in `fine_tune` and the calls of `add`.

#include "engine/stories.hpp"  // the engine, which knows no type of the library; its texts, perplexity and moments

#include <zoqat/core/error.hpp>              // require
#include <zoqat/core/executor.hpp>           // thread_pool
#include <zoqat/params/half_views.hpp>       // fp16_view: bits of fp16 as the library names them
#include <zoqat/ptq/reconstruct_matrix.hpp>  // reconstruct_matrix: where training starts
#include <zoqat/quant/fake_quantize.hpp>     // fake_quantize: rounding to nearest, to compare with
#include <zoqat/quant/host_matrix.hpp>       // host_matrix: codes whose step sizes train
#include <zoqat/zo/embed/fine_tuner.hpp>     // fine_tuner

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

using namespace stories;

namespace {

/// Sequences of the training text that a part of a step sees.
constexpr int sequences = 2;

struct choices {
  std::uint32_t steps;
  std::uint64_t seed;
  std::string_view what;
  unsigned long bits;  ///< 0: 3 and 4

  [[nodiscard]] bool has(unsigned long b) const noexcept { return bits == 0 || bits == b; }
};

/// Trains what was given to the tuner; `deploy` writes the weights that the forward pass reads.
template <class Deploy>
zo::fine_tuner_result fine_tune(zo::fine_tuner& tuner, const story_setting& s, std::uint32_t steps, Deploy&& deploy) {
  const auto result = tuner.run(steps, [&](std::uint32_t step, std::uint32_t micro_batch) {
    deploy();
    return stories_loss(&s, calibration + static_cast<int>(step * 2 + micro_batch) * sequences, sequences);
  });
  deploy();
  std::printf("%s\nloss on other data %.17g -> %.17g%s\n", tuner.probe_line().c_str(), result.loss_before,
              result.loss_after, result.kept_start ? ": the start was kept" : "");
  return result;
}

// --- Step sizes, from a reconstruction
// -------------------------------------------------------------------------------

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

/// Perplexity of the engine's weights, rounded to nearest.
template <class Weight>
double nearest(const story_setting& s, thread_pool& threads) {
  std::vector<matrix<float>> rounded;
  for (int i = 0; i != engine_matrices(s.e); ++i) {
    const auto weights = weights_of(engine_matrix_at(s.e, i));
    auto& out = rounded.emplace_back(weights.rows(), weights.cols());
    quant::fake_quantize<Weight>(weights, out, {}, threads);
    engine_use(s.e, i, out.data());
  }
  const double result = stories_perplexity(&s, &s.valid);
  for (int i = 0; i != engine_matrices(s.e); ++i) engine_use(s.e, i, nullptr);
  return result;
}

template <class Weight>
void train_step_sizes(const char* name, const story_setting& s, const std::vector<ptq::input_moments>& moments,
                      const choices& chosen) {
  thread_pool threads;
  const double rounded = nearest<Weight>(s, threads);
  const auto begin = std::chrono::steady_clock::now();
  deployment<Weight> deployed(s.e, moments, threads);
  const double before = stories_perplexity(&s, &s.valid);
  zo::fine_tuner tuner({.seed = chosen.seed});
  for (int i = 0; i != engine_matrices(s.e); ++i)
    tuner.add(engine_matrix_at(s.e, i).name, deployed.matrices[static_cast<std::size_t>(i)]);
  fine_tune(tuner, s, chosen.steps, [&] { deployed.materialize(); });
  std::printf("%-20s round-to-nearest %7.3f   reconstructed %7.3f   fine-tuned %7.3f   %.0f s\n", name, rounded,
              before, stories_perplexity(&s, &s.valid),
              std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  for (int i = 0; i != engine_matrices(s.e); ++i) engine_use(s.e, i, nullptr);
}

// --- Weights in the engine's own buffers
// -----------------------------------------------------------------------------

/// The engine's weights as they were, in 32 and in 16 bits.
struct kept_weights {
  std::vector<std::vector<float>> floats;
  std::vector<std::vector<std::uint16_t>> halves;

  explicit kept_weights(const engine* e) {
    for (int i = 0; i != engine_matrices(e); ++i) {
      const auto m = weights_of(engine_matrix_at(e, i));
      const std::span values(m.data(), m.size());
      floats.emplace_back(values.begin(), values.end());
      auto& bits = halves.emplace_back();
      for (const float w : values) bits.push_back(fp16(w).bits);
    }
  }
};

/// Reads weights of 16 bits as floats.
void widen(std::span<const fp16> halves, float* out) {
  for (const fp16 half : halves) *out++ = static_cast<float>(half);
}

void train_weights(const char* name, const story_setting& s, int bits, int group, const choices& chosen) {
  const auto begin = std::chrono::steady_clock::now();
  kept_weights kept(s.e);
  rounded_engine r;
  require(rounded_open(&r, s.e, bits, group), "there is no memory for the rounded weights");
  const double before = stories_perplexity(&s, &s.valid);
  zo::fine_tuner tuner({.seed = chosen.seed});
  std::vector<std::span<fp16>> halves;
  for (std::size_t i = 0; i != kept.floats.size(); ++i) {
    const engine_matrix m = engine_matrix_at(s.e, static_cast<int>(i));
    if (chosen.what == "fp16")
      tuner.add(m.name, halves.emplace_back(fp16_view(kept.halves[i].data(), kept.halves[i].size())));
    else
      tuner.add(m.name, std::span(r.masters[i], kept.floats[i].size()));
  }
  fine_tune(tuner, s, chosen.steps, [&] {
    for (std::size_t i = 0; i != halves.size(); ++i) widen(halves[i], r.masters[i]);
    rounded_deploy(&r, s.e);
  });
  std::printf("%-20s round-to-nearest %7.3f   fine-tuned %7.3f   %.0f s\n", name, before,
              stories_perplexity(&s, &s.valid),
              std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  for (std::size_t i = 0; i != kept.floats.size(); ++i) std::ranges::copy(kept.floats[i], r.masters[i]);
  rounded_close(&r, s.e);
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, unsigned long otherwise) {
    return argc > i ? std::strtoul(argv[i], nullptr, 10) : otherwise;
  };
  const choices chosen{static_cast<std::uint32_t>(number(1, 300)), number(2, 0), argc > 3 ? argv[3] : "step-sizes",
                       number(4, 0)};
  if (chosen.what != "step-sizes" && chosen.what != "weights" && chosen.what != "fp16")
    return std::fprintf(stderr, "usage: fine_tune_engine [steps] [seed] [step-sizes | weights | fp16] [3 | 4]\n"), 1;
  const std::uint32_t with_compared = chosen.steps + zo::fine_tuner_options().compared_steps;
  const int seen = calibration + 2 * sequences * static_cast<int>(with_compared);
  return with_setting("fine_tune_engine", 250, seen, [&](const story_setting& s) {
    std::printf("perplexity in full precision %.3f\n", stories_perplexity(&s, &s.valid));
    if (chosen.what != "step-sizes") {
      if (chosen.has(3)) train_weights("3 bits per channel", s, 3, 0, chosen);
      if (chosen.has(4)) train_weights("4 bits, groups of 32", s, 4, 32, chosen);
      return;
    }
    const auto moments = gather(s);
    if (chosen.has(3)) train_step_sizes<quant::weight<3>>("3 bits per channel", s, moments, chosen);
    if (chosen.has(4))
      train_step_sizes<quant::weight<4, quant::group<32>>>("4 bits, groups of 32", s, moments, chosen);
  });
}
