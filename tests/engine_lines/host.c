/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include "engine/stories.h"
#include "prelude.h"

#include <math.h>
#include <stdio.h>

enum { bits = 3, trained_tokens = 48 };

static story_setting setting;

engine* host_engine(void) { return setting.e; }
int host_matrices(void) { return engine_matrices(setting.e); }

float* host_matrix(int i, const char** name, size_t* size) {
  static engine_matrix m; /* whose name is returned */
  m = engine_matrix_at(setting.e, i);
  *name = m.name;
  *size = (size_t)m.rows * (size_t)m.cols;
  return m.values;
}

double host_loss(uint32_t step, uint32_t micro_batch) {
  rounded_engine r;
  double loss;
  const int sequence = (int)(2 * step + micro_batch) % setting.train.count;
  if (!rounded_open(&r, setting.e, bits, 0)) return NAN;
  loss = engine_loss(setting.e, setting.train.tokens + sequence * story_length, trained_tokens);
  rounded_close(&r, setting.e);
  return loss / (trained_tokens - 1);
}

static double perplexity(void) {
  rounded_engine r;
  double result = NAN;
  if (rounded_open(&r, setting.e, bits, 0)) {
    result = stories_perplexity(&setting, &setting.valid);
    rounded_close(&r, setting.e);
  }
  return result;
}

int host_run(int (*train)(void)) {
  double before, after;
  int failed = stories_open(&setting, ZOQAT_SHARED, 20, 600);
  if (failed) return failed == 1 ? 0 : 1;
  before = perplexity();
  failed = train();
  after = perplexity();
  printf("rounded to nearest: perplexity %.17g\nfine-tuned: perplexity %.17g\n", before, after);
  stories_close(&setting);
  return failed || !(after < before);
}
