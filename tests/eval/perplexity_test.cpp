// SPDX-License-Identifier: Apache-2.0
#include <zoqat/eval/perplexity.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <support/reference_llama.hpp>
#include <zoqat/nn/llama.hpp>

#include <cmath>
#include <cstddef>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using model_type = nn::llama<quant::full_precision>;

eval::chunks random_corpus(std::size_t count, std::size_t length) {
  eval::chunks corpus;
  for (std::uint32_t i = 0; i != count; ++i) corpus.push_back(random_tokens(length, 37, i));
  return corpus;
}

}  // namespace

TEST_CASE("perplexity is exp of the mean loss within chunks, whatever the batches and threads") {
  auto model = random_model<model_type>(odd_shape(), 1);
  const auto corpus = random_corpus(7, 11);
  const reference_llama reference(model);
  double expected = 0;
  for (const auto& chunk : corpus)
    for (const double loss : reference.losses(chunk)) expected += loss;

  nn::workspace work;
  thread_pool one(1), three(3);
  const nn::token_loss whole = eval::cross_entropy(model, corpus, one, work);
  CHECK(whole.tokens == 70);
  CHECK(whole.sum == doctest::Approx(expected).epsilon(1e-6));
  CHECK(eval::perplexity(model, corpus, one, work) == std::exp(whole.mean()));
  for (const std::size_t batch : {std::size_t{1}, std::size_t{3}, std::size_t{100}}) {
    const double sum = eval::cross_entropy(model, corpus, one, work, batch).sum;
    CHECK(sum == doctest::Approx(whole.sum).epsilon(1e-12));
    CHECK(eval::cross_entropy(model, corpus, three, work, batch).sum == sum);
  }
}

TEST_CASE("a corpus falls into batches; an empty one into none") {
  const auto corpus = random_corpus(7, 3);
  const auto batches = eval::batches_of(corpus, 3);
  REQUIRE(batches.size() == 3);
  CHECK(batches[0].sequences() == 3);
  CHECK(batches[2].sequences() == 1);
  CHECK(batches[2][0] == corpus[6][0]);
  CHECK(eval::batches_of({}, 3).empty());
  check_mentions(message_of<value_error>([&] { static_cast<void>(eval::batches_of(corpus, 0)); }), "no chunks");

  auto model = random_model<model_type>(odd_shape(), 1);
  nn::workspace work;
  sequential threads;
  CHECK(eval::cross_entropy(model, {}, threads, work).tokens == 0);
}
