// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>
#include <zoqat/nn/attend.hpp>
#include <zoqat/nn/linear.hpp>
#include <zoqat/nn/norm.hpp>
#include <zoqat/nn/positions.hpp>
#include <zoqat/nn/prefix.hpp>
#include <zoqat/nn/shared_input.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::nn {

/// Queries and keys as the projections leave them.
struct no_head_norm {};

/// Causal self-attention with grouped queries. Queries, keys and values read one smoothed and quantized input; a
/// scheme with a quant::attention part quantizes each of them per token and head after the position encoding, and a
/// smoothing of its own then moves range from keys to queries (q · s, k / s leaves every score as it was). With
/// rms_norm as HeadNorm, each head of queries and keys is normed before its position is encoded, as in Qwen3.
template <class Linear, class Position, class HeadNorm = no_head_norm>
class self_attention {
  static_assert(std::is_same_v<HeadNorm, no_head_norm> || std::is_same_v<HeadNorm, rms_norm>,
                "nn::self_attention: the third argument norms the heads of queries and keys: nn::rms_norm, or "
                "nn::no_head_norm for none");
  static_assert(position_encoding<Position>,
                "nn::self_attention: the second argument must encode positions, such as nn::rope; a normalization or "
                "an activation does not belong here");

 public:
  using scheme = typename Linear::scheme;
  using linear_type = Linear;
  using position_type = Position;
  using shared = std::shared_ptr<const Position>;
  static constexpr bool norms_heads = std::is_same_v<HeadNorm, rms_norm>;

  self_attention(parameter_ids& ids, const std::string& prefix, const model_shape& shape, const shared& position)
      : heads_(shape.heads),
        kv_heads_(shape.kv_heads),
        head_size_(shape.head_size),
        position_(position),
        query_(ids, prefix + "self_attn.q_proj", shape.heads * shape.head_size, shape.hidden,
               shape.biases.query_key_value),
        key_(ids, prefix + "self_attn.k_proj", shape.kv_heads * shape.head_size, shape.hidden,
             shape.biases.query_key_value),
        value_(ids, prefix + "self_attn.v_proj", shape.kv_heads * shape.head_size, shape.hidden,
               shape.biases.query_key_value),
        output_(ids, prefix + "self_attn.o_proj", shape.hidden, shape.heads * shape.head_size,
                shape.biases.attention_output) {
    if constexpr (norms_heads) {
      query_norm_.emplace(ids, prefix + "self_attn.q_norm", shape.head_size, shape.norm_epsilon);
      key_norm_.emplace(ids, prefix + "self_attn.k_norm", shape.head_size, shape.norm_epsilon);
    }
    if constexpr (scheme::smooths_inputs) {
      input_smoothing_ = {ids, prefix + "self_attn.input", shape.hidden, scheme::shifts_inputs};
      // One s and δ for all the query heads that mix one value head, so that they can be folded into v_proj.
      output_smoothing_ = {ids,
                           prefix + "self_attn.mixed",
                           shape.heads * shape.head_size,
                           shape.head_size,
                           shape.heads / shape.kv_heads,
                           scheme::shifts_inputs};
    }
    if constexpr (scheme::quantizes_attention) {
      score_scale_ = {ids, prefix + "self_attn.scores.log_scale", parameter_group::score_scale, shape.kv_heads,
                      position->pairs()};
      score_scale_.allocate();  // too small to wait for its turn in a model that is built tensor by tensor
    }
  }
  static constexpr const char* norm_name = "input_layernorm";

