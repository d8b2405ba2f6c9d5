// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/safetensors.hpp>
#include <zoqat/nn/visit.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <numbers>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::testing {

/// OPT's forward pass written down as it is defined, one sequence and one position at a time, in double: the oracle
/// of the decoder. It knows the library only by the sizes, and tensors by Hugging Face's names after
/// "model.decoder.".
class reference_opt {
 public:
  using vector = std::vector<double>;

  /// Takes the weights of a file as it stores them.
  reference_opt(const model_shape& shape, const io::safetensors_file& file) : shape_(shape) {
    for (const io::tensor_view& tensor : file.tensors()) {
      std::vector<float> values(io::element_count(tensor));
      io::copy_to_f32(tensor, values);
      const std::string_view prefix = "model.decoder.", name = tensor.name;
      set(std::string(name.starts_with(prefix) ? name.substr(prefix.size()) : name), values);
    }
  }
  /// Takes the weights of a model in full precision.
  template <class Model>
  explicit reference_opt(Model& model) : shape_(model.shape()) {
    nn::for_each_base_tensor(model, [&](auto& t) { set(stored_name(t.name()), t.values().flat()); });
  }

  /// Logits after every token: [tokens][vocabulary].
  [[nodiscard]] std::vector<vector> logits(std::span<const std::uint32_t> tokens) const {
    std::vector<vector> stream, result;
    for (std::size_t p = 0; p != tokens.size(); ++p) {  // the table of positions begins with two unused rows
      stream.push_back(row("embed_tokens.weight", tokens[p]));
      add(stream.back(), row("embed_positions.weight", p + 2));
    }
    for (std::size_t layer = 0; layer != shape_.layers; ++layer) {
      const std::string prefix = "layers." + std::to_string(layer) + ".";
      attention(prefix, stream);
      for (vector& x : stream) {
        vector hidden = linear(prefix + "fc1", norm(prefix + "final_layer_norm", x));
        for (double& h : hidden) h = activate(h);
        add(x, linear(prefix + "fc2", hidden));
      }
    }
    for (const vector& x : stream)
      result.push_back(linear(shape_.tied_head ? "embed_tokens" : "lm_head", norm("final_layer_norm", x)));
    return result;
  }

 private:
  static std::string stored_name(std::string name) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 6> spelled{{
        {"post_attention_layernorm", "final_layer_norm"},
        {"input_layernorm", "self_attn_layer_norm"},
        {"o_proj", "out_proj"},
        {"mlp.", ""},
        {"model.norm", "final_layer_norm"},
        {"model.", ""},
    }};
    for (const auto& [ours, theirs] : spelled)
      if (const auto at = name.find(ours); at != name.npos) name.replace(at, ours.size(), theirs);
    return name;
  }
  void set(const std::string& name, std::span<const float> values) {
    tensors_[name] = vector(values.begin(), values.end());
  }
  [[nodiscard]] const vector& tensor(const std::string& name) const { return tensors_.at(name); }
  [[nodiscard]] vector row(const std::string& name, std::size_t r) const {
    const auto first = tensor(name).begin() + static_cast<std::ptrdiff_t>(r * shape_.hidden);
    return {first, first + static_cast<std::ptrdiff_t>(shape_.hidden)};
  }
  [[nodiscard]] double activate(double x) const {
    switch (shape_.kind.activation) {
      case activation_function::gelu_tanh:
        return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
      case activation_function::gelu_erf:
        return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
      default:
        return std::max(x, 0.0);
    }
  }
  [[nodiscard]] vector linear(const std::string& name, const vector& x) const {
    const vector& w = tensor(name + ".weight");
    const auto bias = tensors_.find(name + ".bias");
    vector y = bias == tensors_.end() ? vector(w.size() / x.size(), 0.0) : bias->second;
    for (std::size_t j = 0; j != y.size(); ++j)
      for (std::size_t k = 0; k != x.size(); ++k) y[j] += w.at(j * x.size() + k) * x[k];
    return y;
  }
  [[nodiscard]] vector norm(const std::string& name, vector x) const {
    const auto n = static_cast<double>(x.size());
    double mean = 0, variance = 0;
    for (const double v : x) mean += v / n;
    for (const double v : x) variance += (v - mean) * (v - mean) / n;
    for (std::size_t i = 0; i != x.size(); ++i)
      x[i] = (x[i] - mean) / std::sqrt(variance + double{shape_.norm_epsilon}) * tensor(name + ".weight").at(i) +
             tensor(name + ".bias").at(i);
    return x;
  }
  void attention(const std::string& prefix, std::vector<vector>& stream) const {
    const std::size_t d = shape_.head_size;
    std::vector<vector> keys, values;
    for (vector& x : stream) {
      const vector normed = norm(prefix + "self_attn_layer_norm", x);
      const vector query = linear(prefix + "self_attn.q_proj", normed);
      keys.push_back(linear(prefix + "self_attn.k_proj", normed));
      values.push_back(linear(prefix + "self_attn.v_proj", normed));
      vector mixed(query.size(), 0.0);
      for (std::size_t first = 0; first != query.size(); first += d) {
        vector weights;
        double total = 0;
        for (const vector& key : keys) {
          double score = 0;
          for (std::size_t j = first; j != first + d; ++j) score += query[j] * key[j];
          weights.push_back(std::exp(score / std::sqrt(static_cast<double>(d))));
          total += weights.back();
        }
        for (std::size_t k = 0; k != weights.size(); ++k)
          for (std::size_t j = first; j != first + d; ++j) mixed[j] += weights[k] / total * values[k][j];
      }
      add(x, linear(prefix + "self_attn.out_proj", mixed));
    }
  }
  static void add(vector& to, const vector& x) {
    for (std::size_t i = 0; i != x.size(); ++i) to[i] += x[i];
  }

  model_shape shape_;
  std::map<std::string, vector> tensors_;
};

}  // namespace zoqat::testing
