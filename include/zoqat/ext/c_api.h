/* SPDX-License-Identifier: Apache-2.0
 *
 * zo::fine_tuner for engines in C (and for any language that calls C). Add include/zoqat/ext/c_api.cpp, compiled as
 * C++20, to your sources and include this header; nothing else of the library is seen.
 *
 * Every function that can fail returns a status; zoqat_tuner_message() has the sentence. No exception leaves,
 * whatever a callback does must not either. A tuner may be used by one thread at a time. */
#ifndef ZOQAT_EXT_C_API_H
#define ZOQAT_EXT_C_API_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zoqat_tuner zoqat_tuner;

typedef enum {
  ZOQAT_OK = 0,
  ZOQAT_INVALID = 1, /* an argument, a buffer or a loss makes no sense */
  ZOQAT_IO = 2,      /* a log cannot be read or written */
  ZOQAT_MEMORY = 3,  /* there is not enough of it */
  ZOQAT_STOPPED = 4, /* the loss callback asked for it; the buffers are the masters after the last whole step */
  ZOQAT_FAILED = 5   /* anything else */
} zoqat_status;

/* The tensors of a group are perturbed on a scale of their own; see parameter_group. */
typedef enum {
  ZOQAT_GROUP_DEFAULT =
      0, /* as it is handed over: a matrix's step sizes have groups of their own, the rest is weights */
  ZOQAT_GROUP_WEIGHT,
  ZOQAT_GROUP_SMOOTHING,
  ZOQAT_GROUP_SCORE_SCALE,
  ZOQAT_GROUP_CLIPPING,
  ZOQAT_GROUP_STEP_TENSOR,
  ZOQAT_GROUP_STEP_ROW,
  ZOQAT_GROUP_STEP_COLUMN,
  ZOQAT_GROUP_STEP_GROUP,
  ZOQAT_GROUP_NORM,
  ZOQAT_GROUP_NORM_SCALE
} zoqat_group;

/* What holds for all tensors with names like `pattern`, such as "*.norm" or "layers.*.w[qv]"; of several rules the
 * first counts. A rule that matches no tensor is an error, said before the first loss. See zo::tensor_rule. */
typedef struct {
  const char* pattern;
  int trains; /* 0: the tensor stays as it is */
  zoqat_group group;
  float unit; /* a perturbation of weights is measured in it; 0: in the root mean square of their tensor */
} zoqat_rule;

/* See zo::fine_tuner_options. */
typedef struct {
  uint64_t seed;
  uint32_t directions;
  uint32_t micro_batches;
  double relative_loss_increase;
  uint32_t threads; /* 0: one for each core */
  const char* log;  /* NULL: none */
  int resume;       /* not 0: go on with the run in `log` */
  int replace;      /* not 0: another log in the place of `log` may be replaced */
  uint32_t compared_steps;
  const zoqat_rule* rules; /* `rule_count` of them, read while the tuner is created */
  size_t rule_count;
} zoqat_options;

/* See zo::fine_tuner_result and zo::fine_tuner_progress. */
typedef struct {
  uint32_t steps, rejected;
  double loss_before, loss_after;
  int kept_start;
} zoqat_result;
typedef struct {
  uint32_t step, steps;
  double loss;
  uint32_t rejected;
} zoqat_progress;

/* Writes the loss of the weights as they lie in the buffers to `loss`. Returns 0, or anything else to end the run. */
typedef int (*zoqat_loss)(void* user, uint32_t step, uint32_t micro_batch, double* loss);
typedef void (*zoqat_watch)(void* user, const zoqat_progress* progress);

/* The options that measure everything. */
zoqat_options zoqat_default_options(void);

/* Makes a tuner; `options` may be NULL. Where that fails, *tuner still is one that can only be asked for its message
 * and destroyed, or NULL if there is no memory. */
zoqat_status zoqat_tuner_create(const zoqat_options* options, zoqat_tuner** tuner);
void zoqat_tuner_destroy(zoqat_tuner* tuner);
/* What the last call that failed has to say; "" before one did. Valid until the next call. */
const char* zoqat_tuner_message(const zoqat_tuner* tuner);

/* Hand over matrices [rows, cols] that begin a row every `stride` elements (cols where they lie together); a vector
 * has one row. They must outlive the tuner. bf16 and fp16 are given by their bits. int8 codes stand for scale * code,
 * with `scales` a multiple of the rows. */
zoqat_status zoqat_tuner_add_f32(zoqat_tuner* tuner, const char* name, float* values, size_t rows, size_t cols,
                                 size_t stride);
zoqat_status zoqat_tuner_add_bf16(zoqat_tuner* tuner, const char* name, uint16_t* values, size_t rows, size_t cols,
                                  size_t stride);
zoqat_status zoqat_tuner_add_f16(zoqat_tuner* tuner, const char* name, uint16_t* values, size_t rows, size_t cols,
                                 size_t stride);
zoqat_status zoqat_tuner_add_i8(zoqat_tuner* tuner, const char* name, int8_t* codes, size_t rows, size_t cols,
                                size_t stride, const float* scales, size_t scale_count);

/* Measures the scales; zoqat_tuner_run does it by itself. */
zoqat_status zoqat_tuner_probe(zoqat_tuner* tuner, zoqat_loss loss, void* user);
/* One line about what the probe found; "" before there was one. Valid until the next call. */
const char* zoqat_tuner_probe_line(zoqat_tuner* tuner);
/* Makes `steps` steps. `watch` and `result` may be NULL. */
zoqat_status zoqat_tuner_run(zoqat_tuner* tuner, uint32_t steps, zoqat_loss loss, zoqat_watch watch, void* user,
                             zoqat_result* result);
/* Makes the steps of a log again; `steps` may be NULL. */
zoqat_status zoqat_tuner_replay(zoqat_tuner* tuner, const char* log, uint32_t* steps);

#ifdef __cplusplus
}
#endif

#endif
