// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/lab/reverse/tape.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::lab::reverse {

/// How queries, keys and values [tokens, heads · size] fall into heads and sequences.
struct attention_layout {
  std::size_t heads, kv_heads, size;
  std::vector<std::size_t> starts;  ///< of sequences, and behind them the number of tokens
};

namespace detail {

/// Probabilities of one head in one sequence, [tokens, tokens]: softmax(q kᵀ / √size), causal.
[[nodiscard]] inline matrix<double> probabilities(const matrix<double>& query, const matrix<double>& key,
                                                  std::size_t first, std::size_t tokens, std::size_t at,
                                                  std::size_t key_at, std::size_t size) {
  const double root = 1 / std::sqrt(static_cast<double>(size));
  matrix<double> p(tokens, tokens, 0.0);
  for (std::size_t i = 0; i != tokens; ++i) {
    const std::span<double> seen = p.row(i).first(i + 1);
    for (std::size_t k = 0; k != seen.size(); ++k)
      for (std::size_t j = 0; j != size; ++j) seen[k] += root * query(first + i, at + j) * key(first + k, key_at + j);
    const double top = *std::ranges::max_element(seen);
    double total = 0;
    for (double& x : seen) total += x = std::exp(x - top);
    for (double& x : seen) x /= total;
  }
  return p;
}

}  // namespace detail

/// Causal attention with grouped queries: what each head mixes, [tokens, heads · size].
[[nodiscard]] inline variable attend(tape& t, variable query, variable key, variable value, attention_layout layout) {
  const std::size_t size = layout.size, group = layout.heads / layout.kv_heads;
  require(query->value.cols() == layout.heads * size && key->value.cols() == layout.kv_heads * size,
          "attend: queries of width {} and keys of {} for {} and {} heads of {}", query->value.cols(),
          key->value.cols(), layout.heads, layout.kv_heads, size);
  const auto for_each_head = [layout, group, size](auto&& f) {
    for (std::size_t s = 0; s + 1 != layout.starts.size(); ++s)
      for (std::size_t h = 0; h != layout.heads; ++h)
        f(s * layout.heads + h, layout.starts[s], layout.starts[s + 1] - layout.starts[s], h * size,
          h / group * size);
  };
  matrix<double> mixed(query->value.rows(), query->value.cols(), 0.0);
  std::vector<matrix<double>> all;
  for_each_head([&](std::size_t, std::size_t first, std::size_t tokens, std::size_t at, std::size_t key_at) {
    all.push_back(detail::probabilities(query->value, key->value, first, tokens, at, key_at, size));
    for (std::size_t i = 0; i != tokens; ++i)
      for (std::size_t k = 0; k <= i; ++k)
        for (std::size_t j = 0; j != size; ++j)
          mixed(first + i, at + j) += all.back()(i, k) * value->value(first + k, key_at + j);
  });
  return t.operation(std::move(mixed), [=, all = std::move(all)](const node& result) {
    const double root = 1 / std::sqrt(static_cast<double>(size));
    for_each_head([&](std::size_t index, std::size_t first, std::size_t tokens, std::size_t at, std::size_t key_at) {
      const matrix<double>& p = all[index];
      for (std::size_t i = 0; i != tokens; ++i) {
        std::vector<double> by_p(i + 1, 0.0);
        double mean = 0;  // Σ p ∂L/∂p, which the normalization takes away
        for (std::size_t k = 0; k <= i; ++k) {
          for (std::size_t j = 0; j != size; ++j) {
            by_p[k] += result.gradient(first + i, at + j) * value->value(first + k, key_at + j);
            value->gradient(first + k, key_at + j) += p(i, k) * result.gradient(first + i, at + j);
          }
          mean += p(i, k) * by_p[k];
        }
        for (std::size_t k = 0; k <= i; ++k) {
          const double by_score = root * p(i, k) * (by_p[k] - mean);
          for (std::size_t j = 0; j != size; ++j) {
            query->gradient(first + i, at + j) += by_score * key->value(first + k, key_at + j);
            key->gradient(first + k, key_at + j) += by_score * query->value(first + i, at + j);
          }
        }
      }
    });
  });
}

/// Every head of x [tokens, heads · size] times a matrix [size, size] of its token's position: `turns[position]`.
/// Rotary encodings are such matrices.
[[nodiscard]] inline variable turn(tape& t, variable x, std::vector<std::size_t> positions,
                                   std::vector<matrix<double>> turns) {
  const auto apply = [positions = std::move(positions), turns = std::move(turns)](const matrix<double>& from,
                                                                                  bool back, matrix<double>& to) {
    for (std::size_t row = 0; row != from.rows(); ++row) {
      const matrix<double>& m = turns[positions[row]];
      for (std::size_t at = 0; at != from.cols(); at += m.rows())
        for (std::size_t i = 0; i != m.rows(); ++i)
          for (std::size_t j = 0; j != m.rows(); ++j)
            to(row, at + i) += (back ? m(j, i) : m(i, j)) * from(row, at + j);
    }
  };
  matrix<double> value(x->value.rows(), x->value.cols(), 0.0);
  apply(x->value, false, value);
  return t.operation(std::move(value), [x, apply](const node& result) { apply(result.gradient, true, x->gradient); });
}

}  // namespace zoqat::lab::reverse
