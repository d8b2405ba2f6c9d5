// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Version of the library, read by the build as well. `0.x`: minor versions may break source compatibility.
#define ZOQAT_VERSION_MAJOR 0
#define ZOQAT_VERSION_MINOR 2
#define ZOQAT_VERSION_PATCH 0
