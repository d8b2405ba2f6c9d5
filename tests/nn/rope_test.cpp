// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/rope.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

nn::rope rope_of(rope_pairing pairing, std::size_t head_size, std::size_t positions = 2000) {
  return nn::rope({.head_size = head_size, .positions = positions, .rope_theta = 1e4f, .rope = pairing});
}
double dot_at(const nn::rope& rope, std::vector<float> a, std::size_t p, std::vector<float> b, std::size_t q) {
  rope.reach(std::max(p, q) + 1);
  rope.apply<simd::default_kernels>(a.data(), p);
  rope.apply<simd::default_kernels>(b.data(), q);
  double total = 0;
  for (std::size_t i = 0; i != a.size(); ++i) total += double{a[i]} * double{b[i]};
  return total;
}

}  // namespace

TEST_CASE("pairs turn by p theta^(-2i/d), as numbers of the complex plane") {
  for (const rope_pairing pairing : {rope_pairing::half_split, rope_pairing::interleaved}) {
    const std::size_t d = 6;
    const nn::rope rope = rope_of(pairing, d);
    CHECK(rope.positions() == 2000);
    rope.reach(2000);
    for (const std::size_t p : {std::size_t{0}, std::size_t{1}, std::size_t{1999}}) {
      const auto before = random_floats(d, 1);
      auto head = before;
      rope.apply<simd::default_kernels>(head.data(), p);
      for (std::size_t i = 0; i != d / 2; ++i) {
        const std::size_t a = pairing == rope_pairing::half_split ? i : 2 * i,
                          b = pairing == rope_pairing::half_split ? i + 3 : 2 * i + 1;
        const double angle = static_cast<double>(p) * std::pow(1e4, -2.0 * static_cast<double>(i) / 6);
        CHECK(double{head[a]} ==
              doctest::Approx(before[a] * std::cos(angle) - before[b] * std::sin(angle)).epsilon(1e-5));
        CHECK(double{head[b]} ==
              doctest::Approx(before[a] * std::sin(angle) + before[b] * std::cos(angle)).epsilon(1e-5));
        CHECK(rope.pair(a) == i);
        CHECK(rope.pair(b) == i);
      }
    }
  }
}

TEST_CASE("products depend on the distance only, and a common factor of a pair changes none") {
  for (const rope_pairing pairing : {rope_pairing::half_split, rope_pairing::interleaved}) {
    const nn::rope rope = rope_of(pairing, 8);
    auto query = random_floats(8, 2), key = random_floats(8, 3);
    const double near = dot_at(rope, query, 12, key, 5);
    CHECK(near == doctest::Approx(dot_at(rope, query, 1012, key, 1005)).epsilon(1e-3));
    CHECK(near != doctest::Approx(dot_at(rope, query, 13, key, 5)).epsilon(1e-2));
    for (std::size_t j = 0; j != 8; ++j) {
      const float s = std::exp(0.3f * static_cast<float>(rope.pair(j)));
      query[j] *= s;
      key[j] /= s;
    }
    CHECK(near == doctest::Approx(dot_at(rope, query, 12, key, 5)).epsilon(1e-5));
  }
}

TEST_CASE("a position turns by the same bits whatever was reached before, on any number of threads") {
  const nn::rope at_once = rope_of(rope_pairing::half_split, 8), in_steps = rope_of(rope_pairing::half_split, 8);
  at_once.reach(2000);
  std::vector<std::vector<float>> turned(8);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t != turned.size(); ++t)
    threads.emplace_back([&, t] {
      for (const std::size_t p : {t, 100 * t + 255, 100 * t + 256, 280 * t + 39}) {
        in_steps.reach(p + 1);
        auto head = random_floats(8, static_cast<std::uint32_t>(p));
        in_steps.apply<simd::default_kernels>(head.data(), p);
        turned[t].insert(turned[t].end(), head.begin(), head.end());
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t t = 0; t != turned.size(); ++t) {
    std::vector<float> wanted;
    for (const std::size_t p : {t, 100 * t + 255, 100 * t + 256, 280 * t + 39}) {
      auto head = random_floats(8, static_cast<std::uint32_t>(p));
      at_once.apply<simd::default_kernels>(head.data(), p);
      wanted.insert(wanted.end(), head.begin(), head.end());
    }
    CHECK(turned[t] == wanted);
  }
}

TEST_CASE("positions that nobody reaches cost next to nothing") {
  // A table of all of them would take 4 GiB and minutes.
  const nn::rope rope = rope_of(rope_pairing::half_split, 64, std::size_t{1} << 24);
  rope.reach(10);
  const nn::rope few = rope_of(rope_pairing::half_split, 64, 10);
  few.reach(10);
  auto head = random_floats(64, 1), same = head;
  rope.apply<simd::default_kernels>(head.data(), 9);
  few.apply<simd::default_kernels>(same.data(), 9);
  CHECK(head == same);
}

TEST_CASE("an odd head cannot turn") {
  check_mentions(message_of<value_error>([] { static_cast<void>(rope_of(rope_pairing::half_split, 5)); }),
                 "head size is 5", "even");
}
