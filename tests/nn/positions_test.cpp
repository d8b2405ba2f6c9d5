// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/positions.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/nn/opt.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

/// The positions in a pass over sequences of the given lengths, `cached` tokens of which came before.
std::vector<std::size_t> positions_of(std::span<const std::size_t> lengths, std::size_t limit,
                                      std::size_t cached = 0) {
  const nn::token_batch batch = random_batch(lengths, 37, 1);
  nn::workspace work;
  sequential threads;
  nn::kv_cache cache{.layers = {}, .length = cached};
  return nn::token_positions(
      nn::forward_pass<simd::default_kernels, inference_lane, sequential>{at_masters, threads, batch, work,
                                                                          cached == 0 ? nullptr : &cache},
      limit);
}

}  // namespace

TEST_CASE("positions count the tokens of each sequence, from where a cached one ends") {
  constexpr std::array<std::size_t, 4> lengths{3, 0, 1, 2};
  CHECK(positions_of(lengths, 3) == std::vector<std::size_t>{0, 1, 2, 0, 0, 1});
  CHECK(positions_of({}, 0).empty());
  CHECK(positions_of(std::array<std::size_t, 1>{2}, 9, 7) == std::vector<std::size_t>{7, 8});
}

TEST_CASE("a sequence beyond the limit is refused with the sizes, what is cached included") {
  check_mentions(message_of<value_error>([] {
                   positions_of(std::array<std::size_t, 2>{1, 4}, 3);
                 }),
                 "4 tokens", "3 positions");
  check_mentions(message_of<value_error>([] { positions_of(std::array<std::size_t, 1>{2}, 8, 7); }), "9 tokens",
                 "8 positions");
}

TEST_CASE_TEMPLATE("a model takes sequences as long as its table", Model, nn::llama<quant::full_precision>,
                   nn::opt<quant::full_precision>) {
  model_shape shape = odd_shape();
  shape.heads = shape.kv_heads = 3;
  shape.hidden = 3 * shape.head_size;
  auto model = random_model<Model>(shape);
  nn::token_batch batch;
  batch.add(random_tokens(80, 37, 6));
  CHECK(logits_of(model, batch).rows() == 80);
  batch.add(random_tokens(81, 37, 7));
  check_mentions(message_of<value_error>([&] { static_cast<void>(logits_of(model, batch)); }), "81 tokens",
                 "80 positions");
}
