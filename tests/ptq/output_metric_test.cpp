// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/output_metric.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/nn/opt.hpp>
#include <zoqat/ptq/matrix_rounding.hpp>
#include <zoqat/ptq/moments.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using llama = nn::llama<quant::full_precision>;
using opt = nn::opt<quant::full_precision>;
using three_bits = quant::weight<3, quant::per_channel, quant::asymmetric, quant::clip::codes>;

constexpr std::array<std::size_t, 3> lengths{60, 3, 50};

template <class Model>
struct setup {
  Model model = random_model<Model>({.hidden = 16,
                                     .intermediate = 28,
                                     .layers = 2,
                                     .heads = 4,
                                     .kv_heads = 2,
                                     .head_size = 4,
                                     .vocabulary = 29,
                                     .positions = 64},
                                    7);
  std::vector<nn::token_batch> corpus{random_batch(lengths, 29, 1), random_batch(lengths, 29, 40),
                                      random_batch(lengths, 29, 80)};
  sequential threads;

  std::vector<nn::output_metric> metrics(const ptq::output_metric_options& options, std::size_t block = 0) {
    ptq::output_metrics<Model, sequential> all(model, corpus, threads, options);
    for (std::size_t b = 0; b != block; ++b) (void)all.next();
    return all.next();
  }
  /// What the first block makes of the corpus.
  std::vector<ptq::detail::block_trace> traces() {
    std::vector<ptq::detail::block_trace> result;
    const auto sample = ptq::sample_stream<simd::default_kernels>(model, corpus, 1000, threads);
    for (std::size_t i = 0; i != sample.batches.size(); ++i)
      result.push_back(ptq::detail::block_trace::of<simd::default_kernels>(model.blocks()[0], sample.batches[i],
                                                                           sample.streams[i], threads));
    return result;
  }
};

double squared_distance(const matrix<float>& a, const matrix<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i != a.size(); ++i)
    sum += double{a.data()[i] - b.data()[i]} * double{a.data()[i] - b.data()[i]};
  return sum;
}

}  // namespace

TEST_CASE_TEMPLATE("each layer of a block has a metric of its outputs, in the order of its inputs", Model, llama,
                   opt) {
  setup<Model> s;
  const auto metrics = s.metrics({.block = 10});
  std::size_t i = 0;
  s.model.blocks()[0].for_each_residual([&](auto& r) {
    r.layer().for_each_shared_input([&](auto&& input) {
      for (const auto* layer : input.layers) {
        CAPTURE(layer->name());
        REQUIRE(i < metrics.size());
        std::size_t rows = 0;
        for (const matrix<double>& block : metrics[i].blocks) {
          CHECK(block.rows() <= 10);
          rows += block.rows();
        }
        CHECK(rows == (input.writes_stream ? 0 : layer->out_features()));  // the stream's own is the identity
        ++i;
      }
    });
  });
  CHECK(i == metrics.size());

  for (const nn::output_metric& metric : s.metrics({.stream = ptq::stream_metric::recursive}))
    CHECK_FALSE(metric.blocks.empty());
  for (const nn::output_metric& metric : s.metrics({.used = false})) CHECK(metric.blocks.empty());
  CHECK(s.metrics({.block = 10}, 1)[0].blocks[0](0, 0) != metrics[0].blocks[0](0, 0));  // the next block has its own
}

TEST_CASE("options that make no sense and a text without a token are refused") {
  setup<llama> s;
  const auto refused = [&](const ptq::output_metric_options& options) {
    return message_of<value_error>([&] { (void)s.metrics(options); });
  };
  check_mentions(refused({.block = 0}), "blocks of 0 outputs");
  check_mentions(refused({.tokens = 0}), "over 0 tokens");
  check_mentions(refused({.stream_tokens = 0}), "stream over 0");
  check_mentions(refused({.damping = -1}), "damping is -1");
  s.corpus.clear();
  check_mentions(refused({}), "no token");
}

