/* SPDX-License-Identifier: Apache-2.0
 *
 * What the programs around the engine share: the model stories260K and its texts, deployed in few bits. */
#ifndef STORIES_H
#define STORIES_H

#include "engine.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { story_length = 256 }; /* tokens of a sequence */

/* Sequences of a text, one after the other. */
typedef struct {
  int* tokens; /* [count][story_length] */
  int count;
} story_text;

/* The engine with its texts: it evaluates on `valid`, and trains and calibrates on `train`. */
typedef struct {
  engine* e;
  story_text valid, train;
} story_setting;

/* Opens the model and texts in the folder that ZOQAT_DATA names, or in `otherwise`, with so many sequences at most.
 * Returns 0; 1 where there is no such folder, or 2, and says why on stdout or stderr. */
int stories_open(story_setting* s, const char* otherwise, int valid, int train);
void stories_close(story_setting* s);

/* exp of the mean loss of a text. */
double stories_perplexity(const story_setting* s, const story_text* text);
/* Mean loss of `count` sequences of the training text from `first` on, which begins anew where it ends. */
double stories_loss(const story_setting* s, int first, int count);

/* What the engine computes with, where weights of few bits are deployed: its matrices, rounded. */
typedef struct {
  int bits, group;
  float** masters;  /* [matrices]: in the mapped file */
  float** deployed; /* [matrices]: what the forward pass reads */
} rounded_engine;

/* Makes the forward pass read rounded weights; returns 0 where there is no memory. */
int rounded_open(rounded_engine* r, engine* e, int bits, int group);
/* Rounds the masters as they are now. */
void rounded_deploy(const rounded_engine* r, const engine* e);
/* Makes the forward pass read the masters again. */
void rounded_close(rounded_engine* r, engine* e);

#ifdef __cplusplus
}
#endif

#endif
