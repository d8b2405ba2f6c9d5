// SPDX-License-Identifier: Apache-2.0
#include <zoqat/eval/divergence.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <support/reference_llama.hpp>
#include <zoqat/nn/llama.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using model_type = nn::llama<quant::full_precision>;

eval::token_divergence token(double loss, double reference_loss, double divergence, double difference, bool same) {
  return {loss, reference_loss, divergence, difference, same};
}

}  // namespace

TEST_CASE("after every token of a chunk but the last two models are compared as two forward passes in double are") {
  auto model = random_model<model_type>(odd_shape(), 1), other = random_model<model_type>(odd_shape(), 2);
  const reference_llama own(model), reference(other);
  const eval::chunks corpus{random_tokens(9, 37, 1), random_tokens(5, 37, 2)};
  thread_pool threads(2);
  nn::workspace work;
  const auto found = eval::token_divergences(model, other, corpus, threads, work);
  REQUIRE(found.size() == 12);
  std::size_t at = 0, same = 0;
  for (const auto& chunk : corpus) {
    const auto logits = own.logits(chunk), reference_logits = reference.logits(chunk);
    for (std::size_t i = 0; i + 1 != chunk.size(); ++i, ++at) {
      const auto q = reference_llama::log_softmax(logits[i]), p = reference_llama::log_softmax(reference_logits[i]);
      double divergence = 0;
      for (std::size_t v = 0; v != p.size(); ++v) divergence += std::exp(p[v]) * (p[v] - q[v]);
      const std::size_t next = chunk[i + 1];
      CHECK(found[at].divergence == doctest::Approx(divergence).epsilon(1e-4));
      CHECK(found[at].loss == doctest::Approx(-q[next]).epsilon(1e-5));
      CHECK(found[at].reference_loss == doctest::Approx(-p[next]).epsilon(1e-5));
      CHECK(found[at].probability_difference == doctest::Approx(std::exp(q[next]) - std::exp(p[next])).epsilon(1e-3));
      const bool same_top = std::ranges::max_element(p) - p.begin() == std::ranges::max_element(q) - q.begin();
      CHECK(found[at].same_top == same_top);
      same += same_top;
    }
  }
  CHECK(same < found.size());
  for (const auto& t : eval::token_divergences(model, model, corpus, threads, work)) {
    CHECK(t.divergence == 0);
    CHECK(t.same_top);
  }
}

TEST_CASE("the summary is llama-perplexity's") {
  // Its formulas, written down with sums of squares as its source has them.
  std::vector<eval::token_divergence> tokens;
  for (int i = 0; i != 40; ++i) {
    const double x = 0.1 * i, y = std::sin(x);
    tokens.push_back(
        token(2 + y, 1.9 + 0.8 * y + 0.05 * std::cos(5 * x), 0.01 * x * x, 0.02 * std::cos(3 * x), i % 4 != 0));
  }
  const double n = 40;
  double nll = 0, nll2 = 0, base = 0, base2 = 0, both = 0, kl = 0, kl2 = 0, d2 = 0, d4 = 0;
  for (const auto& t : tokens) {
    nll += t.loss / n, nll2 += t.loss * t.loss / n, base += t.reference_loss / n;
    base2 += t.reference_loss * t.reference_loss / n, both += t.loss * t.reference_loss / n;
    kl += t.divergence / n, kl2 += t.divergence * t.divergence / n;
    d2 += std::pow(t.probability_difference, 2) / n, d4 += std::pow(t.probability_difference, 4) / n;
  }
  const double u = std::sqrt((nll2 - nll * nll) / (n - 1)), v = std::sqrt((base2 - base * base) / (n - 1));
  const double covariance = (both - nll * base) / (n - 1), p = std::exp(nll), q = std::exp(base);
  const double ratio_error = std::sqrt(u * u + v * v - 2 * covariance);
  const eval::divergence_summary found = eval::summarize(tokens);
  const auto is = [](const eval::estimate_of_mean& figure, double value, double uncertainty) {
    CHECK(figure.value == doctest::Approx(value).epsilon(1e-9));
    CHECK(figure.uncertainty == doctest::Approx(uncertainty).epsilon(1e-9));
  };
  CHECK(found.tokens == 40);
  is(found.perplexity, p, p * u);
  is(found.reference_perplexity, q, q * v);
  CHECK(found.correlation == doctest::Approx(covariance / (u * v)));
  is(found.log_ratio, nll - base, ratio_error);
  is(found.ratio, p / q, p / q * ratio_error);
  is(found.difference, p - q, std::sqrt(p * u * p * u + q * v * q * v - 2 * p * q * covariance));
  is(found.divergence, kl, std::sqrt((kl2 - kl * kl) / (n - 1)));
  is(found.probability_difference_rms, std::sqrt(d2), 0.5 / std::sqrt(d2) * std::sqrt((d4 - d2 * d2) / (n - 1)));
  is(found.same_top, 0.75, std::sqrt(0.75 * 0.25 / 39));
  CHECK(std::ranges::is_sorted(found.divergences));
  CHECK(std::ranges::is_sorted(found.probability_differences));
  CHECK(found.divergences.size() == 40);
}

TEST_CASE("percentiles lie between two values in proportion") {
  const std::vector<double> values{1, 2, 4, 8};
  CHECK(eval::percentile(values, 0) == 1);
  CHECK(eval::percentile(values, 1) == 8);
  CHECK(eval::percentile(values, 0.5) == doctest::Approx(3));
  CHECK(eval::percentile(values, 0.1) == doctest::Approx(1.3));
  CHECK(eval::percentile(std::vector{5.0}, 0.999) == 5);
}

TEST_CASE("what cannot be compared is refused") {
  auto model = random_model<model_type>(odd_shape(), 1);
  auto shape = odd_shape();
  shape.vocabulary = 38;
  auto larger = random_model<model_type>(shape, 1);
  sequential here;
  nn::workspace work;
  const eval::chunks corpus{random_tokens(3, 37, 1)}, short_chunk{{1}};
  check_mentions(
      message_of<value_error>([&] { static_cast<void>(eval::token_divergences(model, larger, corpus, here, work)); }),
      "37", "38");
  check_mentions(message_of<value_error>(
                     [&] { static_cast<void>(eval::token_divergences(model, model, short_chunk, here, work)); }),
                 "single token");
  check_mentions(message_of<value_error>([&] { static_cast<void>(eval::summarize({})); }), "too few");
  check_mentions(message_of<value_error>([&] { static_cast<void>(eval::percentile({}, 0.5)); }), "no values");
}
