// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/packed_weight.hpp>

#include <zoqat/quant/scheme.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("a packed matrix is read as it is stored, and a scale or a zero point that no quantizer makes is refused") {
  using weight = quant::weight<4, quant::group<32>>;
  const temporary_folder folder;
  const quant::packed_matrix<weight> shape(20, 40);  // two panels, two groups in a row
  std::vector<std::uint8_t> codes(shape.code_storage().size()), zero_points(64, 7);
  std::vector<float> scales(64, 0.5f);
  for (std::size_t i = 0; i != codes.size(); ++i) codes[i] = static_cast<std::uint8_t>(i * 37);
  const auto read = [&](std::size_t rows, std::size_t cols) {
    const std::vector<io::tensor_view> tensors{
        {"the.layer.codes", io::dtype::u8, {codes.size()}, std::as_bytes(std::span(codes)), ""},
        {"the.layer.scales", io::dtype::f32, {2, 2, 16}, std::as_bytes(std::span(scales)), ""},
        {"the.layer.zero_points", io::dtype::u8, {2, 2, 16}, std::as_bytes(std::span(zero_points)), ""}};
    io::write_safetensors(folder / "m.safetensors", tensors);
    return io::read_packed<weight>(io::safetensors_file(folder / "m.safetensors"), "the.layer", rows, cols);
  };
  scales[5] = 2, zero_points[6] = 15;
  const auto packed = read(20, 40);
  CHECK(std::ranges::equal(packed.code_storage(), codes));
  CHECK(std::ranges::equal(packed.scales(), scales));
  CHECK(std::ranges::equal(packed.zero_points(), zero_points));
  check_mentions(message_of<io_error>([&] { static_cast<void>(read(33, 40)); }), "m.safetensors", "the.layer.codes");
  zero_points[3] = 16;
  check_mentions(message_of<io_error>([&] { static_cast<void>(read(20, 40)); }), "the.layer.zero_points", "16");
  for (const float bad : {-1.0f, 0.0f, 1e-40f}) {
    scales[2] = bad;
    check_mentions(message_of<io_error>([&] { static_cast<void>(read(20, 40)); }), "the.layer.scales", "a scale is");
  }
}

TEST_CASE("minima are read as they are stored, and refused where no quantizer makes them") {
  const temporary_folder folder;
  std::vector<std::uint8_t> codes(16 * 32 / 2, 0x5a);  // a panel of one group
  const auto read = [&]<class Weight>(std::type_identity<Weight>, float minimum) {
    using stored = typename Weight::scale_type;
    const std::vector<stored> scales(16, stored(63.0f / 128));  // the greatest multiple of 1 / 128
    std::vector<stored> minima(16, stored(63.0f / 256));
    minima[3] = stored(minimum);
    const std::vector<io::tensor_view> tensors{
        {"a.codes", io::dtype::u8, {codes.size()}, std::as_bytes(std::span(codes)), ""},
        {"a.scales", io::dtype_of<stored>::value, {1, 1, 16}, std::as_bytes(std::span(scales)), ""},
        {"a.minima", io::dtype_of<stored>::value, {1, 1, 16}, std::as_bytes(std::span(minima)), ""}};
    io::write_safetensors(folder / "m.safetensors", tensors);
    return io::read_packed<Weight>(io::safetensors_file(folder / "m.safetensors"), "a", 16, 32).grid(3, 0).minimum;
  };
  using own = quant::weight<4, quant::group<32>, quant::with_minimum, quant::clip::none, quant::fp16_scale>;
  using shared =
      quant::weight<4, quant::group<32>, quant::with_minimum, quant::clip::none, quant::shared_scale<63, 8>>;
  constexpr float infinity = std::numeric_limits<float>::infinity();
  CHECK(read(std::type_identity<own>(), -0.125f) == -0.125f);
  CHECK(read(std::type_identity<shared>(), 0.0f) == 0.0f);
  const auto check_refused = [&](auto type, float minimum) {
    check_mentions(message_of<io_error>([&] { static_cast<void>(read(type, minimum)); }), "m.safetensors", "a.minima",
                   "a minimum is");
  };
  check_refused(std::type_identity<own>(), infinity);
  check_refused(std::type_identity<shared>(), infinity);
  check_refused(std::type_identity<shared>(), -0.125f);  // what groups share is not negative
  check_mentions(message_of<io_error>([&] { static_cast<void>(read(std::type_identity<shared>(), 0.33333f)); }),
                 "m.safetensors", "a.scales", "row 3 are no multiples");
}
