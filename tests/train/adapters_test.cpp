// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <support/files.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/nn/prefix.hpp>
#include <zoqat/ptq/prepare.hpp>
#include <zoqat/train/callbacks.hpp>
#include <zoqat/train/objective.hpp>
#include <zoqat/train/start_snapshot.hpp>
#include <zoqat/train/trainer.hpp>
#include <zoqat/zo/optimizers/sgd.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

// What trains beside frozen layers is trained, logged, replayed and restored as weights are.

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

using teacher = nn::llama<full_precision>;
using student = nn::llama<scheme<weight<4, group<8>, asymmetric, clip::codes>, activation<8>>>;
using bits = std::vector<std::uint32_t>;

constexpr std::uint32_t steps = 6;

struct choice {
  const char* name;
  nn::storage_plan plan;
  bool prefix = false;
};
const std::vector<choice> choices{
    {"adapters", {.trained = {}, .adapters = {.layers = {"*_proj"}, .rank = 2, .seed = 9}}},
    {"prefix", {.trained = {}}, true},
    {"step sizes", {.trained = {}, .steps = true}},
    {"norms", {.trained = {}, .norms = true}},
    {"biases", {.trained = {}, .biases = true}},
    {"adapters beside layers that train", {.adapters = {.layers = {"*.up_proj"}, .rank = 3}}},
};

struct trainer {
  teacher ideal;
  student model;
  eval::chunks corpus;
  thread_pool threads;
  zo::estimator<zo::central, zo::rademacher> estimator{
      .epsilon = per_group<float>::all(1e-2f), .directions = 2, .micro_batches = 2, .seed = 5};
  zo::sgd<> optimizer{per_group<float>::all(0.02f)};

  static model_shape shape() {
    model_shape s = odd_shape();
    s.biases = true;
    return s;
  }
  trainer(const choice& of, std::size_t thread_count)
      : ideal(random_model<teacher>(shape(), 1)), model(shape()), threads(thread_count) {
    nn::copy_base_tensors(ideal, model);
    ptq::round_to_nearest(model);
    model.store(of.plan);
    if (of.prefix) nn::add_prefix(model, random_tokens(3, 37, 70), threads);
    for (std::uint32_t i = 0; i != 5; ++i) corpus.push_back(random_tokens(9, 37, i));
  }
  zo::run_log create(const std::filesystem::path& path) {
    return zo::run_log::create(
        path, {.seed = 5, .start = zo::fingerprint(model), .settings = {}, .distribution = "rademacher"},
        {.replace = true});
  }
  void run(zo::run_log& log, std::uint32_t first = 0, std::uint32_t end = steps) {
    train::language_model_loss<student, teacher, thread_pool> loss(model, ideal, corpus, threads,
                                                                   {.batch = 3, .micro_batches = 2, .seed = 5});
    train::run(model, loss, estimator, optimizer, {first, end}, threads, train::write_log{&log});
  }
};

}  // namespace

TEST_CASE("a run is its log, whatever trains beside frozen layers, on any number of threads") {
  const temporary_folder folder;
  for (const choice& of : choices) {
    CAPTURE(of.name);
    trainer one(of, 1), two(of, 2), replayed(of, 2), resumed(of, 1);
    const bits start = bits_of(one.model);
    train::save_start(folder / "start", one.model);
    {
      auto log = one.create(folder / "one.zlog");
      one.run(log);
    }
    {
      auto log = two.create(folder / "two.zlog");
      two.run(log, 0, 2);
    }
    const bits end = bits_of(one.model);
    CHECK(end != start);

    auto log = zo::run_log::resume(folder / "one.zlog");
    zo::sgd<> stateless;
    train::replay_first(zo::rademacher{}, replayed.model, log, steps, stateless, replayed.threads);
    CHECK(bits_of(replayed.model) == end);

    auto begun = zo::run_log::resume(folder / "two.zlog");
    const std::uint32_t done = train::replay(zo::rademacher{}, resumed.model, begun, resumed.optimizer,
                                             resumed.threads, [](std::uint32_t) {});
    CHECK(done == 2);
    CHECK(bits_of(resumed.model) == bits_of(two.model));
    resumed.run(begun, done);
    CHECK(bits_of(resumed.model) == end);

    train::restore_start(folder / "start", replayed.model);
    CHECK(bits_of(replayed.model) == start);

    const auto batch = random_batch(std::array<std::size_t, 2>{9, 14}, 37, 3);
    const matrix<float> trained = logits_of(one.model, batch);
    one.model.deploy();
    const matrix<float> deployed = logits_of(one.model, batch);
    CHECK(std::ranges::equal(trained.flat(), deployed.flat()));
  }
}
