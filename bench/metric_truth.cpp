// SPDX-License-Identifier: Apache-2.0
//
// What ptq::output_metric is worth. The metric of a matrix's outputs that it stands for is the Fisher metric of the
// model: the mean of g gᵀ over tokens and over texts that the model continues itself, g the derivative of log p by
// the outputs at one token, which lab/reverse gives exactly. For each policy of the stream's metric: the cosine of
// each matrix's metric with that, block by block, and the perplexity of the model rounded in it, beside that of rows
// rounded alone and of rounding in the true metric.
//
//   metric_truth --model M --tokenizer T --text CALIBRATION --eval TEXT [--labels N] [--seed S] [--output FILE.csv]

#include "real_model.hpp"  // model, texts

#include <zoqat/eval/perplexity.hpp>            // perplexity
#include <zoqat/lab/reverse/recorded_loss.hpp>  // the derivatives
#include <zoqat/ptq/ptq.hpp>                    // output_metrics, prepare
#include <zoqat/quant/scheme_registry.hpp>      // standard_schemes
#include <zoqat/random/stream.hpp>              // labels

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <fstream>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace zoqat;
using full = nn::llama<quant::full_precision>;
using metrics = std::vector<std::vector<nn::output_metric>>;  // [block][layer]

struct options {
  bench::real_model files;
  std::size_t labels = 16;
  std::uint64_t seed = 0;
  std::string output;
};

/// The names of the linear layers of each block, in the order of metrics.
std::vector<std::vector<std::string>> names_of(full& model) {
  std::vector<std::vector<std::string>> names(model.blocks().size());
  for (std::size_t b = 0; b != names.size(); ++b)
    model.blocks()[b].for_each_residual([&](auto& r) {
      r.layer().for_each_shared_input([&](auto&& input) {
        for (const auto* layer : input.layers) names[b].push_back(layer->name());
      });
    });
  return names;
}

/// Blocks of the identity where a metric has none.
void fill_identity(full& model, metrics& of, std::size_t block) {
  for (std::size_t b = 0; b != of.size(); ++b) {
    std::size_t i = 0;
    model.blocks()[b].for_each_residual([&](auto& r) {
      r.layer().for_each_shared_input([&](auto&& input) {
        for (const auto* layer : input.layers) {
          matrix<double> one(layer->out_features(), layer->out_features(), 0.0);
          for (std::size_t k = 0; k != one.rows(); ++k) one(k, k) = 1;
          if (of[b][i].blocks.empty()) of[b][i] = nn::detail::of_stream(one, block);
          ++i;
        }
      });
    });
  }
}

class study {
 public:
  explicit study(const options& o)
      : o_(o),
        threads_(o.files.threads),
        teacher_(o.files.load<full>()),
        calibration_(eval::batches_of(o.files.chunks_of(o.files.text, o.files.calibration))),
        evaluation_(o.files.chunks_of(o.files.evaluation, 1000)),
        names_(names_of(teacher_)) {
    fmt::print("# {}, {} threads, seed {}: {} chunks to calibrate on, {} to evaluate on, full precision {:.4f}\n",
               simd::default_kernels::target(), threads_.concurrency(), o.seed, o.files.calibration,
               evaluation_.size(), eval::perplexity(teacher_, evaluation_, threads_, work_));
  }

  void run() {
    ptq::output_metric_options how;
    std::map<std::string, metrics> all;
    for (std::size_t policy = 0; policy != ptq::stream_metric_names.size(); ++policy) {
      how.stream = static_cast<ptq::stream_metric>(policy);
      metrics& of = all[std::string(ptq::stream_metric_names[policy])];
      ptq::output_metrics computed(teacher_, calibration_, threads_, how);
      for (std::size_t b = 0; b != teacher_.blocks().size(); ++b) of.push_back(computed.next());
      fill_identity(teacher_, of, how.block);
    }
    metrics& truth = all["true"];
    truth = true_metric(all["identity"], how);
    print_cosines(all, truth);
    fmt::print("\n{:10} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "perplexity", "rows", "identity", "head", "recursive",
               "true");
    print_perplexities<"w3a16">(truth);
    print_perplexities<"w2a16g32">(truth);
    print_perplexities<"w4a4">(truth);
  }

