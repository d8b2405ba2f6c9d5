/* SPDX-License-Identifier: Apache-2.0
 *
 * An engine in C fine-tuned in C, with the bits of fine_tune_engine.cpp:
 *   step-sizes   the weights start from a reconstruction, and the step sizes of its grids train (the default);
 *   weights      they train where they lie, in a mapped file, by the loss of what the engine rounds them to.
 *
 *   fine_tune_engine_c [steps] [seed] [bits] [group] [step-sizes | weights]
 *                                                  a group of 0: a grid for each output channel */

#include "engine/stories.h" /* the engine, which knows no type of the library, and its texts */

#include <zoqat/ext/c_api.h>      /* the fine-tuner; its implementation, c_api.cpp, is one of the program's sources */
#include <zoqat/ext/c_quantize.h> /* reconstruction and step sizes; c_quantize.cpp is another */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { sequences = 2, calibration = 256 }; /* of a part of a step; that moments are gathered from */

/* A matrix of the engine on grids, and what the forward pass reads. */
typedef struct {
  zoqat_moments* moments;
  zoqat_matrix* quantized;
  float* values;
} deployed_matrix;

typedef struct {
  story_setting setting;
  rounded_engine rounded;    /* where the weights train */
  deployed_matrix* matrices; /* where the step sizes do */
} host;

static int problem(const char* what) { return fprintf(stderr, "fine_tune_engine_c: %s\n", what), 0; }

/* Writes what the forward pass reads. */
static int deploy(host* h) {
  engine* e = h->setting.e;
  if (!h->matrices) return rounded_deploy(&h->rounded, e), 1;
  for (int i = 0; i != engine_matrices(e); ++i) {
    const deployed_matrix* m = &h->matrices[i];
    if (zoqat_matrix_values(m->quantized, m->values, (size_t)engine_matrix_at(e, i).cols) != ZOQAT_OK)
      return problem(zoqat_matrix_message(m->quantized));
  }
  return 1;
}

static int loss_of_engine(void* user, uint32_t step, uint32_t micro_batch, double* loss) {
  host* h = user;
  if (!deploy(h)) return 1;
  *loss = stories_loss(&h->setting, calibration + (int)(step * 2 + micro_batch) * sequences, sequences);
  return 0;
}

/* Trains what was added to the tuner. */
static int fine_tune(host* h, zoqat_tuner* tuner, uint32_t steps) {
  zoqat_result result;
  if (zoqat_tuner_run(tuner, steps, loss_of_engine, NULL, h, &result) != ZOQAT_OK)
    return problem(zoqat_tuner_message(tuner));
  printf("%s\nloss on other data %.17g -> %.17g%s\n", zoqat_tuner_probe_line(tuner), result.loss_before,
         result.loss_after, result.kept_start ? ": the start was kept" : "");
  return deploy(h);
}

/* --- Step sizes, from a reconstruction ----------------------------------------------------------------------------
 */

static void watch_inputs(void* user, int matrix, const float* x, int cols) {
  (void)cols;
  zoqat_moments_add(((host*)user)->matrices[matrix].moments, x, 1);
}

/* Gathers the moments of the inputs, and quantizes every matrix for them. */
static int reconstruct(host* h, int bits, size_t group) {
  engine* e = h->setting.e;
  for (int i = 0; i != engine_matrices(e); ++i)
    if (zoqat_moments_create((size_t)engine_matrix_at(e, i).cols, &h->matrices[i].moments) != ZOQAT_OK) return 0;
  engine_watch(e, watch_inputs, h);
  stories_loss(&h->setting, 0, calibration);
  engine_watch(e, NULL, NULL);
  for (int i = 0; i != engine_matrices(e); ++i) {
    const engine_matrix m = engine_matrix_at(e, i);
    const size_t rows = (size_t)m.rows, cols = (size_t)m.cols;
    deployed_matrix* to = &h->matrices[i];
    if (zoqat_matrix_create(m.values, rows, cols, cols, bits, group, to->moments, 0, &to->quantized) != ZOQAT_OK)
      return problem(zoqat_matrix_message(to->quantized));
    to->values = malloc(rows * cols * sizeof(float));
    if (!to->values) return problem("there is no memory for the quantized weights");
  }
  for (int i = 0; i != engine_matrices(e); ++i) engine_use(e, i, h->matrices[i].values);
  return deploy(h);
}

