// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>
#include <zoqat/nn/visit.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace zoqat::testing {

/// LLaMA's forward pass written down as it is defined, one sequence and one position at a time, in double: the oracle
/// of the decoder. Biases, head norms and scaled frequencies are those of its relatives, used where they are there.
/// It knows the library only by the names and values of the tensors.
class reference_llama {
 public:
  using vector = std::vector<double>;

  /// Takes the weights of a model in full precision.
  template <class Model>
  explicit reference_llama(Model& model) : shape_(model.shape()) {
    nn::for_each_base_tensor(model, [&](auto& t) { set(t.name(), t.values().flat()); });
  }
  void set(const std::string& name, std::span<const float> values) {
    tensors_[name] = vector(values.begin(), values.end());
  }

  /// Logits after every token: [tokens][vocabulary].
  [[nodiscard]] std::vector<vector> logits(std::span<const std::uint32_t> tokens) const {
    std::vector<vector> stream;
    for (const std::uint32_t token : tokens) stream.push_back(row("model.embed_tokens.weight", token, shape_.hidden));
    for (std::size_t layer = 0; layer != shape_.layers; ++layer) {
      const std::string prefix = "model.layers." + std::to_string(layer) + ".";
      attention(prefix, stream);
      for (vector& x : stream) mlp(prefix, x);
    }
    std::vector<vector> result;
    for (const vector& x : stream)
      result.push_back(linear(shape_.tied_head ? "model.embed_tokens.weight" : "lm_head.weight", shape_.vocabulary,
                              rms_norm("model.norm.weight", x)));
    return result;
  }

