// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/random/stream.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::nn {

/// How the next token is chosen from the logits.
struct sampling {
  float temperature = 0;  ///< 0: the most likely token
  float top_p = 1;        ///< keep the fewest tokens whose probabilities reach this, at least one
};

/// Chooses a token; `logits` is overwritten. The engine is read only at a temperature above 0.
template <simd::kernels Kernels = simd::default_kernels>
[[nodiscard]] token choose(std::span<float> logits, const sampling& how, rng::engine& random) {
  if (how.temperature <= 0) return static_cast<token>(std::ranges::max_element(logits) - logits.begin());
  for (float& x : logits) x /= how.temperature;
  Kernels::softmax(logits.data(), logits.size());
  std::vector<token> order(logits.size());
  std::iota(order.begin(), order.end(), token{0});
  double kept = 1;
  if (how.top_p < 1) {
    std::ranges::sort(order, [&](token a, token b) { return std::pair(-logits[a], a) < std::pair(-logits[b], b); });
    kept = 0;
    std::size_t n = 0;
    do kept += static_cast<double>(logits[order[n++]]);
    while (n != order.size() && kept < static_cast<double>(how.top_p));
    order.resize(n);
  }
  double left = static_cast<double>(random.uniform()) * kept;
  for (const token t : order)
    if ((left -= static_cast<double>(logits[t])) < 0) return t;
  return order.back();
}

/// Generates text one token at a time from a model, with a KV cache so that each token costs one row.
template <language_model Model, executor Executor, simd::kernels Kernels = simd::default_kernels>
class generator {
 public:
  generator(Model& model, Executor& threads) : model_(model), threads_(threads) {
    const model_shape& s = model.shape();
    for (std::size_t i = 0; i != s.layers; ++i)
      cache_.layers.push_back(
          {matrix<float>(0, s.kv_heads * s.head_size), matrix<float>(0, s.kv_heads * s.head_size)});
  }

  /// Tokens that still fit.
  [[nodiscard]] std::size_t room() const noexcept {
    std::size_t before = 0;
    if constexpr (requires { model_.prefix_tokens(); }) before = model_.prefix_tokens();
    return model_.shape().positions - before - cache_.length;
  }
  /// Forgets everything.
  void reset() noexcept { cache_.length = 0; }

  /// Appends tokens and returns the logits after the last of them. Throws value_error if they do not fit.
  std::span<float> feed(std::span<const token> tokens) {
    require(!tokens.empty() && tokens.size() <= room(), "generator: {} tokens do not fit into the {} positions left",
            tokens.size(), room());
    cache_.reserve(cache_.length + tokens.size(), model_.shape().positions);
    token_batch batch;
    batch.add(tokens);
    constexpr inference_lane lane;
    const forward_pass<Kernels, inference_lane, Executor> pass{lane, threads_, batch, work_, &cache_};
    model_.forward(pass);
    cache_.length += tokens.size();
    const std::size_t last = tokens.size() - 1;
    logits_.resize(model_.shape().vocabulary);
    model_.logits(pass, {&last, 1}, {logits_.data(), 1, logits_.size()});
    return logits_;
  }

  /// Continues `prompt` by at most `count` tokens; stops early where `stop(token)` says so (that token is not part of
  /// the result) and where the positions end. `each(token)` sees every token as it comes.
  template <class Stop, class Each>
  std::vector<token> operator()(std::span<const token> prompt, std::size_t count, const sampling& how,
                                rng::engine& random, Stop&& stop, Each&& each) {
    std::vector<token> result;
    if (count == 0) return result;
    for (std::span<float> logits = feed(prompt);;) {
      const token next = choose<Kernels>(logits, how, random);
      if (stop(next)) return result;
      result.push_back(next);
      each(next);
      if (result.size() == count || room() == 0) return result;
      logits = feed({&next, 1});
    }
  }

 private:
  Model& model_;
  Executor& threads_;
  kv_cache cache_;
  workspace work_;
  std::vector<float> logits_;
};

}  // namespace zoqat::nn