static int train_step_sizes(host* h, zoqat_tuner* tuner, uint32_t steps, int bits, int group) {
  engine* e = h->setting.e;
  int done = 0;
  h->matrices = calloc((size_t)engine_matrices(e), sizeof(deployed_matrix));
  if (!h->matrices) return problem("there is no memory for the matrices");
  if (reconstruct(h, bits, (size_t)group)) {
    const double before = stories_perplexity(&h->setting, &h->setting.valid);
    done = 1;
    for (int i = 0; done && i != engine_matrices(e); ++i)
      if (zoqat_tuner_add_matrix(tuner, engine_matrix_at(e, i).name, h->matrices[i].quantized) != ZOQAT_OK)
        done = problem(zoqat_tuner_message(tuner));
    done = done && fine_tune(h, tuner, steps);
    if (done)
      printf("%d bits, groups of %d: reconstructed %7.3f   fine-tuned %7.3f\n", bits, group, before,
             stories_perplexity(&h->setting, &h->setting.valid));
  }
  for (int i = 0; i != engine_matrices(e); ++i) {
    engine_use(e, i, NULL);
    zoqat_moments_destroy(h->matrices[i].moments);
    zoqat_matrix_destroy(h->matrices[i].quantized);
    free(h->matrices[i].values);
  }
  free(h->matrices);
  return done;
}

/* --- Weights in the engine's own buffers --------------------------------------------------------------------------
 */

static int train_weights(host* h, zoqat_tuner* tuner, uint32_t steps, int bits, int group) {
  engine* e = h->setting.e;
  if (!rounded_open(&h->rounded, e, bits, group)) return problem("there is no memory for the rounded weights");
  const double before = stories_perplexity(&h->setting, &h->setting.valid);
  int done = 1;
  for (int i = 0; done && i != engine_matrices(e); ++i) {
    const engine_matrix m = engine_matrix_at(e, i);
    const size_t rows = (size_t)m.rows, cols = (size_t)m.cols;
    if (zoqat_tuner_add_f32(tuner, m.name, h->rounded.masters[i], rows, cols, cols) != ZOQAT_OK)
      done = problem(zoqat_tuner_message(tuner));
  }
  done = done && fine_tune(h, tuner, steps);
  if (done)
    printf("%d bits, groups of %d: round-to-nearest %7.3f   fine-tuned %7.3f\n", bits, group, before,
           stories_perplexity(&h->setting, &h->setting.valid));
  rounded_close(&h->rounded, e);
  return done;
}

int main(int argc, char** argv) {
  const uint32_t steps = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 300;
  const int bits = argc > 3 ? atoi(argv[3]) : 3, group = argc > 4 ? atoi(argv[4]) : 0;
  const char* const what = argc > 5 ? argv[5] : "step-sizes";
  zoqat_options options = zoqat_default_options();
  zoqat_tuner* tuner = NULL;
  host h = {0};
  int done = 0;
  if (strcmp(what, "step-sizes") != 0 && strcmp(what, "weights") != 0)
    return fprintf(stderr, "usage: fine_tune_engine_c [steps] [seed] [bits] [group] [step-sizes | weights]\n"), 1;
  const int seen = calibration + 2 * sequences * (int)(steps + options.compared_steps);
  const int failed = stories_open(&h.setting, ZOQAT_MODELS "/../../../shared", 250, seen);
  if (failed) return failed == 1 ? 0 : 1;
  printf("perplexity in full precision %.3f\n", stories_perplexity(&h.setting, &h.setting.valid));
  options.seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
  if (zoqat_tuner_create(&options, &tuner) != ZOQAT_OK)
    problem(zoqat_tuner_message(tuner));
  else
    done = strcmp(what, "weights") == 0 ? train_weights(&h, tuner, steps, bits, group)
                                        : train_step_sizes(&h, tuner, steps, bits, group);
  zoqat_tuner_destroy(tuner);
  stories_close(&h.setting);
  return done ? 0 : 1;
}
