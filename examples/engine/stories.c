/* SPDX-License-Identifier: Apache-2.0 */
#include "stories.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Texts ------------------------------------------------------------------------------------------------------- */

/* The whole of a file, with a zero at its end and without carriage returns; NULL where that fails. */
static char* read_file(const char* path) {
  FILE* file = fopen(path, "rb");
  char* text = NULL;
  long size = 0;
  size_t kept = 0;
  if (file && !fseek(file, 0, SEEK_END) && (size = ftell(file)) >= 0 && !fseek(file, 0, SEEK_SET) &&
      (text = malloc((size_t)size + 1))) {
    const size_t n = fread(text, 1, (size_t)size, file);
    for (size_t i = 0; i != n; ++i)
      if (text[i] != '\r') text[kept++] = text[i];
    text[kept] = 0;
  }
  if (file) fclose(file);
  return text;
}

/* Encodes the stories of a text, whose end is <|endoftext|>, one after the other. */
static int encode_stories(const engine_tokenizer* t, char* text, int* tokens, int size) {
  static const char end_of_story[] = "<|endoftext|>";
  int count = 0;
  for (char* story = text; *story && count < size;) {
    char* end = strstr(story, end_of_story);
    char* next = end ? end + strlen(end_of_story) : story + strlen(story);
    if (!end) end = next;
    while (story != end && (*story == ' ' || *story == '\n')) ++story;
    while (end != story && (end[-1] == ' ' || end[-1] == '\n')) --end;
    if (end != story) {
      *end = 0;
      const int n = engine_encode(t, story, tokens + count, size - count);
      count = n < size - count ? count + n : size;
    }
    story = next;
  }
  return count;
}

static story_text read_stories(const engine_tokenizer* t, const char* path, int sequences) {
  story_text read = {NULL, 0};
  char* text = read_file(path);
  if (text && (read.tokens = malloc(sizeof(int) * story_length * (size_t)sequences)))
    read.count = encode_stories(t, text, read.tokens, sequences * story_length) / story_length;
  free(text);
  return read;
}

int stories_open(story_setting* s, const char* otherwise, int valid, int train) {
  const char* folder = getenv("ZOQAT_DATA");
  char path[4096], problem[4200];
  engine_tokenizer* t = NULL;
  memset(s, 0, sizeof *s);
  if (!folder || !*folder) folder = otherwise;
#define FILE_OF(name) (snprintf(path, sizeof path, "%s/%s", folder, name), path)
  FILE* file = fopen(FILE_OF("models/stories260K/stories260K.bin"), "rb");
  if (!file) {
    printf("skipped: there is no models/stories260K in %s; set ZOQAT_DATA to the folder with the test data\n", folder);
    return 1;
  }
  fclose(file);
  s->e = engine_open(path, problem, sizeof problem);
  if (s->e) t = engine_tokenizer_open(FILE_OF("models/stories260K/tok512.bin"), engine_vocabulary(s->e), problem,
                                      sizeof problem);
  if (t) {
    s->valid = read_stories(t, FILE_OF("data/tinystories/tinystories_valid_30k.txt"), valid);
    s->train = read_stories(t, FILE_OF("data/tinystories/tinystories_2M.txt"), train);
    engine_tokenizer_close(t);
    if (s->valid.count && s->train.count) return 0;
    snprintf(problem, sizeof problem, "%s has no sequence of %d tokens", folder, story_length);
  }
#undef FILE_OF
  fprintf(stderr, "%s\n", problem);
  stories_close(s);
  return 2;
}

void stories_close(story_setting* s) {
  engine_close(s->e);
  free(s->valid.tokens);
  free(s->train.tokens);
  memset(s, 0, sizeof *s);
}

double stories_perplexity(const story_setting* s, const story_text* text) {
  double total = 0;
  for (int i = 0; i != text->count; ++i) total += engine_loss(s->e, text->tokens + i * story_length, story_length);
  return exp(total / ((double)text->count * (story_length - 1)));
}

double stories_loss(const story_setting* s, int first, int count) {
  double total = 0;
  for (int i = 0; i != count; ++i)
    total += engine_loss(s->e, s->train.tokens + (first + i) % s->train.count * story_length, story_length);
  return total / ((double)count * (story_length - 1));
}

/* --- Fewer bits --------------------------------------------------------------------------------------------------- */

int rounded_open(rounded_engine* r, engine* e, int bits, int group) {
  const int n = engine_matrices(e);
  r->bits = bits, r->group = group;
  r->masters = calloc((size_t)n, sizeof *r->masters);
  r->deployed = calloc((size_t)n, sizeof *r->deployed);
  if (!r->masters || !r->deployed) goto failed;
  for (int i = 0; i != n; ++i) {
    const engine_matrix m = engine_matrix_at(e, i);
    r->masters[i] = m.values;
    r->deployed[i] = malloc(sizeof(float) * (size_t)m.rows * (size_t)m.cols);
    if (!r->deployed[i]) goto failed;
    engine_use(e, i, r->deployed[i]);
  }
  rounded_deploy(r, e);
  return 1;
failed:
  rounded_close(r, e);
  return 0;
}

void rounded_deploy(const rounded_engine* r, const engine* e) {
  for (int i = 0; i != engine_matrices(e); ++i) {
    const engine_matrix m = engine_matrix_at(e, i);
    engine_round(r->masters[i], m.rows, m.cols, r->bits, r->group, r->deployed[i]);
  }
}

void rounded_close(rounded_engine* r, engine* e) {
  for (int i = 0; i != engine_matrices(e); ++i) {
    engine_use(e, i, NULL);
    if (r->deployed) free(r->deployed[i]);
  }
  free(r->masters);
  free(r->deployed);
}
