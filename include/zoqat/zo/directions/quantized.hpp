// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/zo/direction.hpp>
#include <zoqat/zo/directions/element_words.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::zo {

/// Whether what is measured along and what is moved along are rounded alike.
enum class roundings : std::uint8_t { independent, same };

/// The elements of another distribution, rounded stochastically to integers of `bits` bits times a step of
/// 5 / (2^(bits − 1) − 1), as directions that are stored or added in few bits are; 5 is beyond all elements that the
/// library's distributions give. The mean of a rounded element is the element; let v be the mean variance of its
/// rounding, about a sixth of the step's square.
///
/// With `independent` roundings (the idea of QuZO) an estimate is measured along one rounding of u and applied
/// along another, and E ĝ = g. With the `same` for both E ĝ = (1 + v)g: a step that is too long by a known factor.
/// What makes an estimate explicit must go along `zo::of_update(elements)`, as updates do.
///
/// E‖ĝ‖² = ((d − 1)(1 + v)² + m)‖g‖² for one direction on a linear loss, m the mean product of the squares of the two
/// roundings of an element.
///
/// Cost: that of the base, and a word of random bits for each element.
template <elementwise_distribution Base>
class quantized {
  static constexpr std::string_view prefix = "quantized ";

 public:
  /// Throws value_error for less than 2 or more than 16 bits.
  explicit quantized(int bits = 8, roundings how = roundings::independent, Base base = {}) : base_(base), how_(how) {
    require(bits >= 2 && bits <= 16, "quantized: {} bits; 2 to 16 are possible", bits);
    const auto top = static_cast<float>((1 << (bits - 1)) - 1);
    step_ = largest / top;
    per_step_ = top / largest;
  }

  static constexpr const char* name() noexcept { return detail::prefixed_name<prefix, Base>.data(); }
  /// Between neighboring values of an element.
  [[nodiscard]] float step() const noexcept { return step_; }

  template <class Kernels>
  void fill(rng::stream s, std::uint64_t first, float* out, std::size_t n) const noexcept {
    base_.template fill<Kernels>(s, first, out, n);
    const std::uint64_t of_side = first + (moves_ ? words_of_updates : 0);
    detail::for_each_element_words<Kernels>(
        detail::choices_of(s), of_side, n,
        [out, step = step_, per_step = per_step_](std::size_t at, std::size_t count, const std::uint32_t* words) {
          alignas(alignment) std::array<float, detail::words_at_a_time> raised;
          for (std::size_t i = 0; i != count; ++i) raised[i] = static_cast<float>(words[i] >> 8) * 0x1p-24f;
          Kernels::add_scaled(raised.data(), out + at, per_step, raised.data(), count);
          for (std::size_t i = 0; i != count; ++i) out[at + i] = std::floor(raised[i]) * step;
        });
  }
  /// The same elements as an update is to be made along them.
  [[nodiscard]] quantized of_update() const noexcept {
    quantized other = *this;
    other.moves_ = how_ == roundings::independent;
    return other;
  }
  friend bool operator==(const quantized& a, const quantized& b) noexcept {
    return a.step_ == b.step_ && a.how_ == b.how_ && a.moves_ == b.moves_ && detail::same_settings(a.base_, b.base_);
  }

 private:
  static constexpr float largest = 5;
  static constexpr std::uint64_t words_of_updates = std::uint64_t{1} << 33;

  [[no_unique_address]] Base base_;
  roundings how_;
  bool moves_ = false;
  float step_, per_step_;
};

using quantized_gaussian = quantized<gaussian>;

static_assert(elementwise_distribution<quantized_gaussian>);

}  // namespace zoqat::zo
