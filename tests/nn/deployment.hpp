// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>
#include <support/random_model.hpp>
#include <zoqat/nn/visit.hpp>

#include <algorithm>
#include <cstddef>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace zoqat::testing {

/// Deploys a model: it must give the same bits, and its storage must be what it says. Returns the names in it.
template <class Model>
std::set<std::string> check_deployment(Model& model, const nn::token_batch& batch) {
  const auto before = logits_of(model, batch);
  const std::size_t bytes = model.weight_bytes();
  model.deploy();
  CHECK(std::ranges::equal(logits_of(model, batch).flat(), before.flat()));
  std::size_t stored = 0;
  std::set<std::string> names;
  nn::for_each_stored(
      model, [&]<class T>(const std::string& name, const std::vector<std::size_t>& extents, std::span<T> values) {
        stored += values.size_bytes();
        std::size_t elements = 1;
        for (const std::size_t extent : extents) elements *= extent;
        CHECK_MESSAGE(elements == values.size(), name);
        CHECK_MESSAGE(names.insert(name).second, name);
      });
  CHECK(stored == bytes);
  CHECK(model.weight_bytes() == bytes);
  return names;
}

}  // namespace zoqat::testing
