// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/attention.hpp>
#include <zoqat/nn/norm.hpp>
#include <zoqat/nn/positions.hpp>
#include <zoqat/nn/responses/response.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/simd/multiply.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::nn {

namespace detail {

/// Sums over tokens for the heads of one group, which share a key and value head.
struct group_sums {
  std::vector<matrix<double>> query;  ///< of each query head: [size, size]
  matrix<double> key;                 ///< [size, size]
  matrix<double> together;            ///< Σ_t Σ_s P_ts P'_ts of each two heads: [heads, heads]
};

/// One group of heads in one sequence: probabilities P [tokens, tokens] of each head, and what follows from them.
template <class Kernels>
class group_response {
 public:
  /// query [tokens, heads · size], key and value [tokens, size], positions encoded; `through` is the metric of what
  /// the group mixes, [heads · size, heads · size].
  group_response(matrix_view<const float> query, matrix_view<const float> key, matrix_view<const float> value,
                 const matrix<double>& through)
      : query_(query),
        key_(key),
        value_(value),
        through_(through),
        heads_(query.cols() / key.cols()),
        size_(key.cols()),
        tokens_(key.rows()),
        root_(1.0f / std::sqrt(static_cast<float>(size_))) {
    for (std::size_t h = 0; h != heads_; ++h) probabilities_.push_back(attend(head(h)));
  }

  /// Adds to the sums. `of_query(h, t)` and `of_key(t)` are what head h and the key read at token t, counted from 0,
  /// change by what the projections write: derivatives [size, size], as rows of their transpose. Without head norms
  /// they are rotations.
  template <class OfQuery, class OfKey>
  void add_to(group_sums& sums, OfQuery&& of_query, OfKey&& of_key) const {
    for (std::size_t h = 0; h != heads_; ++h)
      for (std::size_t other = 0; other != heads_; ++other)
        for (std::size_t t = 0; t != tokens_; ++t)
          sums.together(h, other) += static_cast<double>(
              Kernels::dot(probabilities_[h].row(t).data(), probabilities_[other].row(t).data(), t + 1));
    for (std::size_t h = 0; h != heads_; ++h) add_query(sums.query[h], h, of_query);
    for (std::size_t h = 0; h != heads_; ++h)
      for (std::size_t other = 0; other <= h; ++other) add_key(sums.key, h, other, of_key);
  }

 private:
  [[nodiscard]] matrix_view<const float> head(std::size_t h) const { return query_.col_block(h * size_, size_); }
  [[nodiscard]] matrix<double> through(std::size_t h, std::size_t other) const {
    matrix<double> block(size_, size_);
    for (std::size_t i = 0; i != size_; ++i)
      for (std::size_t j = 0; j != size_; ++j) block(i, j) = through_(h * size_ + i, other * size_ + j);
    return block;
  }
  static matrix<float> product(matrix_view<const float> x, matrix_view<const float> w) {
    matrix<float> result(x.rows(), w.rows());
    simd::multiply<Kernels>(x, w, result);
    return result;
  }

  matrix<float> attend(matrix_view<const float> query) const {
    matrix<float> p = product(query, key_);
    for (std::size_t t = 0; t != tokens_; ++t) {
      for (float& score : p.row(t)) score *= root_;
      Kernels::softmax(p.row(t).data(), t + 1);
      std::ranges::fill(p.row(t).subspan(t + 1), 0.0f);
    }
    return p;
  }
  /// Σ_s weight_ts a_s ⊗ b_s for all t: [tokens, size · size], where a and b [size, tokens].
  matrix<float> weighted_outer(matrix_view<const float> weight, const matrix<float>& a,
                               const matrix<float>& b) const {
    matrix<float> result(weight.rows(), size_ * size_), outer(size_, tokens_);
    for (std::size_t i = 0; i != size_; ++i) {
      for (std::size_t j = 0; j != size_; ++j)
        for (std::size_t s = 0; s != tokens_; ++s) outer(j, s) = a(i, s) * b(j, s);
      simd::multiply<Kernels>(weight, outer, result.view().col_block(i * size_, size_));
    }
    return result;
  }
  matrix_view<const float> square(const matrix<float>& rows, std::size_t t) const {
    return {rows.row(t).data(), size_, size_};
  }

