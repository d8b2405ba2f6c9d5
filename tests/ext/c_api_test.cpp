// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ext/c_api.h>

#include <zoqat/zo/embed/fine_tuner.hpp>

#include <doctest/doctest.h>
#include <support/files.hpp>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

using namespace zoqat;
using zoqat::testing::temporary_folder;

namespace {

struct engine {
  std::vector<float> values = std::vector<float>(256, 1.5f);
  std::uint32_t calls = 0, last_call = ~0u;

  double loss(std::uint32_t step, std::uint32_t micro_batch) const {
    double total = 1;
    for (const float w : values) total += 0.01 * std::pow(double{w} - 1 - 0.001 * ((step + micro_batch) % 5), 2);
    return total;
  }
};

int loss_of(void* user, std::uint32_t step, std::uint32_t micro_batch, double* loss) {
  auto& e = *static_cast<engine*>(user);
  if (e.calls++ == e.last_call) return 1;
  *loss = e.loss(step, micro_batch);
  return 0;
}
std::string message_of_status(zoqat_tuner* t, zoqat_status status, zoqat_status expected) {
  CHECK(status == expected);
  return zoqat_tuner_message(t);
}

}  // namespace

TEST_CASE("a run through C makes the bits of a run through C++") {
  engine by_c, by_cpp;
  zoqat_options options = zoqat_default_options();
  options.seed = 7;
  zoqat_tuner* t = nullptr;
  REQUIRE(zoqat_tuner_create(&options, &t) == ZOQAT_OK);
  REQUIRE(zoqat_tuner_add_f32(t, "w", by_c.values.data(), 16, 16, 16) == ZOQAT_OK);
  std::uint32_t watched = 0;
  struct both {
    engine* e;
    std::uint32_t* watched;
  } user{&by_c, &watched};
  zoqat_result result{};
  const auto loss = [](void* u, std::uint32_t s, std::uint32_t m, double* l) {
    return loss_of(static_cast<both*>(u)->e, s, m, l);
  };
  const auto watch = [](void* u, const zoqat_progress* p) { *static_cast<both*>(u)->watched = p->step + 1; };
  REQUIRE(zoqat_tuner_run(t, 50, loss, watch, &user, &result) == ZOQAT_OK);
  CHECK(watched == 50);
  CHECK(std::string(zoqat_tuner_probe_line(t)).find("1 tensor, 256 parameters") == 0);
  zoqat_tuner_destroy(t);

  zo::fine_tuner tuner({.seed = 7});
  tuner.add("w", matrix_view<float>(by_cpp.values.data(), 16, 16));
  const auto wanted = tuner.run(50, [&](std::uint32_t s, std::uint32_t m) { return by_cpp.loss(s, m); });
  CHECK(by_c.values == by_cpp.values);
  CHECK(result.steps == wanted.steps);
  CHECK(result.loss_after == wanted.loss_after);
  CHECK(result.loss_after < result.loss_before);
}

TEST_CASE("errors are codes with a sentence") {
  zoqat_tuner* t = nullptr;
  REQUIRE(zoqat_tuner_create(nullptr, &t) == ZOQAT_OK);
  engine e;
  CHECK(message_of_status(t, zoqat_tuner_run(t, 5, loss_of, nullptr, &e, nullptr), ZOQAT_INVALID)
            .find("nothing to train") != std::string::npos);
  CHECK(message_of_status(t, zoqat_tuner_add_f32(t, "w", nullptr, 1, 1, 1), ZOQAT_INVALID).find("NULL") !=
        std::string::npos);
  CHECK(message_of_status(t, zoqat_tuner_add_f32(t, "w", e.values.data(), 2, 8, 7), ZOQAT_INVALID).find("overlap") !=
        std::string::npos);
  for (const std::size_t rows : {static_cast<std::size_t>(-1), (std::size_t{1} << 62) + 1})
    CHECK(message_of_status(t, zoqat_tuner_add_f32(t, "w", e.values.data(), rows, 4, 4), ZOQAT_INVALID)
              .find("memory") != std::string::npos);
  REQUIRE(zoqat_tuner_add_f32(t, "w", e.values.data(), 1, 256, 256) == ZOQAT_OK);
  CHECK(message_of_status(t, zoqat_tuner_add_f32(t, "again", e.values.data() + 8, 1, 8, 8), ZOQAT_INVALID)
            .find("'w'") != std::string::npos);
  CHECK(message_of_status(t, zoqat_tuner_replay(t, "/nowhere/run.zlog", nullptr), ZOQAT_IO).find("/nowhere") !=
        std::string::npos);
  const auto before = e.values;
  e.last_call = 700;  // in the run, after the probe
  CHECK(message_of_status(t, zoqat_tuner_run(t, 1000, loss_of, nullptr, &e, nullptr), ZOQAT_STOPPED).find("ended") !=
        std::string::npos);
  CHECK(e.values.size() == before.size());
  for (const float w : e.values) CHECK(std::isfinite(w));
  zoqat_tuner_destroy(t);

  zoqat_options bad = zoqat_default_options();
  bad.micro_batches = 0;
  CHECK(zoqat_tuner_create(&bad, &t) == ZOQAT_INVALID);
  CHECK(std::string(zoqat_tuner_message(t)).find("micro-batch") != std::string::npos);
  CHECK(zoqat_tuner_probe(t, loss_of, &e) == ZOQAT_INVALID);
  zoqat_tuner_destroy(t);
  zoqat_tuner_destroy(nullptr);
}

