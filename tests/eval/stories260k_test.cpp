// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <support/data.hpp>
#include <zoqat/eval/corpus.hpp>
#include <zoqat/eval/perplexity.hpp>
#include <zoqat/io/llama2c.hpp>
#include <zoqat/io/load.hpp>
#include <zoqat/io/text_file.hpp>
#include <zoqat/nn/generate.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/ptq/round_to_nearest.hpp>
#include <zoqat/text/llama2c_tokenizer.hpp>

#include <cmath>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// A real model on real text, against figures of an independent implementation: perplexity per token over chunks of
// 256 tokens, in full precision and rounded to nearest. The figures have three digits; with quantized activations a
// few codes close to a boundary fall another way.

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

// Under a sanitizer everything takes many times as long, compiling it too: two schemes will do.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif
#else
constexpr bool sanitized = false;
#endif

using teacher = nn::llama<full_precision>;

/// A perplexity of the manifest.
struct figure {
  double found, published;
};

struct stories {
  std::filesystem::path checkpoint;
  text::llama2c_tokenizer tokenizer;
  eval::chunks corpus;
  thread_pool threads{2};
  nn::workspace work;

  [[nodiscard]] teacher load() const { return io::load<teacher>(io::llama2c_checkpoint(checkpoint)); }

  template <class Scheme>
  double perplexity_under() {
    auto from = load();
    nn::llama<Scheme> model(from.shape());
    nn::copy_base_tensors(from, model);
    ptq::round_to_nearest(model);
    return eval::perplexity(model, corpus, threads, work);
  }
  /// With quantized weights alone: the teacher computes with what the codes stand for.
  template <class Weight>
  double perplexity_with() {
    auto model = load();
    model.for_each_shared_input([](auto&& input) {
      for (auto* layer : input.layers) {
        auto& values = layer->weight().values();
        values = dequantize(quantize<Weight>(values.view()));
      }
    });
    return eval::perplexity(model, corpus, threads, work);
  }
};

std::optional<stories> open() {
  const auto checkpoint = shared_data("models/stories260K/stories260K.bin");
  const auto tokens = shared_data("models/stories260K/tok512.bin");
  const auto file = shared_data("data/tinystories/tinystories_valid_30k.txt");
  if (!checkpoint || !tokens || !file) return std::nullopt;
  const text::llama2c_tokenizer tokenizer(*tokens, 512);
  const std::string text = io::read_text(*file);
  const auto stories_of_text = eval::split_documents(text);
  auto corpus =
      eval::chunk_documents(stories_of_text, 256, [&](std::string_view s) { return tokenizer.encode(s, true); });
  return std::optional<stories>(std::in_place, *checkpoint, tokenizer, std::move(corpus));
}

}  // namespace

TEST_CASE("stories260K in full precision has the perplexity it should, and rounded to nearest too") {
  auto s = open();
  if (!s) return;
  auto model = s->load();
  CHECK(std::abs(eval::perplexity(model, s->corpus, s->threads, s->work) - 5.735) < 0.005);

  std::vector<figure> figures{
      {s->perplexity_under<scheme<weight<4>, activation<4>, attention<4>>>(), 15.0},
      {s->perplexity_under<scheme<weight<3, group<32>>>>(), 10.5},
  };
  if constexpr (!sanitized) {
    figures.insert(figures.end(), {
                                      {s->perplexity_under<scheme<weight<6>, activation<6>, attention<6>>>(), 5.96},
                                      {s->perplexity_under<scheme<weight<4>, activation<4>>>(), 8.01},
                                      {s->perplexity_with<weight<4>>(), 6.42},
                                      {s->perplexity_with<weight<3>>(), 14.5},
                                      {s->perplexity_with<weight<2>>(), 592},
                                      {s->perplexity_with<weight<2, group<64>>>(), 471},
                                      {s->perplexity_with<weight<2, group<32>>>(), 333},
                                  });
  }
  for (const auto& [found, published] : figures) CHECK(found == doctest::Approx(published).epsilon(0.01));
}

TEST_CASE("stories260K tells its story") {
  auto s = open();
  if (!s) return;
  auto model = s->load();
  nn::generator<teacher, thread_pool> generate(model, s->threads);
  rng::engine unused({});
  const std::string_view expected =
      ", there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red "
      "ball. She "
      "wanted to play with it, but it was too high.";
  std::string text;
  nn::token previous = 0;
  generate(
      s->tokenizer.encode("Once upon a time", true), 200, {}, unused,
      [&](nn::token) { return text.size() >= expected.size(); },
      [&](nn::token t) { text += s->tokenizer.decode(std::exchange(previous, t), t); });
  CHECK(text == expected);
}
