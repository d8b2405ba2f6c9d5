/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine that the guide's lines are embedded into, in words that no line uses. */
#ifndef HOST_H
#define HOST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Opens the engine, calls train(), which returns 0 or fails, and prints the perplexity at 3 bits before and after.
 * Returns what main is to: 0 where the perplexity fell. */
int host_run(int (*train)(void));

/* Matrix i, [rows, cols], where it lies in the mapped file. */
int host_matrices(void);
float* host_matrix(int i, const char** name, size_t* size);
/* Of the weights as they lie there, rounded to 3 bits. */
double host_loss(uint32_t step, uint32_t micro_batch);

#ifdef __cplusplus
}
#endif

#endif
