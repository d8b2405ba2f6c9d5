/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"
#include "prelude.h"

#include <stdio.h>

int loss_of_engine(void* user, uint32_t step, uint32_t micro_batch, double* loss) {
  (void)user;
  *loss = host_loss(step, micro_batch);
  return 0;
}
int fail(const char* message) { return fprintf(stderr, "%s\n", message), 1; }

static int train(void) { return lines(host_engine()); }

int main(void) { return host_run(train); }
