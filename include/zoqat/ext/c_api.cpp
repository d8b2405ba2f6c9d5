// SPDX-License-Identifier: Apache-2.0
//
// The one source file of c_api.h.

#include <zoqat/ext/c_handles.hpp>

#include <zoqat/core/error.hpp>
#include <zoqat/params/half_views.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/zo/embed/fine_tuner.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::ext;

namespace {

zo::fine_tuner_options to_options(const zoqat_options& o) {
  return {.seed = o.seed,
          .directions = o.directions,
          .micro_batches = o.micro_batches,
          .relative_loss_increase = o.relative_loss_increase,
          .threads = o.threads,
          .log = o.log ? o.log : "",
          .resume = o.resume != 0,
          .log_how = {.replace = o.replace != 0},
          .compared_steps = o.compared_steps};
}

static_assert(ZOQAT_GROUP_NORM_SCALE == static_cast<int>(parameter_group::norm_scale) + 1 &&
                  ZOQAT_GROUP_STEP_ROW == static_cast<int>(parameter_group::step_row) + 1 &&
                  ZOQAT_GROUP_NORM_SCALE == static_cast<int>(parameter_groups),
              "zoqat_group: its groups are those of parameter_group, after the default");

std::vector<zo::tensor_rule> to_rules(const zoqat_options& o) {
  require(o.rules || o.rule_count == 0, "zoqat_options: {} rules were announced, but rules is NULL", o.rule_count);
  std::vector<zo::tensor_rule> rules;
  for (std::size_t i = 0; i != o.rule_count; ++i) {
    const zoqat_rule& r = o.rules[i];
    require(r.pattern != nullptr, "zoqat_options: rule {} has no pattern", i);
    require(r.group >= ZOQAT_GROUP_DEFAULT && r.group <= ZOQAT_GROUP_NORM_SCALE,
            "zoqat_options: rule '{}' names a group {}; there are 0 to {}", r.pattern, static_cast<int>(r.group),
            static_cast<int>(ZOQAT_GROUP_NORM_SCALE));
    zo::tensor_rule& rule = rules.emplace_back(zo::tensor_rule{.pattern = r.pattern, .trains = r.trains != 0});
    rule.unit = r.unit;
    if (r.group != ZOQAT_GROUP_DEFAULT) rule.group = static_cast<parameter_group>(r.group - 1);
  }
  return rules;
}

auto to_loss(zoqat_loss loss, void* user) {
  require(loss != nullptr, "zoqat: the loss is NULL");
  return [=](std::uint32_t step, std::uint32_t micro_batch) {
    double value = 0;
    if (loss(user, step, micro_batch, &value) != 0) throw stopped();
    return value;
  };
}

}  // namespace

extern "C" {

zoqat_options zoqat_default_options(void) {
  const zo::fine_tuner_options o;
  return {
      o.seed, o.directions, o.micro_batches, o.relative_loss_increase, 0, nullptr, 0, 0, o.compared_steps, nullptr,
      0};
}

zoqat_status zoqat_tuner_create(const zoqat_options* options, zoqat_tuner** tuner) {
  return create(tuner, [&] {
    if (!options) return std::make_unique<zo::fine_tuner>();
    return std::make_unique<zo::fine_tuner>(to_options(*options), to_rules(*options));
  });
}
void zoqat_tuner_destroy(zoqat_tuner* tuner) { delete tuner; }
const char* zoqat_tuner_message(const zoqat_tuner* tuner) { return tuner ? tuner->message.c_str() : ""; }

zoqat_status zoqat_tuner_add_f32(zoqat_tuner* tuner, const char* name, float* values, size_t rows, size_t cols,
                                 size_t stride) {
  return with(tuner, [&](auto& t) { t.add(name, view(name, values, rows, cols, stride)); });
}
zoqat_status zoqat_tuner_add_bf16(zoqat_tuner* tuner, const char* name, uint16_t* values, size_t rows, size_t cols,
                                  size_t stride) {
  return with(tuner, [&](auto& t) { t.add(name, view(name, reinterpret_cast<bf16*>(values), rows, cols, stride)); });
}
zoqat_status zoqat_tuner_add_f16(zoqat_tuner* tuner, const char* name, uint16_t* values, size_t rows, size_t cols,
                                 size_t stride) {
  return with(tuner, [&](auto& t) { t.add(name, view(name, reinterpret_cast<fp16*>(values), rows, cols, stride)); });
}
zoqat_status zoqat_tuner_add_i8(zoqat_tuner* tuner, const char* name, int8_t* codes, size_t rows, size_t cols,
                                size_t stride, const float* scales, size_t scale_count) {
  return with(tuner, [&](auto& t) {
    require(scales != nullptr, "zoqat: the scales are NULL");
    t.add(name, zo::int8_codes{view(name, codes, rows, cols, stride), {scales, scale_count}});
  });
}

zoqat_status zoqat_tuner_probe(zoqat_tuner* tuner, zoqat_loss loss, void* user) {
  return with(tuner, [&](auto& t) { t.probe(to_loss(loss, user)); });
}
const char* zoqat_tuner_probe_line(zoqat_tuner* tuner) {
  if (!tuner) return "";
  (void)with(tuner, [&](auto& t) { tuner->line = t.probe_line(); });
  return tuner->line.c_str();
}
zoqat_status zoqat_tuner_run(zoqat_tuner* tuner, uint32_t steps, zoqat_loss loss, zoqat_watch watch, void* user,
                             zoqat_result* result) {
  return with(tuner, [&](auto& t) {
    const auto r = t.run(steps, to_loss(loss, user), [&](const zo::fine_tuner_progress& p) {
      const zoqat_progress seen{p.step, p.steps, p.loss, p.rejected};
      if (watch) watch(user, &seen);
    });
    if (result) *result = {r.steps, r.rejected, r.loss_before, r.loss_after, r.kept_start};
  });
}
zoqat_status zoqat_tuner_replay(zoqat_tuner* tuner, const char* log, uint32_t* steps) {
  return with(tuner, [&](auto& t) {
    require(log != nullptr, "zoqat: the log is NULL");
    const std::uint32_t made = t.replay(log);
    if (steps) *steps = made;
  });
}

}  // extern "C"
