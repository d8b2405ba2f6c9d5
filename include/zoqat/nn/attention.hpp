// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/nn/attend.hpp>
#include <zoqat/nn/linear.hpp>
#include <zoqat/nn/site.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace zoqat::nn {

namespace detail {
template <class P>
concept position_encoding = std::constructible_from<P, const model_shape&> &&
                            requires(const P& p, float* head) { p.template apply<simd::default_kernels>(head, 0); };
}  // namespace detail

/// Causal self-attention with grouped queries. Queries, keys and values read one smoothed and quantized input; a
/// scheme with a quant::attention part quantizes each of them per token and head after the position encoding, and a
/// smoothing of its own then moves range from keys to queries (q · s, k / s leaves every score as it was).
template <class Linear, class Position>
class self_attention {
  static_assert(detail::position_encoding<Position>,
                "nn::self_attention: the second argument must encode positions, such as nn::rope; a normalisation or an "
                "activation does not belong here");

 public:
  using scheme = typename Linear::scheme;
  using linear_type = Linear;
  using position_type = Position;
  using shared = std::shared_ptr<const Position>;

  self_attention(parameter_ids& ids, const std::string& prefix, const model_shape& shape, const shared& position)
      : heads_(shape.heads),
        kv_heads_(shape.kv_heads),
        head_size_(shape.head_size),
        position_(position),
        query_(ids, prefix + "self_attn.q_proj", shape.heads * shape.head_size, shape.hidden),
        key_(ids, prefix + "self_attn.k_proj", shape.kv_heads * shape.head_size, shape.hidden),
        value_(ids, prefix + "self_attn.v_proj", shape.kv_heads * shape.head_size, shape.hidden),
        output_(ids, prefix + "self_attn.o_proj", shape.hidden, shape.heads * shape.head_size) {
    if constexpr (scheme::quantizes_activations) {
      input_smoothing_ = {ids, prefix + "self_attn.input", shape.hidden};
      // One s for all the query heads that mix one value head, so that it can be folded into v_proj.
      output_smoothing_ = {ids, prefix + "self_attn.mixed", shape.heads * shape.head_size, shape.head_size,
                      shape.heads / shape.kv_heads};
    }
    if constexpr (scheme::quantizes_attention)
      score_scale_ = {ids, prefix + "self_attn.scores.log_scale", parameter_group::score_scale, shape.kv_heads,
                      shape.head_size / 2};
  }
  static constexpr const char* norm_name = "input_layernorm";

  /// Adds the layer's output to `stream`; `x` is the normed stream. Both [rows, hidden]. `layer` is the index in the
  /// cache. Throws value_error for a sequence longer than the model's positions.
  template <class Pass>
  void forward(const Pass& pass, std::size_t layer, matrix_view<const float> x, matrix_view<float> stream) {
    workspace& work = pass.work;
    pass.observer.observe(input_site(), x);
    work.query.reshape(x.rows(), query_.out_features());
    work.key.reshape(x.rows(), key_.out_features());
    work.value.reshape(x.rows(), value_.out_features());
    work.mixed.reshape(x.rows(), query_.out_features());
    {
      const linear_input<scheme> input(pass, x, input_smoothing_);
      query_.forward(pass, input, work.query, false);
      key_.forward(pass, input, work.key, false);
      value_.forward(pass, input, work.value, false);
    }
    encode(pass);
    attend(pass, layer);
    pass.observer.observe(output_site(), work.mixed);
    const linear_input<scheme> mixed(pass, work.mixed, output_smoothing_);
    output_.forward(pass, mixed, stream, true);
  }

  /// Calls f(site) in the order of a pass.
  template <class F>
  void for_each_site(F&& f) {
    f(input_site());
    f(output_site());
  }
  /// log s between keys and queries: [kv_heads, head_size / 2], one for each pair that turns together. Empty unless
  /// the scheme quantizes attention.
  [[nodiscard]] trainable& score_scale() noexcept { return score_scale_; }

 private:
  [[nodiscard]] site<Linear, 3> input_site() { return {{&query_, &key_, &value_}, &input_smoothing_, false}; }
  [[nodiscard]] site<Linear, 1> output_site() { return {{&output_}, &output_smoothing_, true}; }