TEST_CASE("metrics that are given are taken in place of computed ones, for each block its own") {
  setup<llama> s;
  std::vector<std::vector<nn::output_metric>> given(2);
  for (std::size_t b = 0; b != given.size(); ++b)
    given[b].push_back({{matrix<double>(1, 1, static_cast<double>(b + 1))}});
  for (std::size_t b = 0; b != given.size(); ++b) {
    const auto metrics = s.metrics({.given = given}, b);
    REQUIRE(metrics.size() == 1);
    CHECK(metrics[0].blocks[0](0, 0) == static_cast<double>(b + 1));
  }
  CHECK(s.metrics({.used = false, .given = given})[0].blocks.empty());
  given.pop_back();
  check_mentions(message_of<value_error>([&] { (void)s.metrics({.given = given}); }), "metrics of 1 blocks");
}

TEST_CASE("a layer that says nothing of its outputs has each row on its own") {
  setup<llama> s;
  s.model.blocks()[0].for_each_residual([&](auto& r) {
    using layer_type = std::remove_cvref_t<decltype(r.layer())>;
    const auto metrics = nn::no_response<layer_type>(r.layer(), {}, 128).metrics();
    std::size_t layers = 0;
    r.layer().for_each_shared_input([&](auto&& input) { layers += input.layers.size(); });
    CHECK(metrics.size() == layers);
    for (const nn::output_metric& metric : metrics) CHECK(metric.blocks.empty());
  });
}

TEST_CASE_TEMPLATE("rounding in the metric keeps what a layer writes to the stream", Model, llama, opt) {
  setup<Model> s;
  const auto metrics = s.metrics({.tokens = 1000});
  const std::vector<ptq::detail::block_trace> exact = s.traces();
  double alone = 0, together = 0;
  std::size_t i = 0, index = 0;
  s.model.blocks()[0].for_each_residual([&](auto& r) {
    r.layer().for_each_shared_input([&](auto&& input) {
      matrix<double> moments(input.layers[0]->in_features(), input.layers[0]->in_features(), 0.0);
      for (const auto& trace : exact) ptq::add_moments(trace.inputs[index], trace.inputs[index], moments, s.threads);
      ++index;
      const ptq::input_metric inputs(moments, 0.01);
      for (auto* layer : input.layers) {
        const nn::output_metric& outputs = metrics[i++];
        if (outputs.blocks.empty()) continue;
        const matrix<float> weights = layer->weight().values();
        matrix<double> target(weights.rows(), weights.cols());
        std::ranges::copy(weights.flat(), target.flat().begin());
        std::vector<ptq::rounded_row> rows;
        for (std::size_t row = 0; row != weights.rows(); ++row)
          rows.push_back(ptq::row_rounding<three_bits>(inputs, target.row(row))());
        // How far the stream behind the block is off with this matrix rounded and all else exact.
        const auto error = [&] {
          for (std::size_t row = 0; row != weights.rows(); ++row)
            for (std::size_t k = 0; k != weights.cols(); ++k) {
              const simd::grid& g = rows[row].grids[0];
              layer->weight().values()(row, k) = g.scale * static_cast<float>(rows[row].codes[k] - g.zero_point);
            }
          double sum = 0;
          const std::vector<ptq::detail::block_trace> found = s.traces();
          for (std::size_t t = 0; t != found.size(); ++t)  // the stream behind the layer, or behind the block
            sum += squared_distance(found[t].streams[index <= 2 ? 2 : 4], exact[t].streams[index <= 2 ? 2 : 4]);
          return sum;
        };
        const double before = error();
        std::size_t first = 0;
        for (const matrix<double>& block : outputs.blocks) {
          ptq::matrix_rounding<three_bits>(inputs, block, target.view().row_block(first, block.rows()),
                                           0.01)(std::span(rows).subspan(first, block.rows()));
          first += block.rows();
        }
        const double after = error();
        CAPTURE(layer->name());
        CAPTURE(before);
        CHECK(after < 1.03 * before);  // its errors at different tokens are not independent
        alone += before;
        together += after;
        layer->weight().values() = weights;
      }
    });
  });
  CAPTURE(alone);
  CHECK(together < 0.95 * alone);
}
