// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the programs around the engine share: its model and texts, its perplexity, the moments of its inputs.

#include "engine.h"

#include <zoqat/core/matrix.hpp>        // matrix_view
#include <zoqat/ptq/input_moments.hpp>  // input_moments: E[x xᵀ] of a matrix's inputs

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace stories {

using namespace zoqat;

using engine_pointer = std::unique_ptr<engine, decltype(&engine_close)>;
using tokenizer_pointer = std::unique_ptr<engine_tokenizer, decltype(&engine_tokenizer_close)>;
using chunks = std::vector<std::vector<int>>;

/// The first `count` sequences of 256 tokens of a text, whose stories end at `<|endoftext|>`.
inline chunks read_chunks(const engine_tokenizer* tokenizer, const std::filesystem::path& path, std::size_t count) {
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

inline double perplexity(engine* e, const chunks& text) {
  double total = 0, predictions = 0;
  for (const auto& chunk : text) {
    total += engine_loss(e, chunk.data(), static_cast<int>(chunk.size()));
    predictions += static_cast<double>(chunk.size() - 1);
  }
  return std::exp(total / predictions);
}

inline matrix_view<const float> weights_of(const engine_matrix& m) {
  return {m.values, static_cast<std::size_t>(m.rows), static_cast<std::size_t>(m.cols)};
}

/// The moments of every matrix's inputs over the sequences of a text.
inline std::vector<ptq::input_moments> gather(engine* e, const chunks& text) {
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

/// The model stories260K with its texts.
struct setting {
  engine_pointer engine_of_stories;
  tokenizer_pointer tokenizer;
  chunks text, calibration;

  /// Opens the files in a folder of test data, and reads so many sequences to evaluate on. Throws what the engine
  /// says.
  setting(const std::filesystem::path& data, std::size_t text_size)
      : engine_of_stories(open_engine(data)), tokenizer(open_tokenizer(data, engine_of_stories.get())) {
    text = read_chunks(tokenizer.get(), data / "data/tinystories/tinystories_valid_30k.txt", text_size);
    calibration = read_chunks(tokenizer.get(), data / "data/tinystories/tinystories_2M.txt", 256);
  }

 private:
  static engine_pointer open_engine(const std::filesystem::path& data) {
    char problem[512];
    engine_pointer e(engine_open((data / "models/stories260K/stories260K.bin").c_str(), problem, sizeof problem),
                     engine_close);
    if (!e) throw std::runtime_error(problem);
    return e;
  }
  static tokenizer_pointer open_tokenizer(const std::filesystem::path& data, const engine* e) {
    char problem[512];
    tokenizer_pointer t(engine_tokenizer_open((data / "models/stories260K/tok512.bin").c_str(), engine_vocabulary(e),
                                              problem, sizeof problem),
                        engine_tokenizer_close);
    if (!t) throw std::runtime_error(problem);
    return t;
  }
};

/// Calls f(setting) with the data in the folder that ZOQAT_DATA names, or in ../shared beside the checkout; says so
/// where there is none. Returns what main is to.
template <class F>
int with_setting(const char* program, std::size_t text_size, F&& f) {
  const char* const variable = std::getenv("ZOQAT_DATA");
  const std::filesystem::path data = variable && *variable ? variable : ZOQAT_MODELS "/../../../shared";
  if (!std::filesystem::exists(data / "models/stories260K/stories260K.bin")) {
    std::printf("skipped: there is no models/stories260K in %s; set ZOQAT_DATA to the folder with the test data\n",
                data.c_str());
    return 0;
  }
  try {
    setting s(data, text_size);
    f(s);
    return 0;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "%s: %s\n", program, problem.what());
    return 1;
  }
}

}  // namespace stories
