// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <nn/deployment.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/generate.hpp>
#include <zoqat/nn/opt.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using teacher = nn::opt<quant::full_precision>;
using student = nn::opt<quant::scheme<quant::weight<4, quant::per_channel, quant::asymmetric, quant::clip::codes>,
                                      quant::activation<8>, quant::attention<8>>>;

/// OPT's shape: as many key and value heads as heads, which are together as wide as the stream.
model_shape small_shape(bool biases = true) {
  return {.hidden = 18,
          .intermediate = 35,
          .layers = 2,
          .heads = 3,
          .kv_heads = 3,
          .head_size = 6,
          .vocabulary = 37,
          .positions = 80,
          .norm_epsilon = 1e-5f,
          .biases = biases};
}

/// OPT's forward pass written down as it is defined, in double and position by position. It knows the library only by
/// the names and values of the tensors.
class reference_opt {
 public:
  using vector = std::vector<double>;

  explicit reference_opt(teacher& model) : shape_(model.shape()) {
    model.for_each_base_tensor([&](auto& t) {
      tensors_[t.name()] = vector(t.values().flat().begin(), t.values().flat().end());
    });
  }

  /// Logits after every token: [tokens][vocabulary].
  [[nodiscard]] std::vector<vector> logits(std::span<const nn::token> tokens) const {
    std::vector<vector> stream, result;
    for (std::size_t p = 0; p != tokens.size(); ++p) {
      stream.emplace_back();
      for (std::size_t j = 0; j != shape_.hidden; ++j)  // the table of positions begins with two unused rows
        stream[p].push_back(tensor("model.embed_tokens.weight")[tokens[p] * shape_.hidden + j] +
                            tensor("model.embed_positions.weight")[(p + 2) * shape_.hidden + j]);
    }
    for (std::size_t layer = 0; layer != shape_.layers; ++layer) {
      const std::string prefix = "model.layers." + std::to_string(layer) + ".";
      attention(prefix, stream);
      for (vector& x : stream) {
        vector hidden = linear(prefix + "mlp.fc1", norm(prefix + "post_attention_layernorm", x));
        for (double& h : hidden) h = std::max(h, 0.0);
        add(x, linear(prefix + "mlp.fc2", hidden));
      }
    }
    for (const vector& x : stream) result.push_back(linear("model.embed_tokens", norm("model.norm", x)));
    return result;
  }

 private:
  [[nodiscard]] const vector& tensor(const std::string& name) const { return tensors_.at(name); }
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
      x[i] = (x[i] - mean) / std::sqrt(variance + double{shape_.norm_epsilon}) * tensor(name + ".weight")[i] +
             tensor(name + ".bias")[i];
    return x;
  }
  void attention(const std::string& prefix, std::vector<vector>& stream) const {
    const std::size_t d = shape_.head_size;
    std::vector<vector> keys, values;
    for (vector& x : stream) {
      const vector normed = norm(prefix + "input_layernorm", x);
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
      add(x, linear(prefix + "self_attn.o_proj", mixed));
    }
  }
  static void add(vector& to, const vector& x) {
    for (std::size_t i = 0; i != x.size(); ++i) to[i] += x[i];
  }

  model_shape shape_;
  std::map<std::string, vector> tensors_;
};

constexpr std::array<std::size_t, 4> lengths{7, 1, 70, 2};
nn::token_batch sequences() { return random_batch(lengths, 37, 10); }

template <class Model>
Model fresh(std::uint32_t name) {
  auto model = random_model<Model>(small_shape(), name);
  model.for_each_site([](auto&& site) {
    for (auto* layer : site.layers) layer->start_clipping(*site.smoothing);
  });
  return model;
}

}  // namespace

TEST_CASE("a decoder of OPT's blocks computes OPT's forward pass") {
  for (const bool biases : {true, false}) {
    CAPTURE(biases);
    auto model = random_model<teacher>(small_shape(biases), 1);
    const reference_opt reference(model);
    CHECK(largest_difference(model, reference, sequences()) < 1e-4);

    // The check can fail: a bias, and a position, a little off.
    for (const char* const name : {"model.layers.1.mlp.fc1.bias", "model.embed_positions.weight"}) {
      auto other = model;
      bool found = false;
      other.for_each_base_tensor([&](nn::trainable& t) {
        if (t.name() != name) return;
        found = true;
        for (float& x : t.values().flat()) x += 0.05f * static_cast<float>(&x - t.values().data());
      });
      CHECK(found == (biases || name[6] == 'e'));
      CHECK((largest_difference(other, reference, sequences()) > 1e-4) == found);
    }
  }
}

TEST_CASE("its tensors: two of positions more than there are, and a bias for every layer") {
  teacher model(small_shape());
  std::map<std::string, std::array<std::size_t, 2>> sizes;
  model.for_each_base_tensor([&](nn::trainable& t) { sizes[t.name()] = {t.rows(), t.cols()}; });
  CHECK(sizes.size() == 2 + 2 * (2 * 2 + 6 * 2) + 2);
  CHECK(sizes.at("model.embed_positions.weight") == std::array<std::size_t, 2>{82, 18});
  for (const char* const name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                                 "mlp.fc1", "mlp.fc2", "input_layernorm", "post_attention_layernorm"})
    for (const char* const part : {".weight", ".bias"})
      CHECK_MESSAGE(sizes.count(std::string("model.layers.1.") + name + part) == 1, name);
  std::size_t floats = 0;
  for (const auto& [name, size] : sizes) floats += size[0] * size[1];
  CHECK(model.weight_bytes() == floats * sizeof(float));
  CHECK(teacher(small_shape(false)).weight_bytes() == (floats - 2 * (5 * 18 + 35)) * sizeof(float));
  // Positions are not trained, as embeddings are not.
  model.for_each_parameter([](const parameter& p) { CHECK(p.name.find("embed") == std::string_view::npos); });
}

TEST_CASE_TEMPLATE("generation with a cache goes on where the positions are", Model, teacher, student) {
  auto model = fresh<Model>(2);
  const auto tokens = random_tokens(70, 37, 3);
  nn::token_batch batch;
  batch.add(tokens);
  const auto whole = logits_of(model, batch);
  sequential threads;
  nn::generator<Model, sequential> generator(model, threads);
  std::size_t fed = 0;
  for (const std::size_t piece : std::array<std::size_t, 4>{3, 1, 65, 1}) {
    const auto logits = generator.feed(std::span(tokens).subspan(fed, piece));
    fed += piece;
    double worst = 0;
    for (std::size_t v = 0; v != 37; ++v)
      worst = std::max(worst, std::abs(double{logits[v]} - double{whole(fed - 1, v)}));
    CHECK(worst < 1e-4);
  }
}

TEST_CASE("a deployed model computes the same bits from what it stores") {
  auto model = fresh<student>(4);
  CHECK(check_deployment(model, sequences()).count("model.embed_positions.weight") == 1);
}

TEST_CASE("every channel of keys and queries has a scale of its own") {
  student model(small_shape());
  std::size_t scales = 0;
  model.for_each_parameter([&](const parameter& p) {
    if (!p.name.ends_with("scores.log_scale")) return;
    ++scales;
    CHECK(p.values.size() == 3 * 6);
  });
  CHECK(scales == 2);
}
