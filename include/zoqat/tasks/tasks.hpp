// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Data sets as items to answer or to choose from.

// The order is for reading.
// clang-format off

// What an item is, and how files become items.
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/lines.hpp>
#include <zoqat/tasks/tsv.hpp>
#include <zoqat/tasks/csv.hpp>
#include <zoqat/tasks/records.hpp>
#include <zoqat/tasks/label.hpp>
#include <zoqat/tasks/split.hpp>
#include <zoqat/tasks/text_template.hpp>
#include <zoqat/tasks/white_space.hpp>
#include <zoqat/tasks/conversations.hpp>
#include <zoqat/tasks/texts.hpp>

// Data sets.
#include <zoqat/tasks/alpaca.hpp>
#include <zoqat/tasks/cb.hpp>
#include <zoqat/tasks/choices.hpp>
#include <zoqat/tasks/drop.hpp>
#include <zoqat/tasks/squad.hpp>
#include <zoqat/tasks/sst2.hpp>

// Benchmarks, with the prompts of lm-evaluation-harness.
#include <zoqat/tasks/instruction_form.hpp>
#include <zoqat/tasks/labeled_choices.hpp>
#include <zoqat/tasks/arc.hpp>
#include <zoqat/tasks/boolq.hpp>
#include <zoqat/tasks/gsm8k.hpp>
#include <zoqat/tasks/hellaswag.hpp>
#include <zoqat/tasks/mmlu.hpp>
#include <zoqat/tasks/openbookqa.hpp>
#include <zoqat/tasks/piqa.hpp>
#include <zoqat/tasks/rte.hpp>
#include <zoqat/tasks/winogrande.hpp>
#include <zoqat/tasks/python_random.hpp>
#include <zoqat/tasks/shots.hpp>
#include <zoqat/tasks/benchmark.hpp>

// clang-format on
