/* SPDX-License-Identifier: Apache-2.0
 *
 * A small inference engine in C99 that knows nothing of zoqat: it stands for the one that you have. It reads
 * checkpoints of llama2.c (seven int32 sizes, then fp32 tensors) from a mapped file, and runs a LLaMA of that layout:
 * RMSNorm, interleaved rotary positions, grouped queries, SwiGLU, a classifier tied to the embeddings or not.
 *
 * An engine holds the scratch of its forward pass, so one thread at a time may use it. */
#ifndef ENGINE_H
#define ENGINE_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct engine engine;
typedef struct engine_tokenizer engine_tokenizer;

/* One weight matrix [rows, cols], row-major: outputs = values * inputs. */
typedef struct {
  char name[32]; /* "layers.3.wq" */
  int rows, cols;
  float* values; /* what the forward pass reads: a part of the mapped file, unless engine_use changed it */
} engine_matrix;

/* Maps a checkpoint, privately: what is written to its values reaches no file. Returns NULL, and says why in `problem`
 * (of `size` bytes), where that fails. */
engine* engine_open(const char* path, char* problem, int size);
void engine_close(engine* e);

/* The longest sequence, and the number of tokens there are. */
int engine_positions(const engine* e);
int engine_vocabulary(const engine* e);

/* The matrices of the linear layers, in the order in which a pass reads them: wq, wk, wv, wo, w1, w3 and w2 of each
 * layer. Embeddings and norms are not among them. */
int engine_matrices(const engine* e);
engine_matrix engine_matrix_at(const engine* e, int i);
/* Makes the forward pass read matrix i from `values` [rows, cols], which must outlive their use; NULL goes back to the
 * file's. */
void engine_use(engine* e, int i, float* values);

/* Rounds a matrix to nearest, to `bits` and a grid for each row, or for each `group` columns of a row where that is not
 * 0; writes what the codes stand for, as the engine deploys it, to out [rows, cols]. */
void engine_round(const float* weights, int rows, int cols, int bits, int group, float* out);

/* Sees what a matrix is multiplied with: x is one row of its `cols` inputs. */
typedef void (*engine_watcher)(void* user, int matrix, const float* x, int cols);
/* Calls `watch` for every input of every matrix in the passes to come; NULL ends that. */
void engine_watch(engine* e, engine_watcher watch, void* user);

/* The sum over the tokens after the first of -log p(token | those before it), in nats; count is at most
 * engine_positions(). The mean of a text is its sum over its predictions, count - 1 of each sequence. Sequences and
 * tokens out of range give NaN. */
double engine_loss(engine* e, const int* tokens, int count);

/* The tokenizer of a llama2.c checkpoint (tokenizer.bin) of `vocabulary` pieces: byte pair merging by score. */
engine_tokenizer* engine_tokenizer_open(const char* path, int vocabulary, char* problem, int size);
void engine_tokenizer_close(engine_tokenizer* t);
/* Encodes a text, the begin token first. Writes the first `size` tokens and returns how many there are: never more
 * than the bytes of the text and two. */
int engine_encode(const engine_tokenizer* t, const char* text, int* tokens, int size);

#ifdef __cplusplus
}
#endif

#endif