  /// Σ_t Xᵀ G X with X_t = (Σ_s P_ts v_s k_sᵀ − v̄_t k̄_tᵀ) R_t / √size, the derivative of what the head mixes by its
  /// query as it was projected, R_t being that of the query. With G = L Lᵀ, Lᵀ is moved into the values.
  template <class OfQuery>
  void add_query(matrix<double>& sum, std::size_t h, OfQuery&& of_query) const {
    const matrix<float> l = factor(through(h, h));
    const matrix<float> values = product(value_, transposed(l)), values_t = transposed(values),
                        keys_t = transposed(key_);
    matrix<float> covariance = weighted_outer(probabilities_[h], values_t, keys_t);
    const matrix<float> mean_value = product(probabilities_[h], values_t),
                        mean_key = product(probabilities_[h], keys_t);
    matrix<float> rotated(size_, size_);
    for (std::size_t t = 0; t != tokens_; ++t) {
      for (std::size_t i = 0; i != size_; ++i)
        for (std::size_t j = 0; j != size_; ++j)
          covariance(t, i * size_ + j) = root_ * (covariance(t, i * size_ + j) - mean_value(t, i) * mean_key(t, j));
      simd::multiply<Kernels>(square(covariance, t), of_query(h, t), rotated);
      add_gram(rotated, sum);
    }
  }
  /// Σ over t and s of P P' (v_s − v̄_t)ᵀ G (v_s − v̄'_t) (R_sᵀ q_t)(R_sᵀ q'_t)ᵀ / size, and its transpose where the
  /// heads differ: what both answer to the key of token s, disturbed with signs that are independent over tokens.
  template <class OfKey>
  void add_key(matrix<double>& sum, std::size_t h, std::size_t other, OfKey&& of_key) const {
    const matrix<double> exact = through(h, other);
    matrix<float> g(size_, size_);
    for (std::size_t i = 0; i != g.size(); ++i) g.data()[i] = static_cast<float>(exact.data()[i]);
    const matrix<float> values_t = transposed(value_), mean = product(probabilities_[h], values_t),
                        mean_other = product(probabilities_[other], values_t);
    // Rows of g·v and gᵀ·v, so that every term is a product of [tokens, size] matrices.
    const matrix<float> g_value = product(value_, g), g_mean_other = product(mean_other, g);
    const matrix<float> mean_value = product(mean, g_value), value_mean = product(g_mean_other, value_);
    std::vector<float> own(tokens_), both(tokens_);
    for (std::size_t t = 0; t != tokens_; ++t) {
      own[t] = Kernels::dot(value_.row(t).data(), g_value.row(t).data(), size_);
      both[t] = Kernels::dot(mean.row(t).data(), g_mean_other.row(t).data(), size_);
    }
    matrix<float> weight_t(tokens_, tokens_);  // [s, t]
    for (std::size_t s = 0; s != tokens_; ++s)
      for (std::size_t t = 0; t != tokens_; ++t)
        weight_t(s, t) = probabilities_[h](t, s) * probabilities_[other](t, s) * root_ * root_ *
                         (own[s] - mean_value(t, s) - value_mean(t, s) + both[t]);
    const matrix<float> moments = weighted_outer(weight_t, transposed(head(h)), transposed(head(other)));
    matrix<float> half(size_, size_), whole(size_, size_);
    for (std::size_t s = 0; s != tokens_; ++s) {
      const matrix<float>& r = of_key(s);
      simd::multiply<Kernels>(square(moments, s), r, half);  // S R
      simd::multiply<Kernels>(transposed(half), r, whole);   // (S R)ᵀ R = (Rᵀ S R)ᵀ
      for (std::size_t i = 0; i != size_; ++i)
        for (std::size_t j = 0; j != size_; ++j) {
          sum(j, i) += static_cast<double>(whole(i, j));
          if (h != other) sum(i, j) += static_cast<double>(whole(i, j));
        }
    }
  }
  /// sum += xᵀ x.
  static void add_gram(const matrix<float>& x, matrix<double>& sum) {
    const matrix<float> x_t = transposed(x), gram = product(x_t, x_t);
    for (std::size_t i = 0; i != gram.size(); ++i) sum.data()[i] += static_cast<double>(gram.data()[i]);
  }

