// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/tensor_index.hpp>

#include <doctest/doctest.h>

#include <utility>
#include <vector>

using namespace zoqat;

TEST_CASE("an index finds tensors by name, also after the vector that holds them has moved") {
  std::vector<io::tensor_view> tensors(3);
  tensors[0].name = "a";
  tensors[1].name = "";
  tensors[2].name = "a.name.too.long.for.the.small.string.optimization";
  io::tensor_index index(tensors);
  const auto* const first = tensors.data();
  const auto moved = std::move(tensors);
  CHECK(index.find("a") == first);
  CHECK(index.find("") == first + 1);
  CHECK(index.find(moved[2].name) == first + 2);
  CHECK(index.find("b") == nullptr);
  CHECK(io::tensor_index().find("a") == nullptr);
}

TEST_CASE("the first tensor of a name stays") {
  std::vector<io::tensor_view> tensors(2);
  tensors[0].name = tensors[1].name = "a";
  io::tensor_index index;
  CHECK(index.add(tensors[0]));
  CHECK_FALSE(index.add(tensors[1]));
  CHECK(index.find("a") == tensors.data());
}