TEST_CASE("a loss that the callback forgets to write rejects its step") {
  std::vector<float> values(64, 1.5f);
  zoqat_options options = zoqat_default_options();
  options.compared_steps = 0;
  zoqat_tuner* t = nullptr;
  REQUIRE(zoqat_tuner_create(&options, &t) == ZOQAT_OK);
  REQUIRE(zoqat_tuner_add_f32(t, "w", values.data(), 8, 8, 8) == ZOQAT_OK);
  const auto probed = [](void* user, std::uint32_t, std::uint32_t, double* l) {
    *l = 1;
    for (const float w : *static_cast<std::vector<float>*>(user)) *l += double{w} * double{w};
    return 0;
  };
  REQUIRE(zoqat_tuner_probe(t, probed, &values) == ZOQAT_OK);
  const auto forgets = [](void*, std::uint32_t, std::uint32_t, double*) { return 0; };
  zoqat_result result{};
  REQUIRE(zoqat_tuner_run(t, 3, forgets, nullptr, &values, &result) == ZOQAT_OK);
  CHECK(result.rejected == 3);
  CHECK(values == std::vector<float>(64, 1.5f));
  zoqat_tuner_destroy(t);
}

TEST_CASE("rules say what trains, in which group and with which unit") {
  std::vector<float> trained(8, 1.0f), frozen(8, 1.0f), gains(8, 1.0f);
  struct buffers {
    std::vector<float>&trained, &frozen, &gains;
  } all{trained, frozen, gains};
  const auto loss = [](void* user, std::uint32_t, std::uint32_t, double* l) {
    const auto& b = *static_cast<buffers*>(user);
    *l = 1;
    for (const auto* values : {&b.trained, &b.frozen, &b.gains})
      for (const float w : *values) *l += double{w} * double{w};
    return 0;
  };
  const auto give = [&](zoqat_tuner* t) {
    REQUIRE(zoqat_tuner_add_f32(t, "layers.0.wq", trained.data(), 1, 8, 8) == ZOQAT_OK);
    REQUIRE(zoqat_tuner_add_f32(t, "layers.0.wk", frozen.data(), 1, 8, 8) == ZOQAT_OK);
    REQUIRE(zoqat_tuner_add_f32(t, "layers.0.norm", gains.data(), 1, 8, 8) == ZOQAT_OK);
  };
  const zoqat_rule rules[] = {{"*.wk", 0, ZOQAT_GROUP_DEFAULT, 0}, {"*.norm", 1, ZOQAT_GROUP_NORM, 0}};
  zoqat_options options = zoqat_default_options();
  options.rules = rules;
  options.rule_count = 2;
  zoqat_tuner* t = nullptr;
  REQUIRE(zoqat_tuner_create(&options, &t) == ZOQAT_OK);
  give(t);
  REQUIRE(zoqat_tuner_run(t, 20, loss, nullptr, &all, nullptr) == ZOQAT_OK);
  const std::string line = zoqat_tuner_probe_line(t);
  CHECK_MESSAGE(line.find("2 tensors, 16 parameters") == 0, line);
  CHECK_MESSAGE(line.find("norm by") != std::string::npos, line);
  CHECK(frozen == std::vector<float>(8, 1.0f));
  CHECK(trained != frozen);
  CHECK(gains != frozen);
  zoqat_tuner_destroy(t);

  const zoqat_rule misspelled[] = {{"*.vk", 0, ZOQAT_GROUP_DEFAULT, 0}};
  options.rules = misspelled;
  options.rule_count = 1;
  REQUIRE(zoqat_tuner_create(&options, &t) == ZOQAT_OK);
  give(t);
  CHECK(message_of_status(t, zoqat_tuner_run(t, 1, loss, nullptr, &all, nullptr), ZOQAT_INVALID).find("*.vk") !=
        std::string::npos);
  zoqat_tuner_destroy(t);
  const zoqat_rule no_group[] = {{"*", 1, static_cast<zoqat_group>(11), 0}};
  options.rules = no_group;
  CHECK(zoqat_tuner_create(&options, &t) == ZOQAT_INVALID);
  CHECK(std::string(zoqat_tuner_message(t)).find("group 11") != std::string::npos);
  zoqat_tuner_destroy(t);
}

