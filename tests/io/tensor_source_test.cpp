// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/tensor_source.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/memory_source.hpp>
#include <support/tiny_opt.hpp>

#include <cstddef>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

static_assert(io::tensor_source<memory_source>);
static_assert(!io::tensor_source<std::string>);

}  // namespace

TEST_CASE("a complete source passes; each tensor is needed, in its shape") {
  for (const bool tied : {false, true}) {
    auto collection = tiny_tensors(tiny_shape(tied));
    memory_source source{tiny_shape(tied), collection.views()};
    CHECK(source.tensors.size() == (tied ? 29 : 30));
    io::require_complete(source);
    CHECK(io::at(source, io::llama_tensor::gate, 2).name == "model.layers.2.mlp.gate_proj.weight");

    for (std::size_t i = 0; i != source.tensors.size(); ++i) {
      auto lacking = source;
      const auto name = source.tensors[i].name;
      CAPTURE(name);
      lacking.tensors.erase(lacking.tensors.begin() + static_cast<std::ptrdiff_t>(i));
      check_mentions(message_of<io_error>([&] { io::require_complete(lacking); }), "the/file", name);
      auto reshaped = source;
      reshaped.tensors[i].shape = {3, 99};
      check_mentions(message_of<io_error>([&] { io::require_complete(reshaped); }), "memory", name, "[3, 99]",
                     "is wanted");
    }
  }
}

TEST_CASE("the tensors of an OPT decoder follow from its shape") {
  for (const bool tied : {true, false})
    for (const bool biases : {true, false}) {
      std::set<std::string> names;
      const auto shape = tiny_opt_shape(tied, biases);
      io::for_each_tensor(shape, [&](const std::string& name, std::span<const std::size_t> extents) {
        CHECK(names.insert(name).second);
        CHECK(extents.size() == (name.ends_with(".bias") || name.find("norm") != std::string::npos ? 1 : 2));
      });
      CHECK(names.size() == 2 + 3 * (10 + (biases ? 6 : 0)) + 2 + (tied ? 0 : 1));
      CHECK(names.contains("model.layers.2.mlp.fc1.bias") == biases);
      CHECK(names.contains("lm_head.weight") != tied);
    }
}

TEST_CASE("at wants the extents it is given") {
  tensor_collection collection;
  collection.add("a", {2, 3}, 0);
  const memory_source source{{}, collection.views()};
  CHECK(&io::at(source, "a", std::vector<std::size_t>{2, 3}) == source.tensors.data());
  const auto failure = [&](std::string_view name, const std::vector<std::size_t>& extents) {
    return message_of<io_error>([&] { static_cast<void>(io::at(source, name, extents)); });
  };
  check_mentions(failure("b", {2, 3}), "the/file", "no tensor 'b'");
  check_mentions(failure("a", {3, 2}), "tensor 'a'", "[2, 3]", "[3, 2]");
  check_mentions(failure("a", {6}), "[6]");
}