  /// −log p of each token's successor: [tokens − 1].
  [[nodiscard]] vector losses(std::span<const std::uint32_t> tokens) const {
    const auto all = logits(tokens);
    vector result;
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) result.push_back(-log_softmax(all[i])[tokens[i + 1]]);
    return result;
  }

  [[nodiscard]] static vector log_softmax(const vector& logits) {
    double total = 0;
    for (const double x : logits) total += std::exp(x);
    vector result;
    for (const double x : logits) result.push_back(x - std::log(total));
    return result;
  }

 private:
  [[nodiscard]] const vector& tensor(const std::string& name) const { return tensors_.at(name); }
  [[nodiscard]] vector row(const std::string& name, std::size_t r, std::size_t cols) const {
    const auto first = tensor(name).begin() + static_cast<std::ptrdiff_t>(r * cols);
    return {first, first + static_cast<std::ptrdiff_t>(cols)};
  }
  [[nodiscard]] vector linear(const std::string& name, std::size_t out, const vector& x) const {
    const vector& w = tensor(name);
    const auto bias = tensors_.find(name.substr(0, name.rfind('.')) + ".bias");
    vector y = bias == tensors_.end() ? vector(out, 0.0) : bias->second;
    for (std::size_t j = 0; j != out; ++j)
      for (std::size_t k = 0; k != x.size(); ++k) y[j] += w.at(j * x.size() + k) * x[k];
    return y;
  }
  [[nodiscard]] vector rms_norm(const std::string& name, const vector& x) const {
    double squares = 0;
    for (const double v : x) squares += v * v;
    const double scale = 1 / std::sqrt(squares / static_cast<double>(x.size()) + shape_.norm_epsilon);
    vector y = x;
    for (std::size_t i = 0; i != x.size(); ++i) y[i] *= scale * tensor(name).at(i);
    return y;
  }
  /// Norms each head by itself, where the model has a norm of that name.
  void norm_heads(const std::string& name, vector& heads) const {
    if (!tensors_.contains(name)) return;
    const auto d = static_cast<std::ptrdiff_t>(shape_.head_size);
    for (auto head = heads.begin(); head != heads.end(); head += d) {
      const vector normed = rms_norm(name, vector(head, head + d));
      std::copy(normed.begin(), normed.end(), head);
    }
  }
  /// Radians from one position to the next.
  [[nodiscard]] double frequency(std::size_t pair) const {
    const double pi = std::acos(-1.0),
                 plain = std::pow(double{shape_.rope_theta},
                                  -2.0 * static_cast<double>(pair) / static_cast<double>(shape_.head_size));
    const rope_scaling& s = shape_.rope_scaling;
    if (s.how == rope_scaling::kind::none) return plain;
    if (s.how == rope_scaling::kind::linear) return plain / double{s.factor};
    const double wavelength = 2 * pi / plain, original = static_cast<double>(s.original_positions);
    if (wavelength < original / double{s.high_frequency_factor}) return plain;
    if (wavelength > original / double{s.low_frequency_factor}) return plain / double{s.factor};
    const double smooth = (original / wavelength - double{s.low_frequency_factor}) /
                          (double{s.high_frequency_factor} - double{s.low_frequency_factor});
    return (1 - smooth) * plain / double{s.factor} + smooth * plain;
  }
  void rotate(vector& heads, std::size_t position) const {
    const std::size_t d = shape_.head_size;
    for (std::size_t first = 0; first != heads.size(); first += d)
      for (std::size_t i = 0; i != d / 2; ++i) {
        const bool split = shape_.rope == rope_pairing::half_split;
        double& x = heads[first + (split ? i : 2 * i)];
        double& y = heads[first + (split ? i + d / 2 : 2 * i + 1)];
        const double angle = static_cast<double>(position) * frequency(i);
        const double a = x, b = y;
        x = a * std::cos(angle) - b * std::sin(angle);
        y = a * std::sin(angle) + b * std::cos(angle);
      }
  }
  void attention(const std::string& prefix, std::vector<vector>& stream) const {
    const std::size_t d = shape_.head_size, wide = shape_.heads * d, narrow = shape_.kv_heads * d;
    std::vector<vector> keys, values;
    for (std::size_t p = 0; p != stream.size(); ++p) {
      const vector x = rms_norm(prefix + "input_layernorm.weight", stream[p]);
      vector query = linear(prefix + "self_attn.q_proj.weight", wide, x);
      keys.push_back(linear(prefix + "self_attn.k_proj.weight", narrow, x));
      values.push_back(linear(prefix + "self_attn.v_proj.weight", narrow, x));
      norm_heads(prefix + "self_attn.q_norm.weight", query);
      norm_heads(prefix + "self_attn.k_norm.weight", keys.back());
      rotate(query, p);
      rotate(keys.back(), p);
      vector mixed(wide, 0.0);
      for (std::size_t head = 0; head != shape_.heads; ++head) {
        const std::size_t from = head / (shape_.heads / shape_.kv_heads) * d;
        vector scores(p + 1, 0.0);
        for (std::size_t k = 0; k <= p; ++k)
          for (std::size_t j = 0; j != d; ++j)
            scores[k] += query[head * d + j] * keys[k][from + j] / std::sqrt(static_cast<double>(d));
        const vector weights = log_softmax(scores);
        for (std::size_t k = 0; k <= p; ++k)
          for (std::size_t j = 0; j != d; ++j) mixed[head * d + j] += std::exp(weights[k]) * values[k][from + j];
      }
      add(stream[p], linear(prefix + "self_attn.o_proj.weight", shape_.hidden, mixed));
    }
  }
  void mlp(const std::string& prefix, vector& stream) const {
    const vector x = rms_norm(prefix + "post_attention_layernorm.weight", stream);
    vector gate = linear(prefix + "mlp.gate_proj.weight", shape_.intermediate, x);
    const vector up = linear(prefix + "mlp.up_proj.weight", shape_.intermediate, x);
    for (std::size_t i = 0; i != gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
    add(stream, linear(prefix + "mlp.down_proj.weight", shape_.hidden, gate));
  }
  static void add(vector& to, const vector& x) {
    for (std::size_t i = 0; i != x.size(); ++i) to[i] += x[i];
  }

  model_shape shape_;
  std::map<std::string, vector> tensors_;
};

}  // namespace zoqat::testing
