// SPDX-License-Identifier: Apache-2.0
#include <zoqat/train/omniquant.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/ptq/smoothquant.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using teacher = nn::llama<quant::full_precision>;
using w3a4 =
    quant::scheme<quant::weight<3, quant::per_channel, quant::asymmetric, quant::clip::codes>, quant::activation<4>>;
using student = nn::llama<w3a4>;

struct setup {
  teacher ideal = random_model<teacher>(odd_shape(), 1);
  std::vector<nn::token_batch> corpus{random_batch(std::array<std::size_t, 2>{20, 11}, 37, 3),
                                      random_batch(std::array<std::size_t, 1>{24}, 37, 8)};
  [[nodiscard]] student start() {
    student model(ideal.shape());
    nn::copy_base_tensors(ideal, model);
    sequential threads;
    ptq::smoothquant(model, ideal, corpus, 0.5f, threads);
    return model;
  }
  std::vector<train::block_fit> fit(student& model, std::uint32_t steps, std::size_t threads = 1) {
    thread_pool pool(threads);
    std::vector<train::block_fit> fits;
    train::omniquant(model, ideal, corpus, pool, {.steps = steps, .seed = 5},
                     [&](std::size_t block, std::size_t blocks, const train::block_fit& f) {
                       CHECK(block == fits.size());
                       CHECK(blocks == 2);
                       fits.push_back(f);
                     });
    return fits;
  }
  /// The squared error of the stream behind the last block, relative to what that block of the teacher writes.
  double last_loss(student& model) {
    double sum = 0;
    for (const nn::token_batch& batch : corpus) {
      sequential threads;
      nn::workspace found, wanted, before;
      model.forward(
          nn::forward_pass<simd::default_kernels, inference_lane, sequential>{at_masters, threads, batch, found});
      const nn::forward_pass<simd::default_kernels, inference_lane, sequential> pass{at_masters, threads, batch,
                                                                                     wanted};
      ideal.embed(pass);
      ideal.blocks()[0].forward(pass, 0, wanted.stream);
      before.stream = wanted.stream;
      ideal.blocks()[1].forward(pass, 1, wanted.stream);
      double error = 0;
      for (std::size_t k = 0; k != wanted.stream.size(); ++k) {
        const auto at = [&](const nn::workspace& w) { return double{w.stream.flat()[k]}; };
        error += (at(found) - at(wanted)) * (at(found) - at(wanted));
        written += (at(wanted) - at(before)) * (at(wanted) - at(before));
        count += 1;
      }
      sum += error / static_cast<double>(wanted.stream.size()) / static_cast<double>(corpus.size());
    }
    return sum / (std::exchange(written, 0) / std::exchange(count, 0));
  }
  double written = 0, count = 0;
};

}  // namespace

TEST_CASE("fitted by forward passes, every block comes nearer to the teacher's or stays where it was") {
  setup s;
  student model = s.start(), again = model, untouched = model;
  const std::uint32_t steps = is_slow_build ? 20 : 300;
  const auto fits = s.fit(model, steps);
  REQUIRE(fits.size() == 2);
  for (const train::block_fit& f : fits) {
    CHECK(f.after <= f.before);
    CHECK(f.before > 0.001);
  }
  CHECK(fits[0].after < (is_slow_build ? 1 : 0.9) * fits[0].before);
  CHECK(fits[1].after == doctest::Approx(s.last_loss(model)).epsilon(1e-4));

  // Only smoothing and clipping move, whatever the number of threads.
  s.fit(again, steps, 3);
  CHECK(bits_of(again) == bits_of(model));
  std::vector<float> before, after;
  const auto collect = [](std::vector<float>& to) {
    return [&to](const parameter& p) {
      if (p.group != parameter_group::smoothing && p.group != parameter_group::clipping)
        to.insert(to.end(), p.values.begin(), p.values.end());
    };
  };
  untouched.for_each_parameter(collect(before));
  model.for_each_parameter(collect(after));
  CHECK(before == after);
  CHECK(bits_of(untouched) != bits_of(model));
}

TEST_CASE("without a step nothing moves, and without a text nothing can be fitted") {
  setup s;
  student model = s.start();
  const auto bits = bits_of(model);
  const auto fits = s.fit(model, 0);
  CHECK(bits_of(model) == bits);
  CHECK(fits[1].before == fits[1].after);
  CHECK(fits[1].after == doctest::Approx(s.last_loss(model)).epsilon(1e-4));
  s.corpus.clear();
  check_mentions(message_of<value_error>([&] { s.fit(model, 1); }), "omniquant", "2 batches", "corpus of 0");
}
