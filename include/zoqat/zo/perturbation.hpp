// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/packed_signs.hpp>
#include <zoqat/params/lanes.hpp>
#include <zoqat/params/masters.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/zo/direction.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// A point near the masters, as a value: θ + scale · unit ⊙ u, with one signed scale per group of parameters.
struct perturbation {
  direction along;
  per_group<float> scale;

  /// The antithetic partner: the same direction, the other way.
  [[nodiscard]] constexpr perturbation operator-() const noexcept {
    perturbation opposite = *this;
    for (const parameter_group group : all_parameter_groups) opposite.scale[group] = -scale[group];
    return opposite;
  }
};

/// Where the lanes of an evaluation are: their points, and what their directions are drawn from. An objective gets
/// both from its caller, so that no one but the estimator ever names the distribution. A view: the points must
/// outlive it.
template <distribution Distribution>
struct lane_points {
  std::span<const perturbation> points;
  [[no_unique_address]] Distribution distribution;

  [[nodiscard]] constexpr std::size_t size() const noexcept { return points.size(); }
  [[nodiscard]] constexpr const perturbation& operator[](std::size_t lane) const noexcept { return points[lane]; }
  [[nodiscard]] constexpr auto begin() const noexcept { return points.begin(); }
  [[nodiscard]] constexpr auto end() const noexcept { return points.end(); }
  [[nodiscard]] constexpr lane_points part(std::size_t first, std::size_t count) const noexcept {
    return {points.subspan(first, count), distribution};
  }
};

namespace detail {

/// Elements generated at a time: whole superblocks, in a part of the first level of the cache.
inline constexpr std::size_t chunk = 4096;
/// Elements of a swept tensor worked on at a time. Rows of 768, 1024, 2048 and 3072 fill it and end with a
/// superblock, so that no superblock of signs is made twice.
inline constexpr std::size_t swept_at_a_time = 3 * packed_signs::superblock;

/// Whether a direction is to be given as signs to those who read it in parts that begin at multiples of
/// `granularity`.
template <distribution Distribution>
[[nodiscard]] constexpr bool serves_signs(const Distribution& distribution, std::size_t granularity) noexcept {
  if constexpr (sign_distribution<Distribution>)
    return distribution.gives_signs() && granularity % packed_signs::granularity == 0;
  else
    return false;
}

/// Elements [first, first + n) of a direction as signs, in `words`: packed_signs::words_of(first, n) of them.
template <simd::kernels Kernels, sign_distribution Distribution>
[[nodiscard]] packed_signs signs_of(const Distribution& distribution, rng::stream s, std::size_t first, std::size_t n,
                                    std::uint32_t* words) noexcept {
  distribution.template fill_signs<Kernels>(s, first / packed_signs::superblock,
                                            packed_signs::words_of(first, n) / packed_signs::superblock_words, words);
  return {words, first % packed_signs::superblock};
}

/// Calls f(first, n, factor) for the longest pieces of [first, first + n) of `p` that lie in one row, so that one
/// number, scale * unit of the row, serves the piece.
template <class F>
void for_each_row_piece(const parameter& p, float scale, std::size_t first, std::size_t n, F&& f) {
  if (p.unit.empty()) return f(first, n, scale);
  const std::size_t cols = p.size() / p.unit.size();
  for (const std::size_t end = first + n; first != end;) {
    const std::size_t row = first / cols, piece = std::min(end, (row + 1) * cols) - first;
    f(first, piece, scale * p.unit[row]);
    first += piece;
  }
}

/// A chunk of a direction as numbers.
template <class Kernels>
struct chunk_of_numbers {
  alignas(alignment) std::array<float, chunk> u;

  template <class Distribution>
  void fill(const Distribution& distribution, const direction& along, const parameter& p, std::size_t first,
            std::size_t n) noexcept {
    fill_direction<Kernels>(distribution, along, p, first, u.data(), n);
  }
  /// out = x + s * u for n elements, from element `at` of the chunk on.
  void add(const float* x, std::size_t at, float s, float* out, std::size_t n) const noexcept {
    Kernels::add_scaled(x, u.data() + at, s, out, n);
  }
};
/// The same as signs.
template <class Kernels>
struct chunk_of_signs {
  alignas(alignment) std::array<std::uint32_t, packed_signs::words_of(packed_signs::superblock - 1, chunk)> words;
  packed_signs u;

