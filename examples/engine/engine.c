/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "engine.h"

#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { matrices_of_layer = 7 };

struct engine {
  int dim, hidden, layers, heads, kv_heads, vocabulary, positions;
  void* file; /* mapped */
  size_t bytes;
  float* block; /* the file after its header */
  const float *embedding, *attention_norm, *mlp_norm, *final_norm, *classifier;
  float** own;   /* [matrices]: where each lies in the block */
  float** used;  /* [matrices]: where the pass reads each */
  float* scratch;
  float *stream, *normed, *query, *key, *value, *mixed, *gate, *up, *scores, *logits, *rotation;
  engine_watcher watch;
  void* user;
};

/* --- Reading a checkpoint ---------------------------------------------------------------------------------------- */

static int kv_dim(const engine* e) { return e->dim / e->heads * e->kv_heads; }

static void shape_of(const engine* e, int kind, int* rows, int* cols) {
  static const char by_kind[matrices_of_layer] = {'q', 'k', 'k', 'q', 'u', 'u', 'd'};
  *rows = by_kind[kind] == 'k' ? kv_dim(e) : by_kind[kind] == 'u' ? e->hidden : e->dim;
  *cols = by_kind[kind] == 'd' ? e->hidden : e->dim;
}

/* Takes n floats from the front of what is left of the block. */
static float* take(float** rest, size_t n) {
  float* taken = *rest;
  *rest += n;
  return taken;
}

static size_t cut(engine* e, int tied) {
  const size_t dim = (size_t)e->dim, layers = (size_t)e->layers, head = (size_t)(e->dim / e->heads);
  /* The file has wq, wk, wv, wo of all layers, then w1, w2, w3, where a pass reads w1, w3, w2. */
  static const int attention[4] = {0, 1, 2, 3}, mlp[3] = {4, 6, 5};
  float* rest = e->block;
  int rows, cols;
  e->embedding = take(&rest, (size_t)e->vocabulary * dim);
  e->attention_norm = take(&rest, layers * dim);
  for (int k = 0; k != 4; ++k)
    for (int l = 0; l != e->layers; ++l) {
      shape_of(e, attention[k], &rows, &cols);
      e->own[l * matrices_of_layer + attention[k]] = take(&rest, (size_t)rows * (size_t)cols);
    }
  e->mlp_norm = take(&rest, layers * dim);
  for (int k = 0; k != 3; ++k)
    for (int l = 0; l != e->layers; ++l) {
      shape_of(e, mlp[k], &rows, &cols);
      e->own[l * matrices_of_layer + mlp[k]] = take(&rest, (size_t)rows * (size_t)cols);
    }
  e->final_norm = take(&rest, dim);
  take(&rest, 2 * (size_t)e->positions * (head / 2)); /* tables of cosines and sines that nobody reads */
  e->classifier = tied ? e->embedding : take(&rest, (size_t)e->vocabulary * dim);
  memcpy(e->used, e->own, sizeof(float*) * (size_t)engine_matrices(e));
  return (size_t)(rest - e->block);
}

static int allocate_scratch(engine* e) {
  const size_t t = (size_t)e->positions, dim = (size_t)e->dim, kv = (size_t)kv_dim(e), hidden = (size_t)e->hidden;
  const size_t head = dim / (size_t)e->heads;
  float* rest = e->scratch =
      malloc(sizeof(float) * (t * (4 * dim + 2 * kv + 2 * hidden + 1 + head) + (size_t)e->vocabulary));
  if (!rest) return 0;
  e->stream = take(&rest, t * dim);
  e->normed = take(&rest, t * dim);
  e->query = take(&rest, t * dim);
  e->mixed = take(&rest, t * dim);
  e->key = take(&rest, t * kv);
  e->value = take(&rest, t * kv);
  e->gate = take(&rest, t * hidden);
  e->up = take(&rest, t * hidden);
  e->scores = take(&rest, t);
  e->rotation = take(&rest, t * head); /* [positions][head / 2] cosines and sines */
  e->logits = take(&rest, (size_t)e->vocabulary);
  for (size_t p = 0; p != t; ++p)
    for (size_t i = 0; i != head / 2; ++i) {
      const double angle = (double)p * pow(10000.0, -2.0 * (double)i / (double)head);
      e->rotation[p * head + 2 * i] = (float)cos(angle);
      e->rotation[p * head + 2 * i + 1] = (float)sin(angle);
    }
  return 1;
}

