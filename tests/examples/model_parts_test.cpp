// SPDX-License-Identifier: Apache-2.0
#include <common/model_parts.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <zoqat/core/error.hpp>

using namespace zoqat;
using namespace zoqat::programs;
using namespace zoqat::testing;

namespace {

model_shape small_shape(model_family family) {
  model_shape shape;
  shape.vocabulary = 7, shape.hidden = 4, shape.intermediate = 6, shape.layers = 2, shape.positions = 8;
  shape.heads = shape.kv_heads = shape.head_size = 2;
  shape.kind.family = family;
  return shape;
}

}  // namespace

TEST_CASE("patterns are those of linear layers of a model, each of them") {
  const auto check = [](model_family family, const std::string& patterns) {
    require_layers("--layers", patterns, small_shape(family));
  };
  CHECK_NOTHROW(check(model_family::llama, "*"));
  CHECK_NOTHROW(check(model_family::llama, "*.q_proj,model.layers.1.mlp.down_proj"));
  CHECK_NOTHROW(check(model_family::opt, "*.fc1"));
  const auto message = [&](const std::string& patterns) {
    return message_of<value_error>([&] { check(model_family::llama, patterns); });
  };
  check_mentions(message("*.q_proj,*.fc1"), "--layers '*.q_proj,*.fc1'", "like '*.fc1'", "*.q_proj, *.k_proj",
                 "such as model.layers.0.self_attn.q_proj");
  check_mentions(message(""), "like ''");
  check_mentions(message("*.q_proj,"), "like ''");
  check_mentions(message("model.embed_tokens"), "like 'model.embed_tokens'");
  check_mentions(message("model.layers.2.mlp.down_proj"), "model.layers.2.mlp.down_proj");
}

TEST_CASE("a packed model takes the bits of its matrices, and two bytes for each other value") {
  const model_shape shape = small_shape(model_family::llama);
  const std::uintmax_t matrices = 2 * (4 * 4 * 4 + 3 * 4 * 6),
                       others = 7 * 4 + 5 * 4;  // embedding, norms; a tied head
  CHECK(packed_bytes(shape, 16) - packed_bytes(shape, 4) == matrices * 12 / 8);
  CHECK(packed_bytes(shape, 4) >= matrices / 2 + 2 * others);
  CHECK(packed_bytes(shape, 4) <= matrices / 2 + 2 * (others + 7 * 4));
}
