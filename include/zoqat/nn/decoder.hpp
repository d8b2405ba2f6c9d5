// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/nn/block.hpp>
#include <zoqat/nn/head.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/positions.hpp>
#include <zoqat/nn/prefix.hpp>
#include <zoqat/nn/smoothing.hpp>
#include <zoqat/nn/storage_plan.hpp>
#include <zoqat/nn/trainable.hpp>
#include <zoqat/nn/visit.hpp>
#include <zoqat/params/masters.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::nn {

namespace detail {
/// What a decoder adds to its token embeddings: nothing, or a vector for each position.
template <class Position>
struct position_embedding {
  struct type {
    type(parameter_ids&, const model_shape&) noexcept {}
    template <class V>
    void visit(V&&) const noexcept {}
  };
};
template <embedded_positions Position>
struct position_embedding<Position> {
  using type = typename Position::embedding;
};
}  // namespace detail

/// Token embedding, a stack of blocks, a final norm and a head, tied to the embedding or not. What a block computes
/// is a type; how many there are and how wide is in the shape. Embedding, norms and head stay in full precision.
///
/// It models `parameter_store`: the masters of the linear layers, and the parameters of clipping, smoothing and
/// norms.
template <class Block>
class decoder {
  static_assert(
      requires {
        typename Block::linear_type::scheme;
        typename Block::position_type;
      },
      "nn::decoder: the argument must be an nn::block<...>, such as "
      "nn::llama_block<nn::smoothed_linear<scheme>>");

 public:
  using block_type = Block;
  using scheme = typename Block::scheme;
  using norm_type = typename Block::norm_type;
  using position_type = typename Block::position_type;

  /// The kind of files that hold such a model.
  static constexpr model_kind kind{Block::family, Block::activation};

  /// A model of these sizes with zero weights, and of the type's own kind whatever the shape says. Throws value_error
  /// for sizes that do not fit together.
  explicit decoder(const model_shape& shape) : decoder(shape, parameter_ids()) {}

  /// A model for fine-tuning as `plan` says, made tensor by tensor: `fill(trainable&)` fills each tensor of the
  /// checkpoint in fp32, and it takes its final form before the next one gets memory. So there is never more in
  /// memory than what stays and one tensor; the largest come first, so that the last, beside all others, is a small
  /// one. Quantization starts as round-to-nearest.
  template <class Fill>
  [[nodiscard]] static decoder build(const model_shape& shape, Fill&& fill, const storage_plan& plan) {
    decoder model(shape, parameter_ids(false));
    model.require_matches(plan);
    model.for_each_embedding([&](trainable& t) {
      t.allocate();
      fill(t);
      t.store_as(plan.embeddings);
    });
    std::set<std::size_t, std::greater<>> sizes;
    const auto fill_norms = [&](trainable& t, const tensor_use& u) {
      if (u.in_checkpoint && u.trains) fill(t);
    };
    model.visit(
        layer_visitor{fill_norms, [&](auto& projection, smoothing&) { sizes.insert(weights_in(projection)); }});
    for (const std::size_t size : sizes)
      model.for_each_linear([&](auto& projection, smoothing& s) {
        if (weights_in(projection) == size) projection.build(fill, s, plan);
      });
    model.adapt(plan);
    model.freeze(plan);
    return model;
  }
  /// A deployed model whose storage waits to be filled from a file: to be followed by a `visit` of what
  /// files hold, and `finish_storage`. Its masters never take memory.
  [[nodiscard]] static decoder with_storage(const model_shape& shape) {
    decoder model(shape, parameter_ids(false));
    model.for_each_embedding([](trainable& t) { t.allocate(); });
    model.for_each_linear([](auto& projection, smoothing& s) { projection.prepare_storage(s.shifts()); });
    model.freeze({.trained = {}});
    return model;
  }
  /// The same of a model that is there already, calibrated or trained. An input that a packed layer reads keeps its
  /// smoothing in any case, since the codes were made with it. No bit of the losses changes where masters stay in
  /// fp32. Throws value_error for a pattern that names no layer, as `build` does.
  void store(const storage_plan& plan) {
    require_matches(plan);
    for_each_linear([&](auto& projection, smoothing& s) { projection.store(s, plan); });
    adapt(plan);
    freeze(plan);
    for_each_embedding([&](trainable& t) { t.store_as(plan.embeddings); });
  }

