// SPDX-License-Identifier: Apache-2.0
#include <zoqat/eval/sample.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/llama.hpp>

#include <cstddef>
#include <set>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("a model writes its own corpus, the same for any number of threads") {
  auto model = random_model<nn::llama<quant::full_precision>>(odd_shape(), 1);
  thread_pool one(1), three(3);
  const nn::sampling how{.temperature = 1};
  const auto corpus = eval::sample_corpus(model, 5, 12, how, 4, 1, one);
  REQUIRE(corpus.size() == 5);
  for (const auto& chunk : corpus) {
    CHECK(chunk.size() == 12);
    CHECK(chunk.front() == 4);
  }
  CHECK(std::set<std::vector<std::uint32_t>>(corpus.begin(), corpus.end()).size() == 5);
  CHECK(eval::sample_corpus(model, 5, 12, how, 4, 1, three) == corpus);
  CHECK(eval::sample_corpus(model, 5, 12, how, 4, 2, one) != corpus);

  CHECK(eval::sample_corpus(model, 0, 12, how, 4, 1, one).empty());
  CHECK(eval::sample_corpus(model, 1, 1, how, 4, 1, one) == eval::chunks{{4}});
  CHECK(eval::sample_corpus(model, 1, 80, how, 4, 1, one)[0].size() == 80);
  for (const std::size_t length : {std::size_t{0}, std::size_t{81}})
    check_mentions(
        message_of<value_error>([&] { static_cast<void>(eval::sample_corpus(model, 1, length, how, 4, 1, one)); }),
        "1 to 80", std::to_string(length));
}