  /// Adds the layer's output to `stream`; `x` is the normed stream. Both [rows, hidden]. `layer` is the index in the
  /// cache. Throws value_error for a sequence longer than the model's positions.
  template <class Pass>
  void forward(const Pass& pass, std::size_t layer, matrix_view<const float> x, matrix_view<float> stream) {
    workspace& work = pass.work;
    pass.observer.observe(normed_input(), x);
    project(pass, x);
    work.mixed.reshape(x.rows(), query_.out_features());
    attend(pass, layer);
    pass.observer.observe(mixed_input(), work.mixed);
    const linear_input<scheme> mixed(pass, work.mixed, output_smoothing_);
    output_.forward(pass, mixed, stream, true);
  }
  /// The first half of `forward`: leaves queries, keys and values in `pass.work`, with their positions encoded and
  /// quantized as attention reads them.
  template <class Pass>
  void project(const Pass& pass, matrix_view<const float> x) const {
    multiply(pass, x);
    encode(pass);
  }
  /// What comes before that: the products alone.
  template <class Pass>
  void multiply(const Pass& pass, matrix_view<const float> x) const {
    workspace& work = pass.work;
    work.query.reshape(x.rows(), query_.out_features());
    work.key.reshape(x.rows(), key_.out_features());
    work.value.reshape(x.rows(), value_.out_features());
    const linear_input<scheme> input(pass, x, input_smoothing_);
    query_.forward(pass, input, work.query, false);
    key_.forward(pass, input, work.key, false);
    value_.forward(pass, input, work.value, false);
  }
  /// Head norms, positions, smoothing and quantization of queries, keys and values, in place.
  template <class Pass>
  void encode(const Pass& pass) const {
    if constexpr (norms_heads || rotary_positions<Position> || scheme::quantizes_attention) {
      using kernels = typename Pass::kernels;
      const std::vector<std::size_t> positions = token_positions(pass, position_->positions(), prefix_tokens());
      if constexpr (rotary_positions<Position>)
        position_->reach(positions.empty() ? 0 : *std::ranges::max_element(positions) + 1);
      const score_factors factors = read_factors(pass.lanes);
      matrix<float> query_gains, key_gains;
      if constexpr (norms_heads) {
        query_gains = query_norm_->gains(pass.lanes);
        key_gains = key_norm_->gains(pass.lanes);
      }
      const auto factor = [&](const matrix<float>& all, std::size_t lane, std::size_t kv_head) {
        return all.empty() ? nullptr : all.row(lane).data() + kv_head * head_size_;
      };
      pass.for_each_row([&](std::size_t row) {
        const std::size_t lane = row / pass.tokens(), at = positions[row % pass.tokens()];
        for (std::size_t h = 0; h != heads_; ++h) {
          float* const query = head(pass.work.query, row, h);
          if constexpr (norms_heads)
            query_norm_->template apply<kernels>({query, head_size_}, query_gains.row(lane).data());
          encode_head<kernels>(query, at, factor(factors.query, lane, h / (heads_ / kv_heads_)));
        }
        for (std::size_t h = 0; h != kv_heads_; ++h) {
          float* const key = head(pass.work.key, row, h);
          if constexpr (norms_heads)
            key_norm_->template apply<kernels>({key, head_size_}, key_gains.row(lane).data());
          encode_head<kernels>(key, at, factor(factors.key, lane, h));
          quantize_head<kernels>(head(pass.work.value, row, h));
        }
      });
    }
  }

  [[nodiscard]] std::size_t heads() const noexcept { return heads_; }
  [[nodiscard]] std::size_t kv_heads() const noexcept { return kv_heads_; }
  [[nodiscard]] std::size_t head_size() const noexcept { return head_size_; }
  [[nodiscard]] const Position& position() const noexcept { return *position_; }

  /// What stands before every sequence, or nothing.
  [[nodiscard]] std::optional<kv_prefix>& prefix() noexcept { return prefix_; }
  [[nodiscard]] std::size_t prefix_tokens() const noexcept { return prefix_ ? prefix_->tokens() : 0; }

  /// Calls f(shared input) in the order of a pass.
  template <class F>
  void for_each_shared_input(F&& f) {
    f(normed_input());
    f(mixed_input());
  }
  /// Calls f(norm) for the norms of queries and keys, if there are any.
  template <class F>
  void for_each_norm(F&& f) {
    if constexpr (norms_heads) f(*query_norm_), f(*key_norm_);
  }
  template <class V>
  void visit(V&& v) {
    visit_shared_inputs(*this, v);
    for_each_norm([&](auto& norm) { norm.visit(v); });
    if (!score_scale_.empty()) v.tensor(score_scale_, use::added);
    if (prefix_) prefix_->visit(v);
  }

 private:
  [[nodiscard]] shared_input<Linear, 3> normed_input() {
    return {{&query_, &key_, &value_}, &input_smoothing_, false};
  }
  [[nodiscard]] shared_input<Linear, 1> mixed_input() { return {{&output_}, &output_smoothing_, true}; }

  /// Factors of the channels of all key and value heads, on each lane: [lanes, kv_heads * head_size]. Empty unless
  /// the scheme quantizes attention.
  struct score_factors {
    matrix<float> query, key;
  };

  float* head(matrix<float>& x, std::size_t row, std::size_t h) const noexcept {
    return x.row(row).data() + h * head_size_;
  }
  template <class Kernels>
  void encode_head(float* head, std::size_t at, const float* factor) const {
    if constexpr (rotary_positions<Position>) position_->template apply<Kernels>(head, at);
    if (factor) Kernels::multiply(factor, head, head_size_);
    quantize_head<Kernels>(head);
  }
  template <class Kernels>
  void quantize_head(float* head) const {
    if constexpr (scheme::quantizes_attention) {
      thread_local buffer<std::uint8_t> codes;
      codes.resize(head_size_);
      const auto row = Kernels::quantize_row(head, head_size_, scheme::attention_type::bits, false, codes.data());
      Kernels::dequantize(codes.data(), head_size_, row.grid, head);
    }
  }
  template <lane_reader Lanes>
  score_factors read_factors(const Lanes& lanes) const {
    score_factors factors;
    if (score_scale_.empty()) return factors;
    matrix<float> logs;
    read_all(lanes, score_scale_, logs);
    factors.query.reshape(lanes.count(), kv_heads_ * head_size_);
    factors.key.reshape(lanes.count(), kv_heads_ * head_size_);
    for (std::size_t lane = 0; lane != lanes.count(); ++lane)
      for (std::size_t j = 0; j != kv_heads_ * head_size_; ++j) {
        const float log = logs(lane, j / head_size_ * position_->pairs() + position_->pair(j % head_size_));
        factors.query(lane, j) = std::exp(log);
        factors.key(lane, j) = std::exp(-log);
      }
    return factors;
  }