 private:
  decoder(const model_shape& shape, parameter_ids ids)
      : shape_(checked(shape)),
        ids_(ids),
        embedding_(ids_, "model.embed_tokens.weight", parameter_group::norm, shape.vocabulary, shape.hidden),
        position_embedding_(ids_, shape),
        position_(std::make_shared<const position_type>(shape)),
        final_norm_(ids_, "model.norm", shape) {
    shape_.kind = kind;
    blocks_.reserve(shape.layers);
    for (std::size_t i = 0; i != shape.layers; ++i)
      blocks_.emplace_back(ids_, "model.layers." + std::to_string(i) + ".", shape, position_);
    if (!shape.tied_head) head_ = {ids_, "lm_head.weight", parameter_group::norm, shape.vocabulary, shape.hidden};
  }

 public:
  [[nodiscard]] const model_shape& shape() const noexcept { return shape_; }
  [[nodiscard]] std::vector<Block>& blocks() noexcept { return blocks_; }
  [[nodiscard]] norm_type& final_norm() noexcept { return final_norm_; }
  /// What the final norm is multiplied with: [vocabulary, hidden].
  [[nodiscard]] master_rows head() const noexcept { return (shape_.tied_head ? embedding_ : head_).master_rows(); }

  /// Starts the residual stream of every lane from the embeddings. Throws value_error for a token out of range, and
  /// where positions are embedded for a sequence longer than they reach.
  template <class Pass>
  void embed(const Pass& pass) const {
    for (std::size_t i = 0; i != pass.tokens(); ++i)
      require(pass.batch[i] < shape_.vocabulary, "decoder: token {} is outside the vocabulary of {}", pass.batch[i],
              shape_.vocabulary);
    pass.work.stream.reshape(pass.rows(), shape_.hidden);
    std::vector<std::size_t> positions;
    if constexpr (embedded_positions<position_type>)
      positions = token_positions(pass, position_->positions(), prefix_tokens_);
    pass.for_each_row([&](std::size_t row) {
      const std::size_t i = row % pass.tokens();
      const auto to = pass.work.stream.row(row);
      using kernels = typename Pass::kernels;
      [[maybe_unused]] thread_local buffer<float> room;
      read_masters<kernels>(embedding_.view(), pass.batch[i] * shape_.hidden, shape_.hidden, to.data());
      if constexpr (embedded_positions<position_type>)
        kernels::add(position_embedding_.template row<kernels>(positions[i], room), to.data(), to.size());
    });
  }

  /// Runs the blocks; leaves the residual stream in `pass.work.stream` and its final norm in `pass.work.normed`.
  template <class Pass>
  void forward(const Pass& pass) {
    embed(pass);
    for (std::size_t i = 0; i != blocks_.size(); ++i) blocks_[i].forward(pass, i, pass.work.stream);
    normalize(pass);
  }
  /// The last part of `forward`: the final norm of `pass.work.stream`, left in `pass.work.normed`.
  template <class Pass>
  void normalize(const Pass& pass) const {
    pass.work.normed.reshape(pass.rows(), shape_.hidden);
    final_norm_.forward(pass, pass.work.stream, pass.work.normed);
  }

  /// Calls f(tile) for tiles (nn::logit_tile) that cover the logits of the last `forward` after some tokens of its
  /// batch, once and in parallel; their rows count these tokens, lane after lane. The logits never exist all at once:
  /// see nn::for_each_logit_tile.
  template <class Pass, class F>
  void for_each_logit_tile(const Pass& pass, std::span<const std::size_t> tokens, F&& f) const {
    nn::for_each_logit_tile<typename Pass::kernels>(pass.threads, pass.lanes.count(), gather(pass, tokens), head(),
                                                    f);
  }
  /// These logits, for few tokens or where all are wanted: out [lanes * tokens, vocabulary].
  template <class Pass>
  void logits(const Pass& pass, std::span<const std::size_t> tokens, matrix_view<float> out) const {
    all_logits<typename Pass::kernels>(pass.threads, pass.lanes.count(), gather(pass, tokens), head(), out);
  }

