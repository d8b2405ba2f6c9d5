// SPDX-License-Identifier: Apache-2.0

// A host's weights, trained in place, are the same bits with every compiler, backend and instruction set, and so are
// their codes. A program of its own, because it is built once for each of them; it returns 0 where the bits are the
// golden ones. A change of those breaks the replay of run logs.

#include <zoqat/quant/quant.hpp>
#include <zoqat/zo/embed/in_place.hpp>
#include <zoqat/zo/embed/parameter_list.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/optimizers/sgd.hpp>
#include <zoqat/zo/step.hpp>

#include <bit>
#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <vector>

using namespace zoqat;

namespace {

template <class T>
std::uint64_t hash_of(std::span<const T> values) {
  std::uint64_t h = 0xcbf29ce484222325;  // FNV-1a
  for (const std::byte b : std::as_bytes(values)) h = (h ^ static_cast<std::uint64_t>(b)) * 0x100000001b3;
  return h;
}

bool check(const char* what, std::uint64_t bits, std::uint64_t golden) {
  std::printf("%s %016" PRIx64 "%s\n", what, bits, bits == golden ? "" : " WRONG");
  return bits == golden;
}

}  // namespace

int main() {
  constexpr std::size_t size = 1000;
  using kernels = simd::default_kernels;
  std::printf("%s %s\n", kernels::name(), kernels::target());

  std::vector<float> u(4096);
  const rng::stream stream{.seed = 5};
  kernels::gaussian(stream, 3, u.data(), u.size());
  bool right = check("directions", hash_of(std::span<const float>(u)), 0x76852f64613d667c);

  std::vector<float> weights(size);
  const auto loss = [&] {
    double sum = 0;
    for (std::size_t i = 0; i != size; ++i) {
      const float away = weights[i] - static_cast<float>(i % 7);
      sum += double{away} * double{away};  // exact, fused or not
    }
    return sum / size;
  };
  zo::parameter_list parameters;
  parameters.add("weights", weights);
  const zo::estimator<zo::central, zo::gaussian> estimator{.directions = 4};
  const zo::sgd<> optimizer{.learning_rate = {.weight = 1.0f}};
  auto objective = zo::in_place(parameters, loss);
  for (std::uint32_t step = 0; step != 200; ++step) zo::step(parameters, objective, estimator, optimizer, step);
  right = check("loss", std::bit_cast<std::uint64_t>(loss()), 0x401becabfa7ee507) && right;

  using weight = quant::weight<4>;
  std::vector<std::uint8_t> codes(size);
  simd::grid grid;
  quant::quantize_row<weight>(weights, nullptr, codes.data(), &grid);
  right = check("codes", hash_of(std::span<const std::uint8_t>(codes)), 0xe3a57861ff302fb2) && right;
  return right ? 0 : 1;
}
