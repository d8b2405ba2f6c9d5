// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/trainable.hpp>
#include <zoqat/nn/visit.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/params/lanes.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>

namespace zoqat::inline ZOQAT_ABI::nn {

/// Keys and values that stand before those of every sequence in one layer, as if tokens came before it (prefix
/// tuning, arXiv 2101.00190, whose vectors MeZO trains in the same place): [tokens, kv_heads * head_size] each, with
/// positions encoded, in floats under any scheme. Positions of the sequence itself begin after them.
class kv_prefix {
 public:
  kv_prefix(parameter_ids& ids, const std::string& layer, std::size_t tokens, std::size_t width)
      : keys_(ids, layer + "self_attn.prefix.keys", parameter_group::weight, tokens, width),
        values_(ids, layer + "self_attn.prefix.values", parameter_group::weight, tokens, width) {
    keys_.allocate();
    values_.allocate();
  }

  [[nodiscard]] std::size_t tokens() const noexcept { return keys_.rows(); }
  [[nodiscard]] std::size_t held_bytes() const noexcept { return keys_.bytes() + values_.bytes(); }
  void freeze() noexcept {
    keys_.freeze();
    values_.freeze();
  }
  /// Takes over those of the first tokens of a cache. The unit of a row becomes its root mean square, so that ε is
  /// relative to what the row is, for keys and values alike.
  void start(const kv_cache::layer& cached) {
    const auto copy = [&](const matrix<float>& from, trainable& to) {
      std::copy_n(from.data(), to.values().size(), to.values().data());
      to.unit().resize(to.rows());
      for (std::size_t r = 0; r != to.rows(); ++r) {
        double squares = 1e-12;
        for (const float x : to.values().row(r)) squares += double{x} * double{x};
        to.unit()[r] = static_cast<float>(std::sqrt(squares / static_cast<double>(to.cols())));
      }
    };
    copy(cached.keys, keys_);
    copy(cached.values, values_);
  }

  /// Keys and values of every lane: [lanes, tokens * width] each.
  struct rows {
    matrix<float> keys, values;
  };
  template <lane_reader Lanes>
  [[nodiscard]] rows read(const Lanes& lanes) const {
    rows all;
    read_all(lanes, keys_, all.keys);
    read_all(lanes, values_, all.values);
    return all;
  }

  template <class V>
  void visit(V&& v) {
    v.tensor(keys_, use::added);
    v.tensor(values_, use::added);
  }

 private:
  trainable keys_, values_;
};

/// Gives a model a prefix that trains and starts as these tokens: until it is trained, every sequence is continued as
/// if they stood before it. Throws value_error for a model that has a prefix, and for as many tokens as it has
/// positions.
template <class Model, executor Executor>
void add_prefix(Model& model, std::span<const token> tokens, Executor& threads) {
  const model_shape& s = model.shape();
  require(!tokens.empty() && tokens.size() < s.positions,
          "add_prefix: {} tokens; a model of {} positions takes a prefix of 1 to {}", tokens.size(), s.positions,
          s.positions - 1);
  kv_cache cache;
  for (std::size_t i = 0; i != s.layers; ++i)
    cache.layers.push_back({matrix<float>(tokens.size(), s.kv_heads * s.head_size),
                            matrix<float>(tokens.size(), s.kv_heads * s.head_size)});
  token_batch batch;
  batch.add(tokens);
  workspace work;
  constexpr inference_lane lane;
  const forward_pass<simd::default_kernels, inference_lane, Executor> pass{lane, threads, batch, work, &cache};
  model.forward(pass);
  model.make_prefix(tokens.size());
  std::size_t layer = 0;
  model.for_each_prefix([&](kv_prefix& prefix) { prefix.start(cache.layers[layer++]); });
}

}  // namespace zoqat::nn