  /// Shows a visitor (nn/visit.hpp) all tensors of the model.
  template <class V>
  void visit(V&& v) {
    v.tensor(embedding_, use::embedding);
    position_embedding_.visit(v);
    for (Block& block : blocks_) block.visit(v);
    final_norm_.visit(v);
    if (!shape_.tied_head) v.tensor(head_, use::embedding);
  }
  /// Everything that can train, in a fixed order (`parameter_store`).
  template <class F>
  void for_each_parameter(F&& f) {
    for_each_trainable(*this, [&](trainable& t) {
      if (!t.frozen()) f(t.view());
    });
  }
  /// All else that a loss depends on, as bytes: f(std::span<const std::byte>). It tells models apart that have the
  /// same parameters (see zo::fingerprint).
  template <class F>
  void for_each_constant(F&& f) {
    const auto masters = [&](trainable& t) {
      const parameter p = t.view();
      f(std::as_bytes(p.values));
      f(std::as_bytes(p.compact.halves));
      if (!p.compact.fp16s.empty()) f(std::as_bytes(p.compact.fp16s));
      f(std::as_bytes(p.compact.codes));
      f(std::as_bytes(p.compact.scales));
    };
    for_each_embedding(masters);
    for_each_trainable(*this, [&](trainable& t) {
      if (t.frozen()) masters(t);
    });
    for_each_linear([&](auto& projection, smoothing&) { projection.for_each_constant(f); });
  }
  /// Calls f(shared input) for every one, in the order in which a pass meets them.
  template <class F>
  void for_each_shared_input(F&& f) {
    for (Block& block : blocks_) block.for_each_residual([&](auto& r) { r.layer().for_each_shared_input(f); });
  }

  /// Replaces all masters by packed codes, and embeddings in fewer bits by fp32, as files hold them. Losses stay the
  /// same bit by bit; nothing can train any more.
  void deploy() {
    for (Block& block : blocks_) block.for_each_residual([](auto& r) { r.deploy_norms(); });
    final_norm_.deploy();
    store({.trained = {}});
  }
  /// Tokens of the prefix that stands before every sequence (nn/prefix.hpp): a sequence may be that much shorter.
  [[nodiscard]] std::size_t prefix_tokens() const noexcept { return prefix_tokens_; }
  /// Gives every layer room for a prefix, which begins as zeros: `nn::add_prefix` and files fill it. Throws
  /// value_error where there is one.
  void make_prefix(std::size_t tokens) {
    require(prefix_tokens_ == 0, "decoder: the model has a prefix of {} tokens already", prefix_tokens_);
    std::size_t layer = 0;
    for_each_attention([&](auto& attention) {
      attention.prefix().emplace(ids_, "model.layers." + std::to_string(layer++) + ".", tokens,
                                 shape_.kv_heads * shape_.head_size);
    });
    prefix_tokens_ = tokens;
  }
  /// Calls f(kv_prefix) for the prefix of each layer.
  template <class F>
  void for_each_prefix(F&& f) {
    for_each_attention([&](auto& attention) {
      if (attention.prefix()) f(*attention.prefix());
    });
  }
  /// Neither adapters nor a prefix train any more.
  void freeze_beside() { adapt({.trained = {}}); }
  /// Alpha of all adapters, or none where there are no adapters. Throws value_error where they differ.
  [[nodiscard]] std::optional<float> adapter_alpha() {
    std::optional<float> alpha;
    for_each_linear([&](auto& projection, smoothing&) {
      if (!projection.adapter()) return;
      const float own = projection.adapter()->alpha();
      require(!alpha || *alpha == own, "decoder: the adapter of {} has alpha {}, but others have {}",
              projection.name(), own, alpha.value_or(own));
      alpha = own;
    });
    return alpha;
  }
  /// Makes an adapter beside a layer [out, in], for a file to fill. False, and nothing is made, unless there is
  /// such a layer.
  [[nodiscard]] bool add_adapter(const std::string& layer, std::size_t out, std::size_t in, std::size_t rank,
                                 float alpha) {
    bool found = false;
    for_each_linear([&](auto& projection, smoothing&) {
      if (projection.name() != layer || projection.out_features() != out || projection.in_features() != in) return;
      projection.adapt(ids_, {.layers = {layer}, .rank = rank, .alpha = alpha});
      found = true;
    });
    return found;
  }
  /// To be called when the storage that `with_storage` made was filled.
  void finish_storage() {
    for_each_linear([](auto& projection, smoothing&) { projection.finish_storage(); });
  }
  /// Bytes of everything a deployed model stores.
  [[nodiscard]] std::size_t weight_bytes() {
    return sum_bytes([](auto& projection, smoothing& s) { return projection.weight_bytes(s.shifts()); });
  }
  /// Bytes of everything the model holds now, while it trains or after.
  [[nodiscard]] std::size_t held_bytes() {
    return sum_bytes([](auto& projection, smoothing&) { return projection.held_bytes(); });
  }