  matrix_view<const float> query_, key_, value_;
  const matrix<double>& through_;
  std::size_t heads_, size_, tokens_;
  float root_;
  std::vector<matrix<float>> probabilities_;
};

}  // namespace detail

/// The outputs of queries, keys and values, head by head; those of the output projection are the stream's. Cost for
/// each sequence of T tokens: T² size² operations for each query head, and as many for each pair of heads that share
/// a key. Memory: T · size² floats for each thread.
template <class Linear, class Position, class HeadNorm>
class response<self_attention<Linear, Position, HeadNorm>> {
 public:
  using layer_type = self_attention<Linear, Position, HeadNorm>;

  response(layer_type& layer, const matrix<double>& stream_metric, std::size_t block)
      : layer_(layer), stream_metric_(stream_metric), block_(block) {
    require(!layer.prefix(), "nn::response: attention behind a prefix; choose codes before a prefix is added");
    const Linear* output = nullptr;
    layer.for_each_shared_input([&](auto&& input) { output = input.layers.back(); });
    buffer<float> room;
    const auto weights = detail::weights_of<simd::default_kernels>(*output, room);
    std::size_t norm = 0;
    layer.for_each_norm([&](const rms_norm& n) {
      const matrix<float> gains = n.gains(inference_lane{});
      norms_[norm++] = {{gains.flat().begin(), gains.flat().end()}, n.epsilon()};
    });
    const std::size_t width = group() * size();
    for (std::size_t m = 0; m != layer.kv_heads(); ++m) {
      through_.push_back(detail::seen_through(weights, stream_metric, m * width, width));
      sums_.push_back({std::vector(group(), matrix<double>(size(), size(), 0.0)), matrix<double>(size(), size(), 0.0),
                       matrix<double>(group(), group(), 0.0)});
    }
  }

  template <class Pass>
  void add(const Pass& pass, matrix_view<const float> x) {
    using kernels = typename Pass::kernels;
    layer_.multiply(pass, x);
    const matrix<float> queries = layer_type::norms_heads ? pass.work.query : matrix<float>(),
                        keys = layer_type::norms_heads ? pass.work.key : matrix<float>();
    layer_.encode(pass);
    tokens_ += pass.tokens();
    std::size_t longest = 0;
    for (std::size_t s = 0; s != pass.batch.sequences(); ++s) longest = std::max(longest, pass.batch.length(s));
    const std::vector<matrix<float>> rotations = rotations_of<kernels>(longest);
    pass.threads.parallel_for(layer_.kv_heads(), [&](std::size_t m) {
      for (std::size_t s = 0; s != pass.batch.sequences(); ++s) {
        const std::size_t first = pass.batch.start(s), count = pass.batch.length(s);
        const auto part = [&](matrix<float>& all, std::size_t width) {
          return all.view().row_block(first, count).col_block(m * width, width);
        };
        if (count == 0) continue;
        const detail::group_response<kernels> heads(part(pass.work.query, group() * size()),
                                                    part(pass.work.key, size()), part(pass.work.value, size()),
                                                    through_[m]);
        if constexpr (layer_type::norms_heads) {
          const auto& [query_norm, key_norm] = norms_;
          heads.add_to(
              sums_[m],
              [&](std::size_t h, std::size_t t) {
                return through_norm<kernels>(query_norm,
                                             queries.row(first + t).subspan((m * group() + h) * size(), size()), t);
              },
              [&](std::size_t t) {
                return through_norm<kernels>(key_norm, keys.row(first + t).subspan(m * size(), size()), t);
              });
        } else {
          heads.add_to(
              sums_[m], [&](std::size_t, std::size_t t) -> const matrix<float>& { return rotations[t]; },
              [&](std::size_t t) -> const matrix<float>& { return rotations[t]; });
        }
      }
    });
  }
  [[nodiscard]] std::vector<output_metric> metrics() const {
    std::vector<output_metric> all(3);
    for (std::size_t m = 0; m != sums_.size(); ++m) {
      for (const matrix<double>& sum : sums_[m].query) all[0].blocks.push_back(mean(sum));
      all[1].blocks.push_back(mean(sums_[m].key));
      all[2].blocks.push_back(mean(by_value(m)));
    }
    all.push_back(detail::of_stream(stream_metric_, block_));
    return all;
  }

