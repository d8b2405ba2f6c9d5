// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/shape_limits.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/tiny_opt.hpp>

#include <limits>
#include <string>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::string failure(const model_shape& shape) {
  return message_of<io_error>([&] { io::require_plausible(shape, "the/file"); });
}

}  // namespace

TEST_CASE("a plausible shape passes, up to the limits") {
  io::require_plausible(tiny_shape(true), "f");
  auto shape = tiny_shape(true);
  shape.vocabulary = shape.positions = shape.intermediate = shape.hidden = io::max_extent;
  shape.layers = io::max_layers;
  shape.heads = shape.kv_heads = io::max_extent / shape.head_size;
  io::require_plausible(shape, "f");
}

TEST_CASE("every size must be positive and limited") {
  for (const auto& limit : io::detail::shape_limits) {
    CAPTURE(limit.name);
    for (const std::size_t value : {std::size_t{0}, limit.largest + 1, std::numeric_limits<std::size_t>::max()}) {
      auto shape = tiny_shape(true);
      shape.*limit.field = value;
      check_mentions(failure(shape), "the/file", limit.name, std::to_string(value));
    }
  }
}

TEST_CASE("heads must share, pair up and not be too wide together") {
  auto shape = tiny_shape(true);
  shape.kv_heads = 3;
  check_mentions(failure(shape), "the/file", "4 attention heads", "3 key/value heads");
  shape = tiny_shape(true);
  shape.head_size = 3;
  check_mentions(failure(shape), "head size 3 is odd");
  io::require_plausible(tiny_opt_shape(), "f");  // nothing pairs up where positions are learned
  shape = tiny_shape(true);
  shape.heads = io::max_extent;
  check_mentions(failure(shape), "wider");
}

TEST_CASE("constants must be finite and positive") {
  for (const float value :
       {0.0f, -1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    CAPTURE(value);
    auto shape = tiny_shape(true);
    shape.norm_epsilon = value;
    check_mentions(failure(shape), "the/file", "epsilon");
    shape = tiny_shape(true);
    shape.rope_theta = value;
    check_mentions(failure(shape), "the/file", "theta");
  }
}
