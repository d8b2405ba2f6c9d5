// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <support/files.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/ptq/prepare.hpp>
#include <zoqat/train/callbacks.hpp>
#include <zoqat/train/objective.hpp>
#include <zoqat/train/trainer.hpp>
#include <zoqat/zo/optimizers/parabolic.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

// A run is its log: however it was cut and on however many threads it ran, it ends in the same bits.

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

using teacher = nn::llama<full_precision>;
using student = nn::llama<scheme<weight<4, group<8>, asymmetric, clip::codes>, activation<8>>>;
using bits = std::vector<std::uint32_t>;

constexpr std::uint32_t steps = 6;

struct stop_at {
  std::uint32_t step;
  bool reached = false;
  void after_step(const train::step_report& report) { reached = report.step + 1 == step; }
  [[nodiscard]] bool stop() const { return reached; }
};

/// A training run as a program would make it, from the start or from a log.
struct trainer {
  teacher ideal;
  student model;
  eval::chunks corpus;
  thread_pool threads;
  zo::estimator<zo::central, zo::rademacher> estimator{
      .epsilon = per_group<float>::all(1e-2f), .directions = 2, .micro_batches = 2, .seed = 5};
  // Slopes are bounded by half of what was usual before, so that every update depends on the state of the optimizer.
  zo::parabolic<zo::linear_decay> optimizer{
      .scales = {.epsilon = estimator.epsilon, .loss_increase = 0.02, .loss = 1},
      .clip_rms = 0.5,
      .schedule = {steps, 0.1}};

  explicit trainer(std::size_t thread_count)
      : ideal(random_model<teacher>(odd_shape(), 1)), model(ideal.shape()), threads(thread_count) {
    nn::copy_base_tensors(ideal, model);
    ptq::prepare(model);
    for (std::uint32_t i = 0; i != 5; ++i) corpus.push_back(random_tokens(9, 37, i));
  }
  void run(std::uint32_t first, zo::run_log& log, std::uint32_t stop = steps) {
    train::language_model_loss<student, teacher, thread_pool> loss(model, ideal, corpus, threads,
                                                                   {.batch = 3, .micro_batches = 2, .seed = 5});
    train::run(model, loss, estimator, optimizer, {first, steps}, threads, train::write_log{&log}, stop_at{stop});
  }
  zo::run_log new_log(const std::filesystem::path& path) {
    return zo::run_log::create(
        path, {.seed = 5, .start = zo::fingerprint(model), .settings = {}, .distribution = "rademacher"},
        {.replace = true});
  }
  /// Without anyone who looks at the weights between two steps: updates are made in the pass of the next step.
  bits train_unwatched(const std::filesystem::path& path) {
    auto log = new_log(path);
    train::language_model_loss<student, teacher, thread_pool> loss(model, ideal, corpus, threads,
                                                                   {.batch = 3, .micro_batches = 2, .seed = 5});
    train::run(model, loss, estimator, optimizer, {0, steps}, threads, train::write_log{&log});
    return bits_of(model);
  }
  bits train(const std::filesystem::path& path, std::uint32_t stop = steps) {
    auto log = new_log(path);
    run(0, log, stop);
    return bits_of(model);
  }
  std::pair<std::uint32_t, bits> resume(const std::filesystem::path& path) {
    auto log = zo::run_log::resume(path);
    const std::uint32_t first = train::replay(estimator.distribution, model, log, optimizer, threads);
    run(first, log);
    return {first, bits_of(model)};
  }
};

}  // namespace

TEST_CASE("a run ends in the same bits on any number of threads, broken off and resumed, or replayed") {
  const temporary_folder folder;
  trainer unbroken(1);
  const bits start = bits_of(unbroken.model), trained = unbroken.train(folder / "whole");
  CHECK(trained != start);
  CHECK(trained.size() == start.size());
  const std::string log = read_file(folder / "whole");

  for (const std::size_t threads : {std::size_t{2}, std::size_t{3}}) {
    CAPTURE(threads);
    CHECK(trainer(threads).train(folder / "threads") == trained);
    CHECK(read_file(folder / "threads") == log);
  }

  // Killed after two steps.
  CHECK(trainer(2).train(folder / "killed", 2) != trained);
  CHECK(trainer(2).resume(folder / "killed") == std::pair(2u, trained));
  CHECK(read_file(folder / "killed") == log);

  for (const std::size_t threads : {1u, 2u, 3u}) {
    CHECK(trainer(threads).train_unwatched(folder / "unwatched") == trained);
    CHECK(read_file(folder / "unwatched") == log);
  }

  // Killed while it wrote the record of step 4, at any byte of it.
  const std::size_t record = zo::run_log::record_bytes(2);
  for (const std::size_t lost : {std::size_t{1}, record - 1}) {
    write_file(folder / "torn", log.substr(0, log.size() - record - lost));
    CHECK(trainer(1).resume(folder / "torn") == std::pair(4u, trained));
    CHECK(read_file(folder / "torn") == log);
  }

  // Resuming a run that is over trains nothing, and the log alone is the trained model.
  CHECK(trainer(3).resume(folder / "whole") == std::pair(steps, trained));
  trainer replayed(1);
  sequential here;
  train::replay(replayed.estimator.distribution, replayed.model, zo::run_log::read(folder / "whole"),
                replayed.optimizer, here);
  CHECK(bits_of(replayed.model) == trained);
}