  /// Positions, smoothing and quantization of queries, keys and values, in place.
  template <class Pass>
  void encode(const Pass& pass) const {
    const matrix<float> scales = score_scales(pass);
    for (std::size_t s = 0; s != pass.batch.sequences(); ++s)
      require(pass.first_position() + pass.batch.length(s) <= position_->positions(),
              "attention: a sequence of {} tokens exceeds the model's {} positions",
              pass.first_position() + pass.batch.length(s), position_->positions());
    pass.threads.parallel_for(pass.lanes.count() * pass.batch.sequences(), [&](std::size_t task) {
      const std::size_t lane = task / pass.batch.sequences(), s = task % pass.batch.sequences();
      const float* const of_lane = scales.empty() ? nullptr : scales.row(lane).data();
      for (std::size_t i = 0; i != pass.batch.length(s); ++i) {
        const std::size_t row = lane * pass.tokens() + pass.batch.start(s) + i, at = pass.first_position() + i;
        for (std::size_t h = 0; h != heads_; ++h)
          encode_head<typename Pass::kernels, true>(pass.work.query.row(row).data() + h * head_size_, at,
                                                    kv_head_scale(of_lane, h / (heads_ / kv_heads_)), 1.0f);
        for (std::size_t h = 0; h != kv_heads_; ++h) {
          encode_head<typename Pass::kernels, true>(pass.work.key.row(row).data() + h * head_size_, at,
                                                    kv_head_scale(of_lane, h), -1.0f);
          encode_head<typename Pass::kernels, false>(pass.work.value.row(row).data() + h * head_size_, at, nullptr, 0);
        }
      }
    });
  }
  template <class Kernels, bool Positioned>
  void encode_head(float* head, std::size_t at, const float* log_scale, float sign) const {
    if constexpr (Positioned) position_->template apply<Kernels>(head, at);
    if constexpr (scheme::quantizes_attention) {
      if (log_scale)
        for (std::size_t j = 0; j != head_size_; ++j) head[j] *= std::exp(sign * log_scale[position_->pair(j)]);
      thread_local buffer<std::uint8_t> codes;
      codes.resize(head_size_);
      const auto row = Kernels::quantize_row(head, head_size_, scheme::attention_type::bits, false, codes.data());
      Kernels::dequantize(codes.data(), head_size_, row.where, head);
    }
  }
  const float* kv_head_scale(const float* of_lane, std::size_t kv_head) const noexcept {
    return of_lane ? of_lane + kv_head * (head_size_ / 2) : nullptr;
  }
  template <class Pass>
  matrix<float> score_scales(const Pass& pass) const {
    matrix<float> scales;
    if (!score_scale_.empty()) read_all(pass.lanes, score_scale_, scales);
    return scales;
  }

  template <class Pass>
  void attend(const Pass& pass, std::size_t layer) const {
    if (pass.cache) return attend_cached(pass, pass.cache->layers[layer]);
    const std::size_t sequences = pass.lanes.count() * pass.batch.sequences();
    pass.threads.parallel_for(sequences * kv_heads_, [&](std::size_t task) {
      const std::size_t lane = task / kv_heads_ / pass.batch.sequences();
      const std::size_t s = task / kv_heads_ % pass.batch.sequences();
      const std::size_t first = lane * pass.tokens() + pass.batch.start(s), count = pass.batch.length(s);
      attend_group(pass, pass.work.key.view().row_block(first, count), pass.work.value.view().row_block(first, count),
                   first, count, task % kv_heads_);
    });
  }
  template <class Pass>
  void attend_cached(const Pass& pass, kv_cache::layer& cached) const {
    const std::size_t past = pass.first_position(), count = pass.tokens();
    for (std::size_t i = 0; i != count; ++i) {
      std::ranges::copy(pass.work.key.row(i), cached.keys.row(past + i).begin());
      std::ranges::copy(pass.work.value.row(i), cached.values.row(past + i).begin());
    }
    pass.threads.parallel_for(kv_heads_, [&](std::size_t kv_head) {
      attend_group(pass, cached.keys.view().row_block(0, past + count), cached.values.view().row_block(0, past + count),
                   0, count, kv_head);
    });
  }
  /// The query heads of key and value head `kv_head`, for `count` queries from row `first`.
  template <class Pass>
  void attend_group(const Pass& pass, matrix_view<const float> keys, matrix_view<const float> values, std::size_t first,
                    std::size_t count, std::size_t kv_head) const {
    if (count == 0) return;
    const std::size_t group = heads_ / kv_heads_ * head_size_;
    grouped_attention<typename Pass::kernels> attention(keys.col_block(kv_head * head_size_, head_size_),
                                                        values.col_block(kv_head * head_size_, head_size_));
    attention(pass.work.query.view().row_block(first, count).col_block(kv_head * group, group),
              pass.work.mixed.view().row_block(first, count).col_block(kv_head * group, group));
  }

  std::size_t heads_, kv_heads_, head_size_;
  shared position_;
  Linear query_, key_, value_, output_;
  smoothing input_smoothing_, output_smoothing_;
  trainable score_scale_;
};

}  // namespace zoqat::nn
