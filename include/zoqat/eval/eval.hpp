// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Measuring a model: perplexity of texts, choices, answers.

// The order is for reading.
// clang-format off

#include <zoqat/eval/corpus.hpp>
#include <zoqat/eval/perplexity.hpp>
#include <zoqat/eval/divergence.hpp>
#include <zoqat/eval/sample.hpp>
#include <zoqat/eval/encoded.hpp>
#include <zoqat/eval/score.hpp>
#include <zoqat/eval/choices.hpp>
#include <zoqat/eval/answers.hpp>
#include <zoqat/eval/token_f1.hpp>

// As lm-evaluation-harness does.
#include <zoqat/eval/request.hpp>
#include <zoqat/eval/number_answer.hpp>
#include <zoqat/eval/proportion.hpp>

// clang-format on
