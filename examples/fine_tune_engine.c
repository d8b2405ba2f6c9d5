/* SPDX-License-Identifier: Apache-2.0
 *
 * An engine in C fine-tuned in C: the weights train where they lie, in a mapped file, by the loss of what the engine
 * rounds them to. The same run as that of fine_tune_engine.cpp with `weights`, to the same bits.
 *
 *   fine_tune_engine_c [steps] [seed] [bits] [group]       a group of 0: a grid for each output channel */

#include "engine/stories.h" /* the engine, which knows no type of the library, and its texts */

#include <zoqat/ext/c_api.h> /* its implementation, c_api.cpp, is one of the program's sources */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { sequences = 2, calibration = 256 }; /* of a part of a step; that the other programs need first */

typedef struct {
  story_setting setting;
  rounded_engine rounded;
} host;

static int loss_of_engine(void* user, uint32_t step, uint32_t micro_batch, double* loss) {
  host* h = user;
  rounded_deploy(&h->rounded, h->setting.e);
  *loss = stories_loss(&h->setting, calibration + (int)(step * 2 + micro_batch) * sequences, sequences);
  return 0;
}

static int fine_tune(host* h, zoqat_tuner* tuner, uint32_t steps) {
  engine* e = h->setting.e;
  zoqat_result result;
  for (int i = 0; i != engine_matrices(e); ++i) {
    const engine_matrix m = engine_matrix_at(e, i);
    const size_t rows = (size_t)m.rows, cols = (size_t)m.cols;
    if (zoqat_tuner_add_f32(tuner, m.name, h->rounded.masters[i], rows, cols, cols) != ZOQAT_OK) return 0;
  }
  if (zoqat_tuner_run(tuner, steps, loss_of_engine, NULL, h, &result) != ZOQAT_OK) return 0;
  rounded_deploy(&h->rounded, e);
  printf("%s\nloss on other data %.17g -> %.17g%s\n", zoqat_tuner_probe_line(tuner), result.loss_before,
         result.loss_after, result.kept_start ? ": the start was kept" : "");
  return 1;
}

int main(int argc, char** argv) {
  const uint32_t steps = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 300;
  const int bits = argc > 3 ? atoi(argv[3]) : 3, group = argc > 4 ? atoi(argv[4]) : 0;
  zoqat_options options = zoqat_default_options();
  zoqat_tuner* tuner = NULL;
  host h;
  const int seen = calibration + 2 * sequences * (int)(steps + options.compared_steps);
  int failed = stories_open(&h.setting, ZOQAT_MODELS "/../../../shared", 250, seen);
  if (failed) return failed == 1 ? 0 : 1;
  printf("perplexity in full precision %.3f\n", stories_perplexity(&h.setting, &h.setting.valid));
  options.seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
  failed = 1;
  if (rounded_open(&h.rounded, h.setting.e, bits, group)) {
    const double before = stories_perplexity(&h.setting, &h.setting.valid);
    failed = zoqat_tuner_create(&options, &tuner) != ZOQAT_OK || !fine_tune(&h, tuner, steps);
    if (failed)
      fprintf(stderr, "fine_tune_engine_c: %s\n", zoqat_tuner_message(tuner));
    else
      printf("%d bits, groups of %d: round-to-nearest %7.3f   fine-tuned %7.3f\n", bits, group, before,
             stories_perplexity(&h.setting, &h.setting.valid));
    zoqat_tuner_destroy(tuner);
    rounded_close(&h.rounded, h.setting.e);
  }
  stories_close(&h.setting);
  return failed;
}