 private:
  /// In blocks like those of `like`.
  metrics true_metric(const metrics& like, const ptq::output_metric_options& how) {
    metrics sum = like;
    for (auto& block : sum)
      for (nn::output_metric& m : block)
        for (matrix<double>& part : m.blocks) std::ranges::fill(part.flat(), 0.0);
    const ptq::stream_sample sample =
        ptq::sample_stream<simd::default_kernels>(teacher_, calibration_, how.tokens, threads_);
    const double samples = static_cast<double>(sample.tokens() * o_.labels);
    for (std::size_t i = 0; i != sample.batches.size(); ++i)
      for (std::size_t label = 0; label != o_.labels; ++label) add_sample(sample.batches[i], i, label, samples, sum);
    return sum;
  }
  /// Σ g gᵀ / samples over the tokens of a text, for labels drawn from the model at all of them.
  void add_sample(const nn::token_batch& batch, std::size_t i, std::size_t label, double samples, metrics& sum) {
    std::vector<std::size_t> tokens(batch.tokens()), drawn;
    std::iota(tokens.begin(), tokens.end(), 0);
    constexpr inference_lane lane;
    const nn::forward_pass<simd::default_kernels, inference_lane, thread_pool> pass{lane, threads_, batch, work_};
    matrix<float> p(tokens.size(), teacher_.shape().vocabulary);
    teacher_.forward(pass);
    teacher_.logits(pass, tokens, p);
    rng::engine random({.seed = o_.seed,
                        .step = static_cast<std::uint32_t>(label),
                        .tensor = static_cast<std::uint32_t>(i),
                        .use = rng::purpose::sampling});
    for (std::size_t t = 0; t != tokens.size(); ++t) {
      simd::default_kernels::softmax(p.row(t).data(), p.cols());
      double left = double{random.uniform()};
      std::size_t word = 0;
      while (word + 1 != p.cols() && (left -= double{p(t, word)}) >= 0) ++word;
      drawn.push_back(word);
    }
    lab::reverse::roundings none;
    lab::reverse::recorded_loss loss(teacher_, batch, lab::reverse::text_loss(tokens, drawn, 1), none);
    for (std::size_t b = 0; b != sum.size(); ++b)
      for (std::size_t layer = 0; layer != sum[b].size(); ++layer) {
        const matrix<double>& g = loss.output_gradient(names_[b][layer]);
        std::size_t first = 0;
        for (matrix<double>& part : sum[b][layer].blocks) {
          for (std::size_t t = 0; t != g.rows(); ++t)
            for (std::size_t r = 0; r != part.rows(); ++r)
              for (std::size_t c = 0; c != part.cols(); ++c)
                part(r, c) += g(t, first + r) * g(t, first + c) / samples;
          first += part.rows();
        }
      }
  }

  static double cosine(const nn::output_metric& a, const nn::output_metric& b) {
    double both = 0, of_a = 0, of_b = 0;
    for (std::size_t k = 0; k != a.blocks.size(); ++k)
      for (std::size_t i = 0; i != a.blocks[k].size(); ++i) {
        const double x = a.blocks[k].data()[i], y = b.blocks[k].data()[i];
        both += x * y, of_a += x * x, of_b += y * y;
      }
    return both / std::sqrt(of_a * of_b);
  }
  void print_cosines(const std::map<std::string, metrics>& all, const metrics& truth) {
    std::ofstream csv;
    if (!o_.output.empty()) csv.open(o_.output), csv << "layer,one,identity,head,recursive\n";
    fmt::print("{:36} {:>9} {:>9} {:>9} {:>9}\n", "cosine with the true metric", "rows", "identity", "head",
               "recursive");
    std::map<std::string, std::vector<double>> by_kind;
    for (std::size_t b = 0; b != truth.size(); ++b)
      for (std::size_t layer = 0; layer != truth[b].size(); ++layer) {
        const std::string& name = names_[b][layer];
        nn::output_metric one = truth[b][layer];
        for (matrix<double>& part : one.blocks)
          for (std::size_t i = 0; i != part.rows(); ++i)
            for (std::size_t j = 0; j != part.cols(); ++j) part(i, j) = i == j ? 1 : 0;
        std::vector<double> row{cosine(one, truth[b][layer])};
        for (const char* const policy : {"identity", "head", "recursive"})
          row.push_back(cosine(all.at(policy)[b][layer], truth[b][layer]));
        fmt::print("{:36} {:9.3f} {:9.3f} {:9.3f} {:9.3f}\n", name, row[0], row[1], row[2], row[3]);
        if (csv.is_open()) csv << fmt::format("{},{:.6f}\n", name, fmt::join(row, ","));
        auto& mean =
            by_kind.try_emplace("mean of " + name.substr(name.rfind('.') + 1), row.size(), 0.0).first->second;
        for (std::size_t i = 0; i != row.size(); ++i) mean[i] += row[i] / static_cast<double>(truth.size());
      }
    for (const auto& [kind, mean] : by_kind)
      fmt::print("{:36} {:9.3f} {:9.3f} {:9.3f} {:9.3f}\n", kind, mean[0], mean[1], mean[2], mean[3]);
    if (!csv.is_open()) return;
    csv.close();
    require<io_error>(csv.good(), "{}: cannot be written", o_.output);
  }

  template <quant::fixed_string Name>
  void print_perplexities(const metrics& truth) {
    using scheme = quant::standard_schemes::scheme_of<Name>;
    fmt::print("{:10}", Name.view());
    for (std::size_t column = 0; column != 5; ++column) {
      ptq::output_metric_options how{.used = column != 0};
      if (column == 4)
        how.given = truth;
      else if (column > 0)
        how.stream = static_cast<ptq::stream_metric>(column - 1);
      auto model = o_.files.load<nn::llama<scheme>>();
      ptq::prepare(model, teacher_, calibration_, threads_, {.outputs = how});
      fmt::print(" {:9.4f}", eval::perplexity(model, evaluation_, threads_, work_));
      std::fflush(stdout);
    }
    fmt::print("\n");
  }

  const options& o_;
  thread_pool threads_;
  full teacher_;
  std::vector<nn::token_batch> calibration_;
  eval::chunks evaluation_;
  std::vector<std::vector<std::string>> names_;
  nn::workspace work_;
};

}  // namespace

int main(int argc, char** argv) {
  options o;
  CLI::App app("The output metric of reconstruction against the true one");
  o.files.add_options(app, true);
  app.add_option("--labels", o.labels, "labels drawn for each token")->capture_default_str();
  app.add_option("--seed", o.seed, "of these labels")->capture_default_str();
  app.add_option("--output", o.output, "CSV of the cosines");
  CLI11_PARSE(app, argc, argv);
  try {
    study(o).run();
  } catch (const std::exception& e) {
    fmt::print(stderr, "metric_truth: {}\n", e.what());
    return 1;
  }
}