  template <class Pass>
  void attend(const Pass& pass, std::size_t layer) const {
    const kv_prefix::rows before = prefix_ ? prefix_->read(pass.lanes) : kv_prefix::rows{};
    if (pass.cache) return attend_cached(pass, pass.cache->layers[layer], before);
    const std::size_t sequences = pass.lanes.count() * pass.batch.sequences();
    pass.threads.parallel_for(sequences * kv_heads_, [&](std::size_t task) {
      const std::size_t lane = task / kv_heads_ / pass.batch.sequences();
      const std::size_t s = task / kv_heads_ % pass.batch.sequences();
      const std::size_t first = lane * pass.tokens() + pass.batch.start(s), count = pass.batch.length(s);
      attend_group(pass, pass.work.key.view().row_block(first, count), pass.work.value.view().row_block(first, count),
                   first, count, task % kv_heads_, before, lane);
    });
  }
  template <class Pass>
  void attend_cached(const Pass& pass, kv_cache::layer& cached, const kv_prefix::rows& before) const {
    const std::size_t past = pass.first_position(), count = pass.tokens();
    for (std::size_t i = 0; i != count; ++i) {
      std::ranges::copy(pass.work.key.row(i), cached.keys.row(past + i).begin());
      std::ranges::copy(pass.work.value.row(i), cached.values.row(past + i).begin());
    }
    pass.threads.parallel_for(kv_heads_, [&](std::size_t kv_head) {
      attend_group(pass, cached.keys.view().row_block(0, past + count),
                   cached.values.view().row_block(0, past + count), 0, count, kv_head, before, 0);
    });
  }
  /// The query heads of key and value head `kv_head`, for `count` queries from row `first`, with what stands before
  /// them on a lane.
  template <class Pass>
  void attend_group(const Pass& pass, matrix_view<const float> keys, matrix_view<const float> values,
                    std::size_t first, std::size_t count, std::size_t kv_head, const kv_prefix::rows& before,
                    std::size_t lane) const {
    if (count == 0) return;  // a pass without tokens has no memory to take columns of
    const std::size_t group = heads_ / kv_heads_ * head_size_;
    const auto of_group = [&](matrix<float>& x) {
      return x.view().row_block(first, count).col_block(kv_head * group, group);
    };
    keys = keys.col_block(kv_head * head_size_, head_size_);
    values = values.col_block(kv_head * head_size_, head_size_);
    if (prefix_) {
      thread_local matrix<float> all_keys, all_values;
      keys = behind(before.keys, lane, kv_head, keys, all_keys);
      values = behind(before.values, lane, kv_head, values, all_values);
    }
    nn::attend<typename Pass::kernels>(of_group(pass.work.query), keys, values, of_group(pass.work.mixed));
  }

  /// The prefix of a lane in one head, and rows behind it, in `room`.
  matrix_view<const float> behind(const matrix<float>& prefix, std::size_t lane, std::size_t kv_head,
                                  matrix_view<const float> rows, matrix<float>& room) const {
    const std::size_t tokens = prefix_tokens();
    room.reshape(tokens + rows.rows(), head_size_);
    for (std::size_t i = 0; i != tokens; ++i)
      std::copy_n(prefix.row(lane).data() + (i * kv_heads_ + kv_head) * head_size_, head_size_, room.row(i).data());
    for (std::size_t i = 0; i != rows.rows(); ++i)
      std::copy_n(rows.row(i).data(), head_size_, room.row(tokens + i).data());
    return room;
  }

  std::size_t heads_, kv_heads_, head_size_;
  shared position_;
  Linear query_, key_, value_, output_;
  std::optional<rms_norm> query_norm_, key_norm_;  ///< each [head_size]; none unless HeadNorm says so
  smoothing input_smoothing_, output_smoothing_;
  /// log s between keys and queries: [kv_heads, pairs], one for each pair of channels that turns together. Empty
  /// unless the scheme quantizes attention.
  trainable score_scale_;
  std::optional<kv_prefix> prefix_;
};

}  // namespace zoqat::nn
