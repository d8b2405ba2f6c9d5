/* SPDX-License-Identifier: Apache-2.0
 *
 * Quantizing the matrices of an engine in C: codes and grids for the least change of outputs, and step sizes that a
 * zoqat_tuner trains. Add include/zoqat/ext/c_quantize.cpp and include/zoqat/ext/c_api.cpp, compiled as C++20, to
 * your sources. Errors are told as in c_api.h.
 *
 *   gather the moments of what a matrix is multiplied with, in your own forward pass   (zoqat_moments_add)
 *   find codes and grids                                                               (zoqat_matrix_create)
 *   train the step sizes of the grids                                                  (zoqat_tuner_add_matrix)
 *   in the loss: write the weights that the codes stand for, then run the forward pass (zoqat_matrix_values)
 *   at the end: take codes, scales and zero points                                     (zoqat_matrix_codes) */
#ifndef ZOQAT_EXT_C_QUANTIZE_H
#define ZOQAT_EXT_C_QUANTIZE_H

#include <zoqat/ext/c_api.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zoqat_moments zoqat_moments;
typedef struct zoqat_matrix zoqat_matrix;

/* Second moments of inputs, E[x xT]. See ptq::input_moments for what it costs. */
zoqat_status zoqat_moments_create(size_t in_features, zoqat_moments** moments);
void zoqat_moments_destroy(zoqat_moments* moments);
const char* zoqat_moments_message(const zoqat_moments* moments);
/* Adds `rows` inputs that lie together: [rows, in_features]. */
zoqat_status zoqat_moments_add(zoqat_moments* moments, const float* inputs, size_t rows);

/* Quantizes weights [rows, cols] that begin a row every `stride` elements to 2, 3, 4 or 8 bits, with a grid for each
 * row (`group_size` 0) or for each 32, 64 or 128 weights of a row. With the moments of the inputs, codes and grids
 * change the outputs least (see ptq::reconstruct_matrix); without, where `inputs` is NULL, they round to nearest.
 * The weights are not kept. `threads` are those of this call; 0: one for each core. Where that fails, *matrix still
 * is one that can only be asked for its message and destroyed, or NULL if there is no memory. */
zoqat_status zoqat_matrix_create(const float* weights, size_t rows, size_t cols, size_t stride, int bits,
                                 size_t group_size, zoqat_moments* inputs, uint32_t threads, zoqat_matrix** matrix);
void zoqat_matrix_destroy(zoqat_matrix* matrix);
const char* zoqat_matrix_message(const zoqat_matrix* matrix);

/* Hands the step sizes over, as name.step_tensor, name.step_row and, with several groups in a row, name.step_group.
 * The matrix must outlive the tuner. */
zoqat_status zoqat_tuner_add_matrix(zoqat_tuner* tuner, const char* name, zoqat_matrix* matrix);
/* Writes the weights that the codes stand for with the step sizes as they are now: [rows, cols]. */
zoqat_status zoqat_matrix_values(zoqat_matrix* matrix, float* out, size_t stride);
/* The same for weights that train beside the step sizes: rounds them to the grids, and forgets the codes there were.
 */
zoqat_status zoqat_matrix_round(zoqat_matrix* matrix, const float* weights, size_t stride, float* out,
                                size_t out_stride);
/* Grids in one row. */
size_t zoqat_matrix_groups(const zoqat_matrix* matrix);
/* What to deploy: a code stands for scale * (code - zero_point) of its row and group. `codes` has room for
 * [rows, cols], `scales` and `zero_points` for [rows, groups]. */
zoqat_status zoqat_matrix_codes(zoqat_matrix* matrix, uint8_t* codes, float* scales, uint8_t* zero_points);

#ifdef __cplusplus
}
#endif

#endif