 private:
  static const model_shape& checked(const model_shape& s) {
    require(s.hidden > 0 && s.heads > 0 && s.kv_heads > 0 && s.head_size > 0 && s.vocabulary > 0 && s.positions > 0,
            "decoder: a size of the model is zero (hidden {}, heads {}, kv heads {}, head size {}, vocabulary {}, "
            "positions {})",
            s.hidden, s.heads, s.kv_heads, s.head_size, s.vocabulary, s.positions);
    require(s.heads % s.kv_heads == 0, "decoder: {} query heads cannot share {} key and value heads", s.heads,
            s.kv_heads);
    return s;
  }
  /// The input of the head after some tokens of a batch: [lanes * tokens, hidden].
  template <class Pass>
  static matrix<float> gather(const Pass& pass, std::span<const std::size_t> tokens) {
    matrix<float> x(pass.lanes.count() * tokens.size(), pass.work.normed.cols());
    for (std::size_t row = 0; row != x.rows(); ++row) {
      const std::size_t lane = row / tokens.size(), i = tokens[row % tokens.size()];
      std::ranges::copy(pass.work.normed.row(lane * pass.tokens() + i), x.row(row).begin());
    }
    return x;
  }
  /// The bytes of all that is no linear layer, and what `of_linear(projection, smoothing)` says of those.
  template <class F>
  [[nodiscard]] std::size_t sum_bytes(F&& of_linear) {
    std::size_t bytes = 0;
    const auto add_tensor = [&](trainable& t, const tensor_use& u) { bytes += u.stored ? t.bytes() : 0; };
    visit(layer_visitor{add_tensor, [&](auto& projection, smoothing& s) { bytes += of_linear(projection, s); }});
    return bytes;
  }
  /// Calls f(layer) for the layers that attend to other tokens, block by block.
  template <class F>
  void for_each_attention(F&& f) {
    for (Block& block : blocks_)
      block.for_each_residual([&](auto& r) {
        if constexpr (requires { r.layer().prefix(); }) f(r.layer());
      });
  }
  /// Calls f(projection, smoothing) for all linear layers.
  template <class F>
  void for_each_linear(F&& f) {
    visit(layer_visitor{[](trainable&, const tensor_use&) {},
                        [&](auto& projection, smoothing& s) { f(projection, s); }});
  }
  /// The tensors that stay as they were loaded: token and position embeddings, and the head.
  template <class F>
  void for_each_embedding(F&& f) {
    const auto show = [&](trainable& t, const tensor_use& u) {
      if (!u.trains) f(t);
    };
    visit(layer_visitor{show, [](auto&, smoothing&) {}});
  }
  template <class Projection>
  [[nodiscard]] static std::size_t weights_in(const Projection& projection) noexcept {
    return projection.in_features() * projection.out_features();
  }
  void require_matches(const storage_plan& plan) {
    std::vector<std::string> names;
    for_each_shared_input([&](auto&& input) {
      for (const auto* layer : input.layers) names.push_back(layer->name());
    });
    const auto first_block = std::span(names).first(blocks_.empty() ? 0 : names.size() / blocks_.size());
    require(!plan.steps || scheme::quantizes_weights,
            "storage_plan: step sizes of packed layers are to train, but this scheme has none");
    std::vector<std::string> patterns = plan.trained;
    patterns.insert(patterns.end(), plan.adapters.layers.begin(), plan.adapters.layers.end());
    for (const std::string& pattern : patterns)
      require(std::ranges::any_of(names, [&](const std::string& name) { return plan.matches(pattern, name); }),
              "storage_plan: no layer has a name like '{}'; there are {} and so on", pattern,
              fmt::join(first_block, ", "));
  }
  /// Adds to the model what a plan wants beside its layers, and freezes of that what it does not name, a prefix too.
  void adapt(const storage_plan& plan) {
    for_each_prefix([](kv_prefix& prefix) { prefix.freeze(); });
    for_each_linear([&](auto& projection, smoothing&) {
      projection.adapt_steps(ids_, plan);
      projection.adapt(ids_, plan.adapters);
    });
  }
  /// Freezes what a plan leaves where it is, beside the linear layers themselves.
  void freeze(const storage_plan& plan) {
    const auto freeze_one = [&](trainable& t, const tensor_use& u) {
      const parameter_group group = t.view().group;
      const bool of_norm = group == parameter_group::norm || group == parameter_group::norm_scale;
      const bool trains = plan.norms || (plan.biases && t.name().ends_with(".bias"));
      if (u.trains && ((of_norm && !trains) || (group == parameter_group::score_scale && plan.fixed_quantization)))
        t.freeze();
    };
    visit(layer_visitor{freeze_one, [](auto&, smoothing&) {}});
    for_each_shared_input([&](auto&& input) {
      const auto packed = [](const auto* projection) { return projection->deployed(); };
      if (plan.fixed_quantization || std::ranges::any_of(input.layers, packed)) input.smoothing->freeze();
    });
  }

