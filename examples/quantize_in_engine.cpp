// SPDX-License-Identifier: Apache-2.0
//
// An engine in C that exists already (engine/), quantized by nothing but zoqat/quant and zoqat/ptq: it gathers the
// second moments of what its matrices are multiplied with in its own forward pass, and every matrix is then rounded
// so that its outputs change least. Compares that with rounding to nearest, on stories260K of llama2.c.
//
//   quantize_in_engine        data in the folder that ZOQAT_DATA names, or in ../shared beside the checkout

#include "engine/stories.hpp"  // the engine, which knows no type of the library; its texts, perplexity and moments

#include <zoqat/core/executor.hpp>           // thread_pool
#include <zoqat/ptq/reconstruct_matrix.hpp>  // reconstruct_matrix: codes and grids for the least change of outputs
#include <zoqat/quant/fake_quantize.hpp>     // fake_quantize: rounding to nearest, from floats to floats

#include <cstddef>
#include <cstdio>
#include <vector>

using namespace stories;

namespace {

using three_bits = quant::weight<3>;  // a grid for each output channel
using four_bits = quant::weight<4, quant::group<32>>;

/// Rounds all matrices to nearest, then by their moments; prints the perplexity of both.
template <class Weight>
void compare(const char* name, const story_setting& s, const std::vector<ptq::input_moments>& moments) {
  engine* const e = s.e;
  thread_pool threads;
  std::vector<matrix<float>> nearest, reconstructed;
  for (int i = 0; i != engine_matrices(e); ++i) {
    const auto weights = weights_of(engine_matrix_at(e, i));
    quant::fake_quantize<Weight>(weights, nearest.emplace_back(weights.rows(), weights.cols()), {}, threads);
    const auto& seen = moments[static_cast<std::size_t>(i)];
    reconstructed.push_back(ptq::reconstruct_matrix<Weight>(weights, seen, threads).values);
  }
  const auto with = [&](std::vector<matrix<float>>& deployed) {
    for (int i = 0; i != engine_matrices(e); ++i) engine_use(e, i, deployed[static_cast<std::size_t>(i)].data());
    const double result = stories_perplexity(&s, &s.valid);
    for (int i = 0; i != engine_matrices(e); ++i) engine_use(e, i, nullptr);
    return result;
  };
  const double before = with(nearest);
  std::printf("%-20s round-to-nearest %7.3f   reconstructed %7.3f\n", name, before, with(reconstructed));
}

}  // namespace

int main() {
  return with_setting("quantize_in_engine", 1000, calibration, [](const story_setting& s) {
    std::printf("perplexity in full precision %.3f\n", stories_perplexity(&s, &s.valid));
    const auto moments = gather(s);
    compare<three_bits>("3 bits per channel", s, moments);
    compare<four_bits>("4 bits, groups of 32", s, moments);
  });
}