static int plausible(const engine* e) {
  const int sizes[] = {e->dim, e->hidden, e->layers, e->heads, e->kv_heads, e->vocabulary, e->positions};
  for (size_t i = 0; i != sizeof sizes / sizeof *sizes; ++i)
    if (sizes[i] <= 0 || sizes[i] > 1 << 20) return 0;
  return e->dim % e->heads == 0 && e->dim / e->heads % 2 == 0 && e->heads % e->kv_heads == 0;
}

/* Maps the file: what is written there stays in this process. */
static int map_file(engine* e, const char* path) {
  struct stat status;
  const int file = open(path, O_RDONLY);
  if (file < 0) return 0;
  if (!fstat(file, &status) && status.st_size > 0) {
    e->bytes = (size_t)status.st_size;
    e->file = mmap(NULL, e->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    if (e->file == MAP_FAILED) e->file = NULL;
  }
  close(file);
  return e->file != NULL;
}

engine* engine_open(const char* path, char* problem, int size) {
  engine* e = calloc(1, sizeof *e);
  int32_t header[7];
  const char* wrong = "out of memory";
  if (!e) goto failed;
  wrong = "cannot be mapped";
  if (!map_file(e, path)) goto failed;
  wrong = "is no checkpoint of llama2.c";
  if (e->bytes < sizeof header) goto failed;
  memcpy(header, e->file, sizeof header);
  e->block = (float*)((char*)e->file + sizeof header);
  e->dim = header[0], e->hidden = header[1], e->layers = header[2], e->heads = header[3], e->kv_heads = header[4];
  e->vocabulary = header[5] < 0 ? -header[5] : header[5], e->positions = header[6];
  if (!plausible(e)) goto failed;
  wrong = "out of memory";
  e->own = calloc((size_t)engine_matrices(e), sizeof *e->own);
  e->used = calloc((size_t)engine_matrices(e), sizeof *e->used);
  if (!e->own || !e->used || !allocate_scratch(e)) goto failed;
  wrong = "has another size than its header says";
  if (sizeof header + cut(e, header[5] > 0) * sizeof(float) != e->bytes) goto failed;
  return e;
failed:
  snprintf(problem, (size_t)size, "%s %s", path, wrong);
  engine_close(e);
  return NULL;
}

void engine_close(engine* e) {
  if (!e) return;
  free(e->own);
  free(e->used);
  free(e->scratch);
  if (e->file) munmap(e->file, e->bytes);
  free(e);
}

int engine_positions(const engine* e) { return e->positions; }
int engine_vocabulary(const engine* e) { return e->vocabulary; }
int engine_matrices(const engine* e) { return e->layers * matrices_of_layer; }
void engine_use(engine* e, int i, float* values) { e->used[i] = values ? values : e->own[i]; }
void engine_watch(engine* e, engine_watcher watch, void* user) { e->watch = watch, e->user = user; }

engine_matrix engine_matrix_at(const engine* e, int i) {
  static const char* const kinds[matrices_of_layer] = {"wq", "wk", "wv", "wo", "w1", "w3", "w2"};
  engine_matrix m = {{0}, 0, 0, e->used[i]};
  snprintf(m.name, sizeof m.name, "layers.%d.%s", i / matrices_of_layer, kinds[i % matrices_of_layer]);
  shape_of(e, i % matrices_of_layer, &m.rows, &m.cols);
  return m;
}

/* --- Fewer bits --------------------------------------------------------------------------------------------------- */

/* One grid for n weights; 0 is on it. */
static void round_group(const float* w, int n, int bits, float* out) {
  const float top = (float)((1 << bits) - 1);
  float low = 0, high = 0, step, zero;
  for (int i = 0; i != n; ++i) {
    if (w[i] < low) low = w[i];
    if (w[i] > high) high = w[i];
  }
  step = (high - low) / top;
  if (step < 1e-30f) step = 1e-30f; /* of zeros alone */
  zero = rintf(-low / step);
  for (int i = 0; i != n; ++i) {
    const float code = rintf(w[i] / step) + zero;
    out[i] = ((code < 0 ? 0 : code > top ? top : code) - zero) * step;
  }
}

void engine_round(const float* weights, int rows, int cols, int bits, int group, float* out) {
  const int width = group ? group : cols;
  for (int r = 0; r != rows; ++r)
    for (int k = 0; k < cols; k += width) {
      const size_t at = (size_t)r * (size_t)cols + (size_t)k;
      round_group(weights + at, cols - k < width ? cols - k : width, bits, out + at);
    }
}

/* --- The forward pass -------------------------------------------------------------------------------------------- */

static float dot(const float* a, const float* b, int n) {
  float sums[16] = {0}; /* apart, so that a compiler may use vectors */
  float total = 0;
  int i = 0;
  for (; i + 16 <= n; i += 16)
    for (int j = 0; j != 16; ++j) sums[j] += a[i + j] * b[i + j];
  for (; i != n; ++i) total += a[i] * b[i];
  if (n < 16) return total;
  for (int j = 0; j != 4; ++j) sums[j] = (sums[j] + sums[j + 4]) + (sums[j + 8] + sums[j + 12]);
  return total + ((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

/* out [tokens, rows] = x [tokens, cols] times matrix i. */
static void multiply(engine* e, int i, const float* x, float* out, int tokens) {
  int rows, cols;
  shape_of(e, i % matrices_of_layer, &rows, &cols);
  for (int t = 0; t != tokens; ++t) {
    if (e->watch) e->watch(e->user, i, x + (size_t)t * (size_t)cols, cols);
    for (int r = 0; r != rows; ++r)
      out[t * rows + r] = dot(e->used[i] + (size_t)r * (size_t)cols, x + (size_t)t * (size_t)cols, cols);
  }
}

static void normalize(const engine* e, const float* gain, float* out, int tokens) {
  for (int t = 0; t != tokens; ++t) {
    const float* x = e->stream + t * e->dim;
    const float factor = 1.0f / sqrtf(dot(x, x, e->dim) / (float)e->dim + 1e-5f);
    for (int k = 0; k != e->dim; ++k) out[t * e->dim + k] = x[k] * factor * gain[k];
  }
}

static void rotate(const engine* e, float* x, int heads, int tokens) {
  const int head = e->dim / e->heads;
  for (int t = 0; t != tokens; ++t)
    for (int k = 0; k != heads * head; k += 2) {
      const float* turn = e->rotation + t * head + k % head;
      float* pair = x + t * heads * head + k;
      const float a = pair[0], b = pair[1];
      pair[0] = a * turn[0] - b * turn[1];
      pair[1] = a * turn[1] + b * turn[0];
    }
}

/* The values of tokens [0, t] mixed for one head of token t. */
static void attend(engine* e, int t, int h) {
  const int head = e->dim / e->heads, kv = kv_dim(e), at = h / (e->heads / e->kv_heads) * head;
  const float* query = e->query + t * e->dim + h * head;
  float* out = e->mixed + t * e->dim + h * head;
  const float scale = 1.0f / sqrtf((float)head);
  float top = -INFINITY, total = 0;
  for (int s = 0; s <= t; ++s) {
    e->scores[s] = dot(query, e->key + s * kv + at, head) * scale;
    if (e->scores[s] > top) top = e->scores[s];
  }
  for (int s = 0; s <= t; ++s) total += e->scores[s] = expf(e->scores[s] - top);
  memset(out, 0, sizeof(float) * (size_t)head);
  for (int s = 0; s <= t; ++s) {
    const float part = e->scores[s] / total;
    for (int k = 0; k != head; ++k) out[k] += part * e->value[s * kv + at + k];
  }
}

static void add_to_stream(engine* e, const float* x, int tokens) {
  for (int k = 0; k != tokens * e->dim; ++k) e->stream[k] += x[k];
}

static void run_layer(engine* e, int layer, int tokens) {
  const int first = layer * matrices_of_layer;
  normalize(e, e->attention_norm + layer * e->dim, e->normed, tokens);
  multiply(e, first, e->normed, e->query, tokens);
  multiply(e, first + 1, e->normed, e->key, tokens);
  multiply(e, first + 2, e->normed, e->value, tokens);
  rotate(e, e->query, e->heads, tokens);
  rotate(e, e->key, e->kv_heads, tokens);
  for (int t = 0; t != tokens; ++t)
    for (int h = 0; h != e->heads; ++h) attend(e, t, h);
  multiply(e, first + 3, e->mixed, e->normed, tokens);
  add_to_stream(e, e->normed, tokens);

  normalize(e, e->mlp_norm + layer * e->dim, e->normed, tokens);
  multiply(e, first + 4, e->normed, e->gate, tokens);
  multiply(e, first + 5, e->normed, e->up, tokens);
  for (int k = 0; k != tokens * e->hidden; ++k) e->gate[k] = e->gate[k] / (1.0f + expf(-e->gate[k])) * e->up[k];
  multiply(e, first + 6, e->gate, e->normed, tokens);
  add_to_stream(e, e->normed, tokens);
}

/* -log p(token) after one row of the last norm's output. */
static double surprise(engine* e, const float* x, int token) {
  double total = 0;
  float top = -INFINITY;
  for (int v = 0; v != e->vocabulary; ++v) {
    e->logits[v] = dot(e->classifier + (size_t)v * (size_t)e->dim, x, e->dim);
    if (e->logits[v] > top) top = e->logits[v];
  }
  for (int v = 0; v != e->vocabulary; ++v) total += exp((double)(e->logits[v] - top));
  return log(total) - (double)(e->logits[token] - top);
}

double engine_loss(engine* e, const int* tokens, int count) {
  double total = 0;
  if (count < 0 || count > e->positions) return NAN;
  for (int t = 0; t != count; ++t) {
    if (tokens[t] < 0 || tokens[t] >= e->vocabulary) return NAN;
    memcpy(e->stream + t * e->dim, e->embedding + (size_t)tokens[t] * (size_t)e->dim, sizeof(float) * (size_t)e->dim);
  }
  for (int layer = 0; layer != e->layers; ++layer) run_layer(e, layer, count);
  normalize(e, e->final_norm, e->normed, count);
  for (int t = 0; t + 1 < count; ++t) total += surprise(e, e->normed + t * e->dim, tokens[t + 1]);
  return total;
}

/* --- Tokens ------------------------------------------------------------------------------------------------------ */

struct engine_tokenizer {
  int count;
  char** pieces; /* [count] */
  float* scores;
};

enum { begin_token = 1, first_byte_token = 3 };

engine_tokenizer* engine_tokenizer_open(const char* path, int vocabulary, char* problem, int size) {
  FILE* file = fopen(path, "rb");
  engine_tokenizer* t = calloc(1, sizeof *t);
  int32_t longest, length;
  if (!file || !t || fread(&longest, sizeof longest, 1, file) != 1 || longest <= 0 || longest > 1 << 16) goto failed;
  t->pieces = calloc((size_t)vocabulary, sizeof *t->pieces);
  t->scores = calloc((size_t)vocabulary, sizeof *t->scores);
  if (!t->pieces || !t->scores) goto failed;
  for (; t->count != vocabulary; ++t->count) {
    if (fread(t->scores + t->count, sizeof(float), 1, file) != 1 || fread(&length, sizeof length, 1, file) != 1 ||
        length < 0 || length > 1 << 16 || !(t->pieces[t->count] = calloc((size_t)length + 1, 1)))
      goto failed;
    if (fread(t->pieces[t->count], 1, (size_t)length, file) != (size_t)length) {
      ++t->count;
      goto failed;
    }
  }
  fclose(file);
  return t;
failed:
  snprintf(problem, (size_t)size, "%s is not a tokenizer of %d pieces", path, vocabulary);
  if (file) fclose(file);
  engine_tokenizer_close(t);
  return NULL;
}

void engine_tokenizer_close(engine_tokenizer* t) {
  if (!t) return;
  for (int i = 0; i != t->count; ++i) free(t->pieces[i]);
  free(t->pieces);
  free(t->scores);
  free(t);
}

/* The piece that is `a` and then `b`, or -1. */
static int find_piece(const engine_tokenizer* t, const char* a, size_t a_size, const char* b, size_t b_size) {
  for (int i = 0; i != t->count; ++i)
    if (strlen(t->pieces[i]) == a_size + b_size && !memcmp(t->pieces[i], a, a_size) &&
        !memcmp(t->pieces[i] + a_size, b, b_size))
      return i;
  return -1;
}

/* Joins the pair of neighbors whose piece has the best score, until none has one. */
static int merge(const engine_tokenizer* t, int* tokens, int count) {
  int* joined = malloc(sizeof(int) * (size_t)(count + 1)); /* of tokens i and i + 1 */
  if (!joined) return count;
#define PAIR(i) find_piece(t, t->pieces[tokens[i]], strlen(t->pieces[tokens[i]]), t->pieces[tokens[(i) + 1]], \
                           strlen(t->pieces[tokens[(i) + 1]]))
  for (int i = 0; i + 1 < count; ++i) joined[i] = PAIR(i);
  for (;;) {
    int best = -1;
    for (int i = 0; i + 1 < count; ++i)
      if (joined[i] >= 0 && (best < 0 || t->scores[joined[i]] > t->scores[joined[best]])) best = i;
    if (best < 0) break;
    tokens[best] = joined[best];
    --count;
    memmove(tokens + best + 1, tokens + best + 2, sizeof(int) * (size_t)(count - best - 1));
    memmove(joined + best, joined + best + 1, sizeof(int) * (size_t)(count - best));
    if (best > 0) joined[best - 1] = PAIR(best - 1);
    if (best + 1 < count) joined[best] = PAIR(best);
  }
#undef PAIR
  free(joined);
  return count;
}

int engine_encode(const engine_tokenizer* t, const char* text, int* tokens, int size) {
  const size_t bytes = strlen(text);
  int* all = malloc(sizeof(int) * (bytes + 2));
  int count = 0, space = find_piece(t, " ", 1, "", 0);
  if (!all) return 0;
  if (bytes && space >= 0) all[count++] = space;
  for (size_t i = 0; i < bytes;) {
    size_t length = 1; /* of one character in UTF-8 */
    while (i + length < bytes && ((unsigned char)text[i + length] & 0xc0) == 0x80 && length < 4) ++length;
    const int piece = find_piece(t, text + i, length, "", 0);
    if (piece >= 0)
      all[count++] = piece;
    else
      for (size_t j = 0; j != length; ++j) all[count++] = (unsigned char)text[i + j] + first_byte_token;
    i += length;
  }
  count = merge(t, all, count);
  if (size > 0) tokens[0] = begin_token;
  for (int i = 0; i < count && i + 1 < size; ++i) tokens[i + 1] = all[i];
  free(all);
  return count + 1;
}
