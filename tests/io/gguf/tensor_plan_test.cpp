// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/tensor_plan.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <zoqat/io/gguf/file.hpp>

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
namespace gguf = zoqat::io::gguf;
using gguf::tensor_type;

TEST_CASE("tensors are written in their order, row by row, however many there are") {
  const temporary_folder folder;
  gguf::tensor_plan plan;
  constexpr std::size_t rows = 3000, cols = 200;  // more than are written at a time
  const auto fill = [](const gguf::tensor_info& info) {
    return [info](gguf::writer& to) {
      gguf::write_rows(to, info, [&](std::size_t row, std::span<std::byte> bytes) {
        const std::vector<float> values(bytes.size() / 4, static_cast<float>(row));
        std::memcpy(bytes.data(), values.data(), bytes.size());
      });
    };
  };
  const gguf::tensor_info matrix{"matrix", tensor_type::f32, {rows, cols}}, vector{"vector", tensor_type::f32, {5}};
  plan.add(matrix, fill(matrix));
  plan.add(vector, fill(vector));
  plan.write_file(folder / "m.gguf", {{"general.architecture", "none"}});
  const gguf::file file(folder / "m.gguf");
  REQUIRE(file.tensors().size() == 2);
  CHECK(file.tensors()[0].name == "matrix");
  CHECK(file.tensors()[1].data.size() == 20);
  std::vector<float> values(rows * cols);
  std::memcpy(values.data(), file.tensors()[0].data.data(), values.size() * 4);
  bool all = true;
  for (std::size_t i = 0; i != values.size(); ++i) all &= values[i] == static_cast<float>(i / cols);
  CHECK(all);
}

TEST_CASE("a type whose blocks do not divide rows gives way to one whose blocks do, and that is said once") {
  gguf::tensor_plan plan;
  gguf::tensor_info info{"blk.0.a", tensor_type::f32, {4, 96}};
  for (int layer = 0; layer != 2; ++layer) {
    plan.choose_type(info, "blk.N.a", {tensor_type::q4_k, gguf::fallback(tensor_type::q4_k), tensor_type::f16});
    CHECK(info.type == tensor_type::q5_0);
  }
  info.shape = {4, 33};
  plan.choose_type(info, "blk.N.a", {tensor_type::q4_k, gguf::fallback(tensor_type::q4_k), tensor_type::f16});
  CHECK(info.type == tensor_type::f16);
  info.shape = {4, 512};
  plan.choose_type(info, "blk.N.a", {tensor_type::q4_k, tensor_type::f16});
  CHECK(info.type == tensor_type::q4_k);
  REQUIRE(plan.notes().size() == 2);
  check_mentions(plan.notes().front(), "blk.N.a", "Q5_0", "96", "256", "Q4_K");
}
