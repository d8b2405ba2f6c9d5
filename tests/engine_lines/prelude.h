/* SPDX-License-Identifier: Apache-2.0
 *
 * What the guide's lines in C presuppose. */
#ifndef PRELUDE_H
#define PRELUDE_H

#include "engine/engine.h"

#include <zoqat/ext/c_api.h>

engine* host_engine(void);
int loss_of_engine(void* user, uint32_t step, uint32_t micro_batch, double* loss);
int fail(const char* message);
int lines(engine* e);

#endif
