// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/tensor.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <zoqat/core/numeric.hpp>

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

constexpr std::size_t huge = std::numeric_limits<std::size_t>::max();

// The bytes of `values` behind `offset` others, which puts them out of alignment.
template <class T>
struct stored {
  explicit stored(std::vector<T> values, std::size_t offset = 1)
      : bytes(offset + values.size() * sizeof(T)),
        view{"the.tensor", io::dtype_of<T>::value, {values.size()}, std::span(bytes).subspan(offset), "the/file"} {
    if (!values.empty()) std::memcpy(bytes.data() + offset, values.data(), values.size() * sizeof(T));
  }
  stored(const stored&) = delete;
  stored& operator=(const stored&) = delete;

  std::vector<std::byte> bytes;
  io::tensor_view view;
};

}  // namespace

TEST_CASE("the table of element types is in the order of the enumerators, and names lead back") {
  for (std::size_t i = 0; i != io::dtypes.size(); ++i) {
    const auto type = static_cast<io::dtype>(i);
    CAPTURE(io::dtypes[i].name);
    CHECK(io::dtypes[i].type == type);
    CHECK(io::find_dtype(io::dtype_name(type)) == type);
  }
  CHECK(io::dtypes.back().type == io::dtype::f64);
  CHECK_FALSE(io::find_dtype("f32").has_value());
  CHECK_FALSE(io::find_dtype("").has_value());
}

TEST_CASE_TEMPLATE("a C++ type is as large as its stored counterpart", T, std::uint8_t, std::int8_t, std::uint16_t,
                   std::int16_t, fp16, bf16, std::uint32_t, std::int32_t, float, std::uint64_t, std::int64_t,
                   double) {
  CHECK(io::dtype_size(io::dtype_of<T>::value) == sizeof(T));
}

TEST_CASE("products of extents notice that they do not fit") {
  using shape = std::vector<std::size_t>;
  CHECK(io::checked_product(shape{}) == 1);
  CHECK(io::checked_product(shape{2, 3, 5}) == 30);
  CHECK(io::checked_product(shape{7, 0}) == 0);
  CHECK(io::checked_product(shape{huge}) == huge);
  CHECK_FALSE(io::checked_product(shape{huge, 2}).has_value());
  CHECK_FALSE(io::checked_product(shape{huge / 2, 3, 0}).has_value());
  CHECK(io::checked_bytes(shape{3, 3}, io::dtype::f16) == 18);
  CHECK_FALSE(io::checked_bytes(shape{huge / 4}, io::dtype::f64).has_value());
}

TEST_CASE("element_count wants shape, type and bytes to agree") {
  const std::vector<std::byte> bytes(24);
  io::tensor_view tensor{"the.tensor", io::dtype::f32, {2, 3}, bytes, "the/file"};
  CHECK(io::element_count(tensor) == 6);
  tensor.shape = {};
  tensor.data = std::span(bytes).first(4);
  CHECK(io::element_count(tensor) == 1);
  tensor.shape = {5, 0};
  tensor.data = {};
  CHECK(io::element_count(tensor) == 0);
  tensor.shape = {huge, huge};
  check_mentions(message_of<io_error>([&] { static_cast<void>(io::element_count(tensor)); }), "the/file",
                 "the.tensor", "F32", "0 bytes");
}

TEST_CASE_TEMPLATE("copy_to gives back the stored elements at any alignment", T, std::int8_t, std::uint16_t, float,
                   double) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{13}}) {
    for (const std::size_t offset : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
      CAPTURE(size);
      CAPTURE(offset);
      std::vector<T> values(size), copy(size);
      for (std::size_t i = 0; i != size; ++i) values[i] = static_cast<T>(i * 7 + 1);
      const stored<T> tensor(values, offset);
      io::copy_to(tensor.view, std::span(copy));
      CHECK(copy == values);
    }
  }
}

TEST_CASE("copy_to_f32 widens every half-precision value exactly") {
  std::vector<fp16> halves(1 << 16);
  std::vector<bf16> brains(1 << 16);
  for (std::size_t i = 0; i != halves.size(); ++i) halves[i].bits = brains[i].bits = static_cast<std::uint16_t>(i);
  std::vector<float> from_halves(halves.size()), from_brains(brains.size());
  io::copy_to_f32(stored<fp16>(halves).view, from_halves);
  io::copy_to_f32(stored<bf16>(brains).view, from_brains);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i != halves.size(); ++i) {
    const auto half = std::bit_cast<std::uint32_t>(static_cast<float>(halves[i]));
    wrong += std::bit_cast<std::uint32_t>(from_halves[i]) != half;
    wrong += std::bit_cast<std::uint32_t>(from_brains[i]) != static_cast<std::uint32_t>(i << 16);
  }
  CHECK(wrong == 0);
  CHECK(from_halves[0x3c00] == 1.0f);
  CHECK(from_halves[0xfbff] == -65504.0f);
  CHECK(from_brains[0x3f80] == 1.0f);
}

TEST_CASE("copy_to_f32 copies F32 bit for bit") {
  const std::vector<float> values{1.0f, -0.0f, 0x1p-149f, std::numeric_limits<float>::infinity(), 3.14f};
  std::vector<float> copy(values.size());
  io::copy_to_f32(stored<float>(values).view, copy);
  CHECK(std::memcmp(copy.data(), values.data(), copy.size() * sizeof(float)) == 0);
}

TEST_CASE("what cannot be copied is an io_error with the file and the tensor") {
  std::vector<float> two(2);
  const stored<float> three({1, 2, 3});
  check_mentions(message_of<io_error>([&] { io::copy_to_f32(three.view, two); }), "the/file", "the.tensor",
                 "3 elements", "2 are wanted");
  const stored<fp16> halves({fp16(1), fp16(2), fp16(3)});
  check_mentions(message_of<io_error>([&] { io::copy_to_f32(halves.view, two); }), "the/file", "the.tensor");
  const stored<std::int8_t> integers({1, 2});
  check_mentions(message_of<io_error>([&] { io::copy_to_f32(integers.view, two); }), "the/file", "the.tensor", "I8");
  check_mentions(message_of<io_error>([&] { io::copy_to<float>(integers.view, two); }), "the.tensor", "holds I8",
                 "F32 is wanted");
}
