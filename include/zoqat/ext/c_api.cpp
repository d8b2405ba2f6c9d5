// SPDX-License-Identifier: Apache-2.0
//
// The one source file of c_api.h.

#include <zoqat/ext/c_api.h>

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/params/half_views.hpp>
#include <zoqat/zo/embed/fine_tuner.hpp>

#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

using namespace zoqat;

struct zoqat_tuner {
  std::unique_ptr<zo::fine_tuner> tuner;
  std::string message, line;
};

namespace {

/// A callback asked for the end of a run.
struct stopped {};

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

/// Runs f(), and turns what it throws into a status and a message.
template <class F>
zoqat_status guarded(zoqat_tuner& t, F&& f) noexcept {
  const auto say = [&](zoqat_status status, const char* what) {
    try {
      t.message = what;
    } catch (...) {
      t.message.clear();
    }
    return status;
  };
  try {
    f();
    return ZOQAT_OK;
  } catch (const stopped&) {
    return say(ZOQAT_STOPPED, "the loss callback ended the run");
  } catch (const io_error& e) {
    return say(ZOQAT_IO, e.what());
  } catch (const error& e) {
    return say(ZOQAT_INVALID, e.what());
  } catch (const std::bad_alloc&) {
    return say(ZOQAT_MEMORY, "there is not enough memory");
  } catch (const std::exception& e) {
    return say(ZOQAT_FAILED, e.what());
  } catch (...) {
    return say(ZOQAT_FAILED, "something unknown was thrown");
  }
}
/// The same for calls that need a tuner that was made.
template <class F>
zoqat_status with_tuner(zoqat_tuner* t, F&& f) noexcept {
  if (!t) return ZOQAT_INVALID;
  return guarded(*t, [&] {
    require(t->tuner != nullptr, "zoqat_tuner: creating it failed, so it can do nothing");
    f(*t->tuner);
  });
}

template <class T>
matrix_view<T> view(const char* name, T* values, std::size_t rows, std::size_t cols, std::size_t stride) {
  require(name && values, "zoqat_tuner: a matrix needs a name and values, but one of the two is NULL");
  require(stride >= cols, "parameter '{}': its rows of {} begin every {} elements, so they overlap", name, cols,
          stride);
  return {values, rows, cols, stride};
}

auto to_loss(zoqat_loss loss, void* user) {
  require(loss != nullptr, "zoqat_tuner: the loss is NULL");
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
  return {o.seed, o.directions, o.micro_batches, o.relative_loss_increase, 0, nullptr, 0, 0, o.compared_steps};
}

zoqat_status zoqat_tuner_create(const zoqat_options* options, zoqat_tuner** tuner) {
  if (!tuner) return ZOQAT_INVALID;
  *tuner = new (std::nothrow) zoqat_tuner();
  if (!*tuner) return ZOQAT_MEMORY;
  return guarded(**tuner, [&] {
    (*tuner)->tuner = std::make_unique<zo::fine_tuner>(options ? to_options(*options) : zo::fine_tuner_options());
  });
}
void zoqat_tuner_destroy(zoqat_tuner* tuner) { delete tuner; }
const char* zoqat_tuner_message(const zoqat_tuner* tuner) { return tuner ? tuner->message.c_str() : ""; }

zoqat_status zoqat_tuner_add_f32(zoqat_tuner* tuner, const char* name, float* values, size_t rows, size_t cols,
                                 size_t stride) {
  return with_tuner(tuner, [&](auto& t) { t.add(name, view(name, values, rows, cols, stride)); });
}
zoqat_status zoqat_tuner_add_bf16(zoqat_tuner* tuner, const char* name, uint16_t* values, size_t rows, size_t cols,
                                  size_t stride) {
  return with_tuner(tuner,
                    [&](auto& t) { t.add(name, view(name, reinterpret_cast<bf16*>(values), rows, cols, stride)); });
}
zoqat_status zoqat_tuner_add_f16(zoqat_tuner* tuner, const char* name, uint16_t* values, size_t rows, size_t cols,
                                 size_t stride) {
  return with_tuner(tuner,
                    [&](auto& t) { t.add(name, view(name, reinterpret_cast<fp16*>(values), rows, cols, stride)); });
}
zoqat_status zoqat_tuner_add_i8(zoqat_tuner* tuner, const char* name, int8_t* codes, size_t rows, size_t cols,
                                size_t stride, const float* scales, size_t scale_count) {
  return with_tuner(tuner, [&](auto& t) {
    require(scales != nullptr, "zoqat_tuner: the scales are NULL");
    t.add(name, zo::int8_codes{view(name, codes, rows, cols, stride), {scales, scale_count}});
  });
}

zoqat_status zoqat_tuner_probe(zoqat_tuner* tuner, zoqat_loss loss, void* user) {
  return with_tuner(tuner, [&](auto& t) { t.probe(to_loss(loss, user)); });
}
const char* zoqat_tuner_probe_line(zoqat_tuner* tuner) {
  if (!tuner) return "";
  (void)with_tuner(tuner, [&](auto& t) { tuner->line = t.probe_line(); });
  return tuner->line.c_str();
}
zoqat_status zoqat_tuner_run(zoqat_tuner* tuner, uint32_t steps, zoqat_loss loss, zoqat_watch watch, void* user,
                             zoqat_result* result) {
  return with_tuner(tuner, [&](auto& t) {
    const auto r = t.run(steps, to_loss(loss, user), [&](const zo::fine_tuner_progress& p) {
      const zoqat_progress seen{p.step, p.steps, p.loss, p.rejected};
      if (watch) watch(user, &seen);
    });
    if (result) *result = {r.steps, r.rejected, r.loss_before, r.loss_after, r.kept_start};
  });
}
zoqat_status zoqat_tuner_replay(zoqat_tuner* tuner, const char* log, uint32_t* steps) {
  return with_tuner(tuner, [&](auto& t) {
    require(log != nullptr, "zoqat_tuner: the log is NULL");
    const std::uint32_t made = t.replay(log);
    if (steps) *steps = made;
  });
}

}  // extern "C"