TEST_CASE("every format of an engine is handed over, and a log made through C replays") {
  const temporary_folder folder;
  const std::string log = (folder / "run.zlog").string();
  std::vector<float> f32(32, 1.0f);
  std::vector<std::uint16_t> b(32, bf16(1.0f).bits), h(32, 0x3c00);
  std::vector<std::int8_t> c(32, 100);
  const std::vector<float> scales{0.01f, 0.01f};
  const auto give = [&](zoqat_tuner* t) {
    REQUIRE(zoqat_tuner_add_f32(t, "f32", f32.data(), 2, 12, 16) == ZOQAT_OK);
    REQUIRE(zoqat_tuner_add_bf16(t, "bf16", b.data(), 2, 16, 16) == ZOQAT_OK);
    REQUIRE(zoqat_tuner_add_f16(t, "f16", h.data(), 2, 16, 16) == ZOQAT_OK);
    REQUIRE(zoqat_tuner_add_i8(t, "i8", c.data(), 2, 16, 16, scales.data(), 2) == ZOQAT_OK);
  };
  struct buffers {
    std::vector<float>& f;
    std::vector<std::int8_t>& c;
  } all{f32, c};
  const auto loss = [](void* user, std::uint32_t, std::uint32_t, double* l) {
    const auto& v = *static_cast<buffers*>(user);
    *l = 1;
    for (const float x : v.f) *l += double{x} * double{x};
    for (const std::int8_t x : v.c) *l += 1e-4 * x * x;
    return 0;
  };
  zoqat_options options = zoqat_default_options();
  options.log = log.c_str();
  options.compared_steps = 0;
  zoqat_tuner* t = nullptr;
  REQUIRE(zoqat_tuner_create(&options, &t) == ZOQAT_OK);
  give(t);
  REQUIRE(zoqat_tuner_run(t, 30, loss, nullptr, &all, nullptr) == ZOQAT_OK);
  zoqat_tuner_destroy(t);
  const auto trained_f32 = f32;
  const auto trained_b = b, trained_h = h;
  const auto trained_c = c;
  CHECK(f32[14] == 1.0f);  // between the rows
  CHECK(f32[0] != 1.0f);
  f32.assign(32, 1.0f), b.assign(32, bf16(1.0f).bits), h.assign(32, 0x3c00), c.assign(32, 100);
  REQUIRE(zoqat_tuner_create(nullptr, &t) == ZOQAT_OK);
  give(t);
  std::uint32_t made = 0;
  CHECK(zoqat_tuner_replay(t, log.c_str(), &made) == ZOQAT_OK);
  CHECK(made == 30);
  zoqat_tuner_destroy(t);
  CHECK(f32 == trained_f32);
  CHECK(b == trained_b);
  CHECK(h == trained_h);
  CHECK(c == trained_c);

  // A second run does not take the log's place unless it is told to.
  for (const int replace : {0, 1}) {
    options.replace = replace;
    REQUIRE(zoqat_tuner_create(&options, &t) == ZOQAT_OK);
    give(t);
    CHECK(zoqat_tuner_run(t, 2, loss, nullptr, &all, nullptr) == (replace != 0 ? ZOQAT_OK : ZOQAT_IO));
    if (replace == 0) CHECK(std::string(zoqat_tuner_message(t)).find("already") != std::string::npos);
    zoqat_tuner_destroy(t);
  }
}