 private:
  [[nodiscard]] std::size_t size() const noexcept { return layer_.head_size(); }
  [[nodiscard]] std::size_t group() const noexcept { return layer_.heads() / layer_.kv_heads(); }
  [[nodiscard]] matrix<double> mean(matrix<double> sum) const {
    for (double& x : sum.flat()) x /= static_cast<double>(std::max<std::size_t>(1, tokens_));
    return sum;
  }
  /// Σ over the heads h, h' that read value head m of Σ_ts P_ts P'_ts · G[h, h'].
  [[nodiscard]] matrix<double> by_value(std::size_t m) const {
    matrix<double> sum(size(), size(), 0.0);
    for (std::size_t h = 0; h != group(); ++h)
      for (std::size_t other = 0; other != group(); ++other)
        for (std::size_t i = 0; i != size(); ++i)
          for (std::size_t j = 0; j != size(); ++j)
            sum(i, j) += sums_[m].together(h, other) * through_[m](h * size() + i, other * size() + j);
    return sum;
  }
  /// Row j of the matrix of a position is where it turns the unit vector j to.
  template <class Kernels>
  [[nodiscard]] std::vector<matrix<float>> rotations_of(std::size_t positions) const {
    std::vector<matrix<float>> all(positions, matrix<float>(size(), size(), 0.0f));
    if constexpr (rotary_positions<Position>) layer_.position().reach(positions);
    for (std::size_t t = 0; t != positions; ++t)
      for (std::size_t j = 0; j != size(); ++j) {
        all[t](j, j) = 1;
        if constexpr (rotary_positions<Position>) layer_.position().template apply<Kernels>(all[t].row(j).data(), t);
      }
    return all;
  }

  struct norm_values {
    std::vector<float> gains;  ///< [size]
    float epsilon = 0;
  };
  /// The derivative of norm and rotation at a head `y` [size] of token t: R diag(g) (I − y yᵀ / (size r²)) / r with
  /// r² = mean(y²) + ε.
  template <class Kernels>
  [[nodiscard]] matrix<float> through_norm(const norm_values& norm, std::span<const float> y, std::size_t t) const {
    double squares = 0;
    for (const float v : y) squares += static_cast<double>(v) * static_cast<double>(v);
    const double n = static_cast<double>(y.size()), r = std::sqrt(squares / n + static_cast<double>(norm.epsilon));
    matrix<float> result(size(), size());
    for (std::size_t j = 0; j != size(); ++j) {
      for (std::size_t i = 0; i != size(); ++i) {
        const double along = static_cast<double>(y[i]) * static_cast<double>(y[j]) / (n * r * r);
        result(j, i) = static_cast<float>(static_cast<double>(norm.gains[i]) / r * ((i == j ? 1.0 : 0.0) - along));
      }
      if constexpr (rotary_positions<Position>) layer_.position().template apply<Kernels>(result.row(j).data(), t);
    }
    return result;
  }

  layer_type& layer_;
  const matrix<double>& stream_metric_;
  std::size_t block_;
  std::array<norm_values, 2> norms_;     ///< of queries and keys, where heads are normed
  std::vector<matrix<double>> through_;  ///< of each group: what it mixes, seen through the output projection
  std::vector<detail::group_sums> sums_;
  std::size_t tokens_ = 0;
};

}  // namespace zoqat::nn
