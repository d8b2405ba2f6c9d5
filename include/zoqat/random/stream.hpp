// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/random/ars.hpp>
#include <zoqat/random/philox.hpp>

#include <cassert>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::rng {

/// What a stream of random numbers is used for. Part of the counter, so that streams never overlap. A `choice` is
/// what a direction decides besides its elements, such as which of them to keep.
enum class purpose : std::uint8_t { direction = 0, rounding = 1, data = 2, sampling = 3, choice = 4 };

/// Names one sequence of random numbers. Element i of the sequence is a pure function of the name and i.
///
/// The counter of Philox is {block, tensor, step, index << 8 | purpose} and its key the seed, so a stream has
/// 2^32 blocks of 128 bits, and there are 2^32 steps, 2^32 tensors and 2^24 directions of one seed. ARS makes other
/// bits of the same counter and seed, faster where AES is an instruction.
struct stream {
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  std::uint32_t index = 0;  ///< which direction of the step; below 2^24
  std::uint32_t tensor = 0;
  purpose use = purpose::direction;

  [[nodiscard]] constexpr philox4x32::key key() const noexcept {
    return {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  }
  [[nodiscard]] constexpr philox4x32::counter counter(std::uint32_t block) const noexcept {
    assert(index < (1u << 24));
    return {block, tensor, step, index << 8 | static_cast<std::uint32_t>(use)};
  }
  /// The 128 bits of block `block`.
  [[nodiscard]] constexpr philox4x32::counter bits(std::uint32_t block) const noexcept {
    return philox4x32::generate(counter(block), key());
  }
  /// `run()(block)` is `bits(block)`; for those who want many blocks.
  [[nodiscard]] constexpr philox4x32_run run() const noexcept { return {counter(0), key()}; }

  /// The key of the stream for ARS: the seed, then zeros.
  [[nodiscard]] constexpr ars4x32::key ars_key() const noexcept { return {key()[0], key()[1], 0, 0}; }
  [[nodiscard]] constexpr ars4x32_run ars_run() const noexcept { return {counter(0), ars_key()}; }

  friend bool operator==(const stream&, const stream&) = default;
};

/// A stream as a C++ uniform random bit generator (32 bits a call), for data order and sampling.
class engine {
 public:
  using result_type = std::uint32_t;
  constexpr explicit engine(stream s) noexcept : stream_(s) {}
  [[nodiscard]] static constexpr result_type min() noexcept { return 0; }
  [[nodiscard]] static constexpr result_type max() noexcept { return 0xffffffffu; }
  constexpr result_type operator()() noexcept {
    if (used_ == 4) {
      bits_ = stream_.bits(block_++);
      used_ = 0;
    }
    return bits_[used_++];
  }
  /// Uniform in [0, n) without the modulo's bias (Lemire's multiply and reject); n > 0.
  constexpr std::uint32_t below(std::uint32_t n) noexcept {
    std::uint64_t product = std::uint64_t{(*this)()} * n;
    for (const std::uint32_t threshold = -n % n; static_cast<std::uint32_t>(product) < threshold;)
      product = std::uint64_t{(*this)()} * n;
    return static_cast<std::uint32_t>(product >> 32);
  }
  /// Uniform in [0, 1) with 24 bits.
  constexpr float uniform() noexcept { return static_cast<float>((*this)() >> 8) * 0x1p-24f; }

 private:
  stream stream_;
  std::uint32_t block_ = 0;
  unsigned used_ = 4;
  philox4x32::counter bits_{};
};

}  // namespace zoqat::rng