  model_shape shape_;
  parameter_ids ids_;
  trainable embedding_;
  [[no_unique_address]] typename detail::position_embedding<position_type>::type position_embedding_;
  std::shared_ptr<const position_type> position_;
  norm_type final_norm_;
  std::vector<Block> blocks_;
  trainable head_;
  std::size_t prefix_tokens_ = 0;
};

/// Copies a full-precision model's weights into a model of the same shape under any scheme. What the scheme adds
/// (clipping, smoothing) keeps its values. Throws value_error for models of different shapes, for deployed ones, and
/// where `to` holds masters in fewer bits than fp32; `from` may.
template <class From, class To>
void copy_base_tensors(From& from, To& to) {
  require(from.shape() == to.shape(), "copy_base_tensors: the two models differ in shape");
  const auto require_masters = [](auto& model) {
    model.for_each_shared_input([](auto&& input) {
      for (const auto* layer : input.layers)
        require(!layer->deployed(), "copy_base_tensors: a deployed model has no '{}.weight' any more", layer->name());
    });
  };
  require_masters(from);
  require_masters(to);
  std::vector<const trainable*> sources;
  for_each_base_tensor(from, [&](trainable& t) { sources.push_back(&t); });
  std::size_t i = 0;
  for_each_base_tensor(to, [&](trainable& t) {
    const trainable& source = *sources[i++];
    require(!t.values().empty(), "copy_base_tensors: '{}' is stored in fewer bits; copy before store()", t.name());
    read_masters<simd::default_kernels>(source.view(), 0, t.values().size(), t.values().data());
  });
}

}  // namespace zoqat::nn