  template <class Distribution>
  void fill(const Distribution& distribution, const direction& along, const parameter& p, std::size_t first,
            std::size_t n) noexcept {
    u = signs_of<Kernels>(distribution, along.of_tensor(p.id), first, n, words.data());
  }
  void add(const float* x, std::size_t at, float s, float* out, std::size_t n) const noexcept {
    Kernels::add_signs(x, u.from(at), s, out, n);
  }
};

/// The part of `perturb` for lanes that move.
template <class Chunk, class Distribution>
void perturb_moving(const Distribution& distribution, const parameter& p, const direction& along,
                    std::span<const float> scales, std::size_t first, std::size_t n, const float* values, float* out,
                    std::size_t stride) noexcept {
  Chunk u;
  for (std::size_t done = 0, count; done != n; done += count) {
    const std::size_t from = first + done;
    count = std::min(n - done, chunk);
    u.fill(distribution, along, p, from, count);
    for (std::size_t lane = 0; lane != scales.size(); ++lane) {
      if (scales[lane] == 0) continue;
      for_each_row_piece(p, scales[lane], from, count, [&](std::size_t at, std::size_t m, float s) {
        u.add(values + (at - first), at - from, s, out + lane * stride + (at - first), m);
      });
    }
  }
}

/// out[lane * stride + i] = values[i] + scale · unit · u[first + i], where `values` are elements [first, first + n)
/// of `p`. The values of one lane may be overwritten.
template <simd::kernels Kernels, distribution Distribution>
void perturb(const Distribution& distribution, const parameter& p, const direction& along,
             std::span<const float> scales, std::size_t first, std::size_t n, const float* values, float* out,
             std::size_t stride) noexcept {
  bool moves = false;
  for (std::size_t lane = 0; lane != scales.size(); ++lane) {
    if (scales[lane] != 0)
      moves = true;
    else
      std::copy_n(values, n, out + lane * stride);  // bit by bit: -0 + 0 would be +0
  }
  if (!moves) return;
  if constexpr (sign_distribution<Distribution>) {
    const std::size_t row = p.unit.empty() ? 0 : p.size() / p.unit.size();
    if (serves_signs(distribution, std::gcd(first, row)))
      return perturb_moving<chunk_of_signs<Kernels>>(distribution, p, along, scales, first, n, values, out, stride);
  }
  perturb_moving<chunk_of_numbers<Kernels>>(distribution, p, along, scales, first, n, values, out, stride);
}

/// Tensors cut into pieces that are worked on independently. A piece is whole superblocks of directions, stays in a
/// core's cache for all directions of a step, and never follows the number of threads.
class pieces {
 public:
  explicit pieces(std::span<const parameter> parameters) : parameters_(parameters) {
    for (const parameter& p : parameters) starts_.push_back(starts_.back() + (p.size() + size - 1) / size);
  }
  /// Calls f(which, first, n) for elements [first, first + n) of every piece. Takes no memory.
  template <class Executor, class F>
  void for_each(Executor&& threads, F&& f) const {
    threads.parallel_for(starts_.back(), [&](std::size_t task) {
      const auto which =
          static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), task) - starts_.begin()) - 1;
      const std::size_t first = (task - starts_[which]) * size;
      f(which, first, std::min(size, parameters_[which].size() - first));
    });
  }

 private:
  static constexpr std::size_t size = 16 * chunk;
  std::span<const parameter> parameters_;
  std::vector<std::size_t> starts_{0};
};

/// Calls f(first, n, values) with compact masters as numbers, a chunk at a time; f may overwrite them.
template <simd::kernels Kernels, class F>
void for_each_chunk(const parameter& p, std::size_t first, std::size_t n, F&& f) {
  alignas(alignment) std::array<float, chunk> room;
  for (std::size_t done = 0, count; done != n; done += count) {
    count = std::min(n - done, chunk);
    read_masters<Kernels>(p, first + done, count, room.data());
    f(first + done, count, room.data());
  }
}

}  // namespace detail

/// out[i] = masters[first + i] + scale · unit · u[first + i] for each of `scales`, lane l at out[l * n]: one
/// generation of the direction serves all lanes, and none is needed where all scales are zero. The masters are read,
/// never written.
template <simd::kernels Kernels = simd::default_kernels, distribution Distribution>
void read_perturbed(const Distribution& distribution, const parameter& p, const direction& along,
                    std::span<const float> scales, std::size_t first, std::size_t n, float* out) noexcept {
  if (p.compact.size() == 0)
    return detail::perturb<Kernels>(distribution, p, along, scales, first, n, p.values.data() + first, out, n);
  detail::for_each_chunk<Kernels>(p, first, n, [&](std::size_t at, std::size_t count, const float* values) {
    detail::perturb<Kernels>(distribution, p, along, scales, at, count, values, out + (at - first), n);
  });
}

