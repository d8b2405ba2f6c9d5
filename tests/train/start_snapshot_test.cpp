// SPDX-License-Identifier: Apache-2.0
#include <zoqat/train/start_snapshot.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/failing_new.hpp>
#include <support/files.hpp>
#include <support/random_model.hpp>
#include <support/tiny_llama.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/ptq/prepare.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

using teacher = nn::llama<full_precision>;
using student = nn::llama<scheme<weight<4, group<8>, asymmetric, clip::codes>, activation<8>>>;

student prepared(std::uint32_t seed) {
  auto model = student(tiny_shape(false));
  auto ideal = random_model<teacher>(tiny_shape(false), seed);
  nn::copy_base_tensors(ideal, model);
  ptq::prepare(model);
  return model;
}

}  // namespace

TEST_CASE("a model becomes the one that was saved, whatever differed in it") {
  const temporary_folder folder;
  auto model = prepared(1), other = prepared(2);
  const std::uint64_t start = zo::fingerprint(model);
  train::save_start(folder / "start", model);
  CHECK(train::fingerprint_of_start(folder / "start") == start);
  REQUIRE(zo::fingerprint(other) != start);
  train::restore_start(folder / "start", other);
  CHECK(zo::fingerprint(other) == start);
  CHECK(folder.count() == 1);
  const auto batch = random_batch(std::array<std::size_t, 2>{5, 3}, tiny_shape(false).vocabulary, 3);
  CHECK(std::ranges::equal(logits_of(other, batch).flat(), logits_of(model, batch).flat()));
}

TEST_CASE("damage, files that are none and starts of other models are refused, and nothing changes") {
  const temporary_folder folder;
  const auto path = folder / "start";
  auto model = prepared(1), other = prepared(2);
  train::save_start(path, model);
  const std::uint64_t before = zo::fingerprint(other);
  const std::string good = read_file(path);
  const auto failure = [&](const std::string& content) {
    write_file(path, content);
    return message_of<io_error>([&] { train::restore_start(path, other); });
  };
  rng::engine draw({.seed = 3, .use = rng::purpose::data});
  std::size_t missed = 0;
  for (int i = 0; i != 1000; ++i) {
    std::string damaged = good;
    char& byte = damaged[draw.below(static_cast<std::uint32_t>(good.size()))];
    byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1u << draw.below(8)));
    write_file(path, damaged);
    missed += succeeds<io_error>([&] { train::restore_start(path, other); });
  }
  CHECK(missed == 0);
  check_mentions(failure(good.substr(0, good.size() / 2)), "start", "damaged");
  check_mentions(failure(""), "too short");
  check_mentions(failure(std::string(100, 'x')), "not the start of a run");
  CHECK(zo::fingerprint(other) == before);

  write_file(path, good);
  auto wider = tiny_shape(false);
  wider.vocabulary += 1;
  auto another = random_model<student>(wider, 1);
  check_mentions(message_of<io_error>([&] { train::restore_start(path, another); }), "start", "another model");
}

TEST_CASE("a start is saved and restored as a whole or not at all, wherever memory runs out") {
  const temporary_folder folder;
  auto model = prepared(1), other = prepared(2);
  const std::uint64_t start = zo::fingerprint(model), before = zo::fingerprint(other);
  std::size_t left = 0, changed = 0;
  CHECK(fail_each_allocation([&] { train::save_start(folder / "start", model); }, [&] { left += folder.count(); }) >
        3);
  CHECK(left == 0);
  CHECK(folder.count() == 1);
  CHECK(fail_each_allocation([&] { train::restore_start(folder / "start", other); },
                             [&] { changed += zo::fingerprint(other) != before; }) > 3);
  CHECK(changed == 0);
  CHECK(zo::fingerprint(other) == start);
}
