// SPDX-License-Identifier: Apache-2.0
//
// An engine in C that exists already (engine/), quantized by nothing but zoqat/quant and zoqat/ptq: it gathers the
// second moments of what its matrices are multiplied with in its own forward pass, and every matrix is then rounded
// so that its outputs change least. Compares that with rounding to nearest, on stories260K of llama2.c.
//
//   quantize_in_engine        data in the folder that ZOQAT_DATA names, or in ../shared beside the checkout

#include "engine/engine.h"  // the engine: knows no type of the library

#include <zoqat/core/executor.hpp>           // thread_pool
#include <zoqat/ptq/input_moments.hpp>       // input_moments: E[x xᵀ] of a matrix's inputs
#include <zoqat/ptq/reconstruct_matrix.hpp>  // reconstruct_matrix: codes and grids for the least change of outputs
#include <zoqat/quant/fake_quantize.hpp>     // fake_quantize: rounding to nearest, from floats to floats

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

using namespace zoqat;

namespace {

using three_bits = quant::weight<3>;  // a grid for each output channel
using four_bits = quant::weight<4, quant::group<32>>;

// --- What any program around the engine does
// -------------------------------------------------------------------------

using engine_pointer = std::unique_ptr<engine, decltype(&engine_close)>;
using tokenizer_pointer = std::unique_ptr<engine_tokenizer, decltype(&engine_tokenizer_close)>;
using chunks = std::vector<std::vector<int>>;

/// The first `count` sequences of 256 tokens of a text, whose stories end at `<|endoftext|>`.
chunks read_chunks(const engine_tokenizer* tokenizer, const std::filesystem::path& path, std::size_t count) {
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  std::erase(text, '\r');
  const std::string end_of_story = "<|endoftext|>";
  std::vector<int> tokens;
  for (std::size_t first = 0; first < text.size() && tokens.size() < 256 * count;) {
    const std::size_t end = std::min(text.find(end_of_story, first), text.size());
    std::string story = text.substr(first, end - first);
    story.erase(0, story.find_first_not_of(" \n"));
    story.erase(story.find_last_not_of(" \n") + 1);
    std::vector<int> of_story(story.size() + 2);
    of_story.resize(static_cast<std::size_t>(
        engine_encode(tokenizer, story.c_str(), of_story.data(), static_cast<int>(of_story.size()))));
    if (!story.empty()) tokens.insert(tokens.end(), of_story.begin(), of_story.end());
    first = end + end_of_story.size();
  }
  chunks result;
  for (auto at = tokens.begin(); tokens.end() - at >= 256 && result.size() != count; at += 256)
    result.emplace_back(at, at + 256);
  return result;
}

double perplexity(engine* e, const chunks& text) {
  double total = 0, predictions = 0;
  for (const auto& chunk : text) {
    total += engine_loss(e, chunk.data(), static_cast<int>(chunk.size()));
    predictions += static_cast<double>(chunk.size() - 1);
  }
  return std::exp(total / predictions);
}

// --- What the library is for
// -----------------------------------------------------------------------------------------

matrix_view<const float> weights_of(const engine_matrix& m) {
  return {m.values, static_cast<std::size_t>(m.rows), static_cast<std::size_t>(m.cols)};
}

/// The moments of every matrix's inputs over the sequences of a text.
std::vector<ptq::input_moments> gather(engine* e, const chunks& text) {
  std::vector<ptq::input_moments> moments;
  for (int i = 0; i != engine_matrices(e); ++i) moments.emplace_back(weights_of(engine_matrix_at(e, i)).cols());
  const engine_watcher watch = [](void* user, int i, const float* x, int n) {
    auto& all = *static_cast<std::vector<ptq::input_moments>*>(user);
    all[static_cast<std::size_t>(i)].add(std::span(x, static_cast<std::size_t>(n)));
  };
  engine_watch(e, watch, &moments);
  for (const auto& chunk : text) engine_loss(e, chunk.data(), static_cast<int>(chunk.size()));
  engine_watch(e, nullptr, nullptr);
  return moments;
}

/// Rounds all matrices to nearest, then by their moments; prints the perplexity of both.
template <class Weight>
void compare(const char* name, engine* e, const std::vector<ptq::input_moments>& moments, const chunks& text) {
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
    const double result = perplexity(e, text);
    for (int i = 0; i != engine_matrices(e); ++i) engine_use(e, i, nullptr);
    return result;
  };
  const double before = with(nearest);
  std::printf("%-20s round-to-nearest %7.3f   reconstructed %7.3f\n", name, before, with(reconstructed));
}

void run(const std::filesystem::path& data) {
  char problem[512];
  const auto opened = [&](auto pointer) {
    if (!pointer) throw std::runtime_error(problem);
    return pointer;
  };
  const auto model = data / "models/stories260K";
  const auto e =
      opened(engine_pointer(engine_open((model / "stories260K.bin").c_str(), problem, sizeof problem), engine_close));
  const auto tokenizer = opened(tokenizer_pointer(
      engine_tokenizer_open((model / "tok512.bin").c_str(), engine_vocabulary(e.get()), problem, sizeof problem),
      engine_tokenizer_close));
  const chunks text = read_chunks(tokenizer.get(), data / "data/tinystories/tinystories_valid_30k.txt", 1000);
  const chunks calibration = read_chunks(tokenizer.get(), data / "data/tinystories/tinystories_2M.txt", 256);
  std::printf("perplexity in full precision %.3f\n", perplexity(e.get(), text));
  const auto moments = gather(e.get(), calibration);
  compare<three_bits>("3 bits per channel", e.get(), moments, text);
  compare<four_bits>("4 bits, groups of 32", e.get(), moments, text);
}

}  // namespace

int main() {
  const char* const variable = std::getenv("ZOQAT_DATA");
  const std::filesystem::path data = variable && *variable ? variable : ZOQAT_MODELS "/../../../shared";
  if (!std::filesystem::exists(data / "models/stories260K/stories260K.bin")) {
    std::printf("skipped: there is no models/stories260K in %s; set ZOQAT_DATA to the folder with the test data\n",
                data.c_str());
    return 0;
  }
  try {
    run(data);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "quantize_in_engine: %s\n", problem.what());
    return 1;
  }
}