/// What a sweep does to rows of the masters before it reads them; nothing.
struct no_update {
  static constexpr void apply_rows(const parameter&, std::size_t, std::size_t) noexcept {}
};

/// The lanes of a set of perturbations, as a network reads them (a `lane_reader`). Neighboring lanes that share a
/// direction share its generation, so an antithetic pair costs one. `Update` is an update that the sweep is to make
/// on its way, such as `zo::deferred_update`.
template <distribution Distribution, simd::kernels Kernels = simd::default_kernels, class Update = no_update>
class lanes {
 public:
  explicit lanes(const lane_points<Distribution>& at, Update* update = nullptr) noexcept
      : perturbations_(at.points), distribution_(at.distribution), update_(update) {}

  [[nodiscard]] std::size_t count() const noexcept { return perturbations_.size(); }

  void read(const parameter& p, std::size_t first, std::size_t n, float* out) const noexcept {
    for_each_pair(p, [&](std::size_t lane, std::span<const float> scales) {
      read_perturbed<Kernels>(distribution_, p, perturbations_[lane].along, scales, first, n, out + lane * n);
    });
  }

  /// Works through a few kilobytes at a time, so that masters, directions and whatever f makes of them stay in the
  /// first level of the cache.
  template <class F>
  void sweep_rows(const parameter& p, std::size_t first, std::size_t count, sweep_scratch& scratch, F&& f) const {
    const std::size_t rows = std::max<std::size_t>(1, detail::swept_at_a_time / p.row_size);
    for (std::size_t r = 0; r < count; r += rows) sweep_block(p, first, r, std::min(rows, count - r), scratch, f);
  }

 private:
  template <class F>
  void sweep_block(const parameter& p, std::size_t first, std::size_t r, std::size_t count, sweep_scratch& scratch,
                   F& f) const {
    const std::size_t at = (first + r) * p.row_size;
    if (update_) update_->apply_rows(p, first + r, count);
    if (p.compact.size() != 0) scratch.values.resize(count * p.row_size);
    const float* const values = masters<Kernels>(p, at, count * p.row_size, scratch.values.data());
    for_each_pair(p, [&](std::size_t lane, std::span<const float> scales) {
      lane_values block{values};
      if (std::ranges::any_of(scales, [](float s) { return s != 0; }))
        set_direction(block, perturbations_[lane].along, p, at, count * p.row_size, scratch);
      for (std::size_t i = 0; i != count; ++i) {
        const float unit = p.unit.empty() ? 1.0f : p.unit[first + r + i];
        std::array<lane_values, 2> row;
        for (std::size_t j = 0; j != scales.size(); ++j) row[j] = slice(block, i * p.row_size, scales[j], unit);
        f(r + i, lane, std::span<const lane_values>(row.data(), scales.size()));
      }
    });
  }
  /// Gives n values from element `at` of their tensor on a direction.
  void set_direction(lane_values& values, const direction& along, const parameter& p, std::size_t at, std::size_t n,
                     sweep_scratch& scratch) const {
    if constexpr (sign_distribution<Distribution>) {
      if (detail::serves_signs(distribution_, p.granularity)) {
        scratch.signs.resize(packed_signs::words_of(at, n));
        values.signs = detail::signs_of<Kernels>(distribution_, along.of_tensor(p.id), at, n, scratch.signs.data());
        return;
      }
    }
    scratch.direction.resize(n);
    fill_direction<Kernels>(distribution_, along, p, at, scratch.direction.data(), n);
    values.direction = scratch.direction.data();
  }
  /// The values from element k on, which move by scale * unit; a scale of zero leaves every bit: -0 + 0 would be +0.
  static lane_values slice(const lane_values& values, std::size_t k, float scale, float unit) noexcept {
    if (scale == 0) return {values.values + k};
    return {values.values + k, values.direction ? values.direction + k : nullptr, scale * unit, values.signs.from(k)};
  }
  /// Calls f(lane, scales) for runs of one or two lanes that share a direction, with their scales for `p`.
  template <class F>
  void for_each_pair(const parameter& p, F&& f) const {
    for (std::size_t lane = 0; lane != count();) {
      std::array<float, 2> scales;
      std::size_t shared = 0;
      for (const direction& along = perturbations_[lane].along;
           shared != scales.size() && lane + shared != count() && perturbations_[lane + shared].along == along;
           ++shared)
        scales[shared] = p.frozen ? 0.0f : perturbations_[lane + shared].scale[p.group];
      f(lane, std::span<const float>(scales.data(), shared));
      lane += shared;
    }
  }

  std::span<const perturbation> perturbations_;
  [[no_unique_address]] Distribution distribution_;
  Update* update_;
};

}  // namespace zoqat::zo
