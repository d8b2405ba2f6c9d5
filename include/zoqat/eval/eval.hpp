// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/eval/corpus.hpp>
#include <zoqat/eval/perplexity.hpp>
#include <zoqat/eval/sample.hpp>
